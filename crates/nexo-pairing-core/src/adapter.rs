//! What a channel brings: how its senders are called, and how a text reaches them.

use async_trait::async_trait;
use serde_json::Value;

use crate::{Challenge, PairingError};

/// Where an adapter hands its payloads: a message bus, a file, a test.
#[async_trait]
pub trait Outbound: Send + Sync {
    /// Publishes `payload` on `topic`.
    ///
    /// # Errors
    ///
    /// [`PairingError::Delivery`] when it was not taken over.
    async fn publish(&self, topic: &str, payload: Value) -> Result<(), PairingError>;
}

/// The topic on which the plugin of `channel` takes what goes out through `account`:
/// `plugin.outbound.<channel>`, with `.<account>` for a named one.
///
/// ```
/// use nexo_pairing_core::outbound_topic;
///
/// assert_eq!(outbound_topic("whatsapp", "personal"), "plugin.outbound.whatsapp.personal");
/// assert_eq!(outbound_topic("whatsapp", "default"), "plugin.outbound.whatsapp");
/// ```
#[must_use]
pub fn outbound_topic(channel: &str, account: &str) -> String {
    if account.is_empty() || account == "default" {
        format!("plugin.outbound.{channel}")
    } else {
        format!("plugin.outbound.{channel}.{account}")
    }
}

/// The way that an adapter's messages take: by itself, or by a plugin in another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DeliveryRoute {
    /// The adapter writes to the channel's own topic.
    #[default]
    Adapter,
    /// The adapter asks a plugin in another process to send, and hears whether it did.
    Broker,
}

/// A channel, as far as pairing needs to know it.
///
/// `channel_id`, `normalize_sender`, `format_challenge_text`, `send_reply` and `send_qr_image` are
/// those of nexo-pairing 0.1.8; an adapter written for it needs only its error type changed.
#[async_trait]
pub trait PairingChannelAdapter: Send + Sync {
    /// The channel, as it stands in the store: `[a-z0-9][a-z0-9_-]{0,31}`.
    fn channel_id(&self) -> &'static str;

    /// The canonical id of who wrote, or `None` when this is nobody that can be paired: a
    /// broadcast, a channel's own account, an id of another service. Everything the channel
    /// writes for one person has to come out as one id; ids of different kinds must never collide.
    ///
    /// Called for every message, with at most [`MAX_RAW_ID_BYTES`](crate::limits::MAX_RAW_ID_BYTES):
    /// it has to be quick and must not block.
    fn normalize_sender(&self, raw: &str) -> Option<String>;

    /// [`normalize_sender`](Self::normalize_sender) for adapters that have to ask somebody else. It
    /// is asked only where that one says `None`.
    ///
    /// # Errors
    ///
    /// [`PairingError`] when the answer could not be had; the message is then dropped as
    /// `not_pairable`.
    async fn resolve_sender(&self, raw: &str) -> Result<Option<String>, PairingError> {
        Ok(self.normalize_sender(raw))
    }

    /// Whether a raw id that cannot be paired is the channel's own account (Telegram's anonymous
    /// administrator), of which the channel says that it is no single person. Any other id of which
    /// no canonical one can be made may be a blocked person's, and is treated as one while anybody
    /// on the channel is blocked. Default: no.
    ///
    /// Called with at most [`MAX_RAW_ID_BYTES`](crate::limits::MAX_RAW_ID_BYTES); it must not block.
    fn is_channel_account(&self, raw: &str) -> bool {
        let _ = raw;
        false
    }

    /// Whether a canonical id is a group's, and not a person's. Groups are never challenged.
    fn is_group(&self, canonical: &str) -> bool {
        let _ = canonical;
        false
    }

    /// The text that carries a code (`K7M9-PQ2X`) to a stranger, in the channel's own markup.
    fn format_challenge_text(&self, code: &str) -> String {
        format!("Your pairing code is {code}. Give it to the operator of this bot.")
    }

    /// A text that its reader is to copy exactly, in the channel's own markup: as it is, unless the
    /// adapter overrides it.
    fn format_verbatim(&self, text: &str) -> String {
        text.to_owned()
    }

    /// The text of a challenge, with its language, its template and the time that is left. Adapters
    /// that know no more than 0.1.8's get along with
    /// [`format_challenge_text`](Self::format_challenge_text).
    fn format_challenge(&self, challenge: &Challenge) -> String {
        self.format_challenge_text(&challenge.code.to_string())
    }

