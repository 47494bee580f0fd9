//! The Telegram adapter: normalizes sender ids and sends replies.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use nexo_pairing_core::{Challenge, Outbound, PairingChannelAdapter, PairingCode, PairingError};
//! use nexo_pairing_telegram::TelegramPairingAdapter;
//! use serde_json::{Value, json};
//!
//! #[derive(Default)]
//! struct Sent(Mutex<Vec<(String, Value)>>);
//!
//! #[async_trait::async_trait]
//! impl Outbound for Sent {
//!     async fn publish(&self, topic: &str, payload: Value) -> Result<(), PairingError> {
//!         self.0.lock().unwrap().push((topic.to_owned(), payload));
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sent = Arc::new(Sent::default());
//! let telegram = TelegramPairingAdapter::new(sent.clone());
//!
//! let sender = telegram.normalize_sender("123456789").ok_or("not a sender")?;
//! let code = PairingCode::parse("K7M9-PQ2X")?;
//! let challenge = Challenge::new(code, 60).with_template("Hi! {code}".to_owned());
//!
//! telegram.send_challenge("cody_nexo_bot", &sender, &challenge).await?;
//! assert_eq!(sent.0.lock().unwrap()[..], [(
//!     "plugin.outbound.telegram.cody_nexo_bot".to_owned(),
//!     json!({
//!         "kind": "text",
//!         "to": "123456789",
//!         "text": r"Hi\! `K7M9-PQ2X`",
//!         "parse_mode": "MarkdownV2",
//!     }),
//! )]);
//!
//! assert_eq!(telegram.normalize_sender("@User_Name"), None);
//! let telegram = telegram.with_usernames(true);
//! assert_eq!(telegram.normalize_sender("@User_Name").as_deref(), Some("@user_name"));
//! # Ok(())
//! # }
//! ```

mod id;
mod markdown;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use nexo_pairing_core::{
    Challenge, Outbound, PairingChannelAdapter, PairingError, Segment, outbound_topic,
};
use serde_json::json;

/// The channel id.
const CHANNEL: &str = "telegram";

/// The adapter of the channel `telegram`.
///
/// # Sender ids
///
/// | as Telegram or an operator writes it | canonical |
/// | --- | --- |
/// | `123456789`, `-1001234567890`: an id within −4000000000000 … 1099511627775, not 0 | unchanged |
/// | `@User_Name`: 4 to 32 of `A-Za-z0-9_` | `@user_name`, with [`with_usernames`] only |
/// | `777000`, `1087968824`, `136817688` | `None` |
/// | anything else | `None` |
///
/// * The range is that of the [Bot API's dialog ids]. Negative ids are groups and channels:
///   [`is_group`](PairingChannelAdapter::is_group) says so.
/// * An id is accepted only as Telegram writes it, in ASCII digits: `+7`, `007`, `-0` and ` 7` are
///   invalid, so that no sender has two ids. With a `+` it would be a phone number, which is something
///   else.
/// * The three refused ids belong to Telegram: its service notifications, the anonymous administrators
///   of all groups, and the channels that write in groups. Admitting one would admit everybody who
///   writes under it.
///
/// # Published messages
///
/// `{"kind": "text", "to", "text", "parse_mode": "MarkdownV2"}`, where `to` is the canonical id.
/// A text must be in [MarkdownV2], as
/// [`format_challenge`](PairingChannelAdapter::format_challenge) returns it. Images are
/// [unsupported](PairingError::Unsupported): Telegram's dispatcher takes them by file, and an
/// adapter has no file system.
///
/// [`with_usernames`]: Self::with_usernames
/// [Bot API's dialog ids]: https://core.telegram.org/api/bots/ids
/// [MarkdownV2]: https://core.telegram.org/bots/api#markdownv2-style
#[derive(Clone)]
pub struct TelegramPairingAdapter {
    outbound: Arc<dyn Outbound>,
    usernames: bool,
}

impl TelegramPairingAdapter {
    /// An adapter that publishes its messages on `outbound` and refuses user names.
    #[must_use]
    pub fn new(outbound: Arc<dyn Outbound>) -> Self {
        Self { outbound, usernames: false }
    }

    /// Sets whether user names are accepted: `@User_Name` becomes `@user_name`.
    ///
    /// Default: `false`, because names change hands: the new owner of an allowed name would be admitted
    /// too. A name and the id of its account are different senders.
    #[must_use]
    pub fn with_usernames(mut self, usernames: bool) -> Self {
        self.usernames = usernames;
        self
    }
}

#[async_trait]
impl PairingChannelAdapter for TelegramPairingAdapter {
    fn channel_id(&self) -> &'static str {
        CHANNEL
    }

    fn normalize_sender(&self, raw: &str) -> Option<String> {
        id::canonical(raw, self.usernames)
    }

    fn is_channel_account(&self, raw: &str) -> bool {
        id::is_shared(raw)
    }

    fn is_group(&self, canonical: &str) -> bool {
        canonical.starts_with('-')
    }

    fn format_challenge_text(&self, code: &str) -> String {
        markdown::render(&[
            Segment::Text("Your pairing code is "),
            Segment::Verbatim(code.to_owned()),
            Segment::Text(". Give it to the operator of this bot."),
        ])
    }

    fn format_verbatim(&self, text: &str) -> String {
        markdown::render(&[Segment::Verbatim(text.to_owned())])
    }

    fn format_challenge(&self, challenge: &Challenge) -> String {
        markdown::render(&challenge.segments())
    }

    async fn send_reply(&self, account: &str, to: &str, text: &str) -> Result<(), PairingError> {
        let payload = json!({"kind": "text", "to": to, "text": text, "parse_mode": "MarkdownV2"});
        self.outbound.publish(&outbound_topic(CHANNEL, account), payload).await
    }
}

impl fmt::Debug for TelegramPairingAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelegramPairingAdapter")
            .field("usernames", &self.usernames)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
