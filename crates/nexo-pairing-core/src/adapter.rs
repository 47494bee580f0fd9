//! Channel adapters: how sender ids are normalized, and how a text reaches a sender.

use async_trait::async_trait;
use serde_json::Value;

use crate::{Challenge, PairingError};

/// Where an adapter publishes its payloads: a message bus, a file, a test.
#[async_trait]
pub trait Outbound: Send + Sync {
    /// Publishes `payload` on `topic`.
    ///
    /// # Errors
    ///
    /// [`PairingError::Delivery`] if it was not accepted.
    async fn publish(&self, topic: &str, payload: Value) -> Result<(), PairingError>;
}

/// The topic for outgoing messages of an account: `plugin.outbound.<channel>.<account>`, without the
/// last part for the account `default`.
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

/// How an adapter's messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DeliveryRoute {
    /// The adapter publishes to the channel's topic itself.
    #[default]
    Adapter,
    /// The adapter asks a plugin in another process to send, and gets an answer.
    Broker,
}

/// What pairing needs to know of a channel.
///
/// `channel_id`, `normalize_sender`, `format_challenge_text`, `send_reply` and `send_qr_image` are
/// those of nexo-pairing 0.1.8; an adapter written for it only needs a new error type.
#[async_trait]
pub trait PairingChannelAdapter: Send + Sync {
    /// The channel id: `[a-z0-9][a-z0-9_-]{0,31}`.
    fn channel_id(&self) -> &'static str;

    /// The canonical id of a sender, or `None` for what cannot be paired: a broadcast, the channel's
    /// own account, an id of another service. All spellings of one person's id must yield the same
    /// canonical id; ids of different kinds must never collide.
    ///
    /// Called for every message, with at most [`MAX_RAW_ID_BYTES`](crate::limits::MAX_RAW_ID_BYTES):
    /// it must be fast and must not block.
    fn normalize_sender(&self, raw: &str) -> Option<String>;

    /// [`normalize_sender`](Self::normalize_sender) for adapters that have to ask another process.
    /// Called only where that returns `None`.
    ///
    /// # Errors
    ///
    /// [`PairingError`] if there was no answer. The message is then dropped as `not_pairable`.
    async fn resolve_sender(&self, raw: &str) -> Result<Option<String>, PairingError> {
        Ok(self.normalize_sender(raw))
    }

    /// Whether a raw id that cannot be paired is an account of the channel itself, such as Telegram's
    /// anonymous administrator, and not a person's. Any other id without a canonical form may be a
    /// blocked person's; it counts as blocked while anybody on the channel is. Default: `false`.
    ///
    /// Called with at most [`MAX_RAW_ID_BYTES`](crate::limits::MAX_RAW_ID_BYTES); it must not block.
    fn is_channel_account(&self, raw: &str) -> bool {
        let _ = raw;
        false
    }

    /// Whether a canonical id belongs to a group. Groups are never challenged. Default: `false`.
    fn is_group(&self, canonical: &str) -> bool {
        let _ = canonical;
        false
    }

    /// The text that carries a code (`K7M9-PQ2X`) to a stranger, in the channel's markup. Default: an
    /// English sentence.
    fn format_challenge_text(&self, code: &str) -> String {
        format!("Your pairing code is {code}. Give it to the operator of this bot.")
    }

    /// A text that its reader should copy exactly, in the channel's markup. Default: unchanged.
    fn format_verbatim(&self, text: &str) -> String {
        text.to_owned()
    }

    /// The text of a challenge in its language and template, with its remaining time, in the channel's
    /// markup. Default: [`format_challenge_text`](Self::format_challenge_text) of its code, for
    /// adapters written for 0.1.8.
    fn format_challenge(&self, challenge: &Challenge) -> String {
        self.format_challenge_text(&challenge.code.to_string())
    }

    /// How messages travel. Default: [`DeliveryRoute::Adapter`].
    ///
    /// With [`DeliveryRoute::Broker`], a notice with an id that
    /// [`normalize_sender`](Self::normalize_sender) does not know is dropped while anybody on the
    /// channel is blocked.
    fn route(&self) -> DeliveryRoute {
        DeliveryRoute::Adapter
    }

    /// Sends a text, formatted by this adapter, to a canonical id.
    ///
    /// # Errors
    ///
    /// [`PairingError::Delivery`] if it was not accepted.
    async fn send_reply(&self, account: &str, to: &str, text: &str) -> Result<(), PairingError>;

    /// Sends a challenge to a canonical id. This is what the gate calls; it gives up after 10 seconds.
    ///
    /// By default it passes the text of [`format_challenge`](Self::format_challenge) to
    /// [`send_reply`](Self::send_reply). Override it where a challenge is more than one string (plain
    /// and rich text, buttons), or where another process writes the text.
    ///
    /// # Errors
    ///
    /// [`PairingError::Delivery`] if it was not accepted.
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
    /// [`PairingError::Unsupported`] unless overridden; [`PairingError::Delivery`] if it was not
    /// accepted.
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

    /// The smallest possible adapter.
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

    /// Polls a future that is ready at once.
    fn at_once<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("pending"),
        }
    }

    #[test]
    fn provided_methods_have_their_documented_defaults() {
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
    fn the_default_text_has_the_code() {
        let challenge = Challenge::new(PairingCode::from_stored("K7M9PQ2X".into()), 60);
        let text = "Your pairing code is K7M9-PQ2X. Give it to the operator of this bot.";
        assert_eq!(Least.format_challenge_text("K7M9-PQ2X"), text);
        assert_eq!(Least.format_challenge(&challenge), text);
        assert!(at_once(Least.send_challenge("work", "ana", &challenge)).is_ok());
        assert_eq!(Least.format_verbatim("*as it is*"), "*as it is*");
    }

    #[test]
    fn a_registry_has_one_adapter_per_channel() {
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
    fn the_topic_names_the_account_unless_it_is_the_default() {
        assert_eq!(outbound_topic("telegram", "work"), "plugin.outbound.telegram.work");
        assert_eq!(outbound_topic("telegram", "default"), "plugin.outbound.telegram");
        assert_eq!(outbound_topic("telegram", ""), "plugin.outbound.telegram");
    }
}