    /// The way that [`send_reply`](Self::send_reply) takes. By [`DeliveryRoute::Broker`] a notice with an
    /// id of which [`normalize_sender`](Self::normalize_sender) makes nothing is dropped while anybody
    /// on the channel is blocked.
    fn route(&self) -> DeliveryRoute {
        DeliveryRoute::Adapter
    }

    /// Sends a text, formatted by this adapter, to a canonical id.
    ///
    /// # Errors
    ///
    /// [`PairingError::Delivery`] when it was not handed over.
    async fn send_reply(&self, account: &str, to: &str, text: &str) -> Result<(), PairingError>;

    /// Sends a challenge to a canonical id. This is what the gate calls; it gives up after 10 seconds.
    ///
    /// By default it sends what [`format_challenge`](Self::format_challenge) returns by
    /// [`send_reply`](Self::send_reply). Override it where a challenge is more than one string (plain
    /// and rich text, buttons) or where another process words it.
    ///
    /// # Errors
    ///
    /// [`PairingError::Delivery`] when it was not handed over.
    async fn send_challenge(
        &self,
        account: &str,
        to: &str,
        challenge: &Challenge,
    ) -> Result<(), PairingError> {
        self.send_reply(account, to, &self.format_challenge(challenge)).await
    }

    /// Sends a QR code as a PNG image.
    ///
    /// # Errors
    ///
    /// [`PairingError::Unsupported`] unless the adapter overrides it; [`PairingError::Delivery`]
    /// when it was not handed over.
    async fn send_qr_image(&self, account: &str, to: &str, png: &[u8]) -> Result<(), PairingError> {
        let _ = (account, to, png);
        Err(PairingError::Unsupported { channel: self.channel_id(), what: "images" })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::{PairingAdapterRegistry, PairingCode};

    /// As little as an adapter can be.
    struct Least;

    #[async_trait]
    impl PairingChannelAdapter for Least {
        fn channel_id(&self) -> &'static str {
            "least"
        }

        fn normalize_sender(&self, raw: &str) -> Option<String> {
            raw.strip_prefix("raw:").map(str::to_owned)
        }

        async fn send_reply(&self, _: &str, _: &str, _: &str) -> Result<(), PairingError> {
            Ok(())
        }
    }

    /// What a future comes to that has nothing to wait for.
    fn at_once<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it waits"),
        }
    }

    #[test]
    fn what_an_adapter_leaves_out_follows_from_what_it_has() {
        assert_eq!(at_once(Least.resolve_sender("raw:ana")).unwrap().as_deref(), Some("ana"));
        assert_eq!(at_once(Least.resolve_sender("ana")).unwrap(), None);
        assert!(!Least.is_group("-100") && !Least.is_channel_account("777000"));
        assert_eq!(Least.route(), DeliveryRoute::Adapter);
        let refused = at_once(Least.send_qr_image("work", "ana", b"png")).unwrap_err();
        assert!(
            matches!(refused, PairingError::Unsupported { channel: "least", what: "images" }),
            "{refused}"
        );
    }

    #[test]
    fn an_adapter_without_words_of_its_own_tells_the_code() {
        let challenge = Challenge::new(PairingCode::from_stored("K7M9PQ2X".into()), 60);
        let text = "Your pairing code is K7M9-PQ2X. Give it to the operator of this bot.";
        assert_eq!(Least.format_challenge_text("K7M9-PQ2X"), text);
        assert_eq!(Least.format_challenge(&challenge), text);
        assert!(at_once(Least.send_challenge("work", "ana", &challenge)).is_ok());
        assert_eq!(Least.format_verbatim("*as it is*"), "*as it is*");
    }

    #[test]
    fn a_registry_has_one_adapter_for_a_channel() {
        let registry = PairingAdapterRegistry::new();
        assert!(registry.is_empty() && registry.get("least").is_none());
        let adapter: Arc<dyn PairingChannelAdapter> = Arc::new(Least);
        registry.register(Arc::new(Least));
        registry.clone().register(adapter.clone());
        assert!(Arc::ptr_eq(&registry.get("least").unwrap(), &adapter));
        assert!(registry.get("other").is_none() && !registry.is_empty());
        assert_eq!(registry.channels(), ["least"]);
        assert_eq!(format!("{registry:?}"), r#"PairingAdapterRegistry(["least"])"#);
    }

    #[test]
    fn the_topic_names_an_account_unless_there_is_only_one() {
        assert_eq!(outbound_topic("telegram", "work"), "plugin.outbound.telegram.work");
        assert_eq!(outbound_topic("telegram", "default"), "plugin.outbound.telegram");
        assert_eq!(outbound_topic("telegram", ""), "plugin.outbound.telegram");
    }
}
