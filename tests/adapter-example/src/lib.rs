//! IRC, as far as pairing needs to know it: a complete adapter that depends on `nexo-pairing-core`
//! and on nothing else of nexo-pairing.
//!
//! ```
//! use std::sync::Arc;
//!
//! use nexo_pairing_adapter_example::IrcPairingAdapter;
//! use nexo_pairing_core::{Outbound, PairingAdapterRegistry, PairingError};
//! use serde_json::Value;
//!
//! /// Hands payloads to the bot's connection; here it only prints them.
//! struct Bot;
//!
//! #[async_trait::async_trait]
//! impl Outbound for Bot {
//!     async fn publish(&self, topic: &str, payload: Value) -> Result<(), PairingError> {
//!         println!("{topic} {payload}");
//!         Ok(())
//!     }
//! }
//!
//! let registry = PairingAdapterRegistry::new();
//! registry.register(Arc::new(IrcPairingAdapter::new(Arc::new(Bot))));
//! assert_eq!(registry.channels(), ["irc"]);
//! ```

mod id;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use nexo_pairing_core::{
    Challenge, Outbound, PairingChannelAdapter, PairingError, Segment, outbound_topic,
};
use serde_json::json;

/// The channel's name, in the store and in topics.
const CHANNEL: &str = "irc";

/// The longest text of one message, in bytes. A server cuts a line at 512, which has to hold the
/// command, the receiver and the prefix too.
const MAX_TEXT_BYTES: usize = 400;

/// The adapter of the channel `irc`.
///
/// # Who is who
///
/// | what the bot or an operator writes | canonical |
/// | --- | --- |
/// | `$a:Ana`, `$a:ANA`: logged in to the network's services as `Ana` | `$a:ana` |
/// | `$a:Ana[m]`, `$a:ana{m}`: in IRC `[]\~` are the upper case of `{}\|^` | `$a:ana{m}` |
/// | `#Nexo`, `&Nexo`: a channel, which is a group | `#nexo`, `&nexo` |
/// | `Ana!ana@host`, `Ana`: a nick | `None` |
/// | `$a:*`, `*`: not logged in | `None` |
/// | everything else | `None` |
///
/// A nick is not a pairable sender, because nicks change hands: a new owner of the nick of an admitted
/// sender would be admitted, too. An account of the network's services belongs to the owner of its
/// password.
///
/// # What is published
///
/// `{"kind": "privmsg", "to", "text"}`, one for each line of a text, as IRC has no others.
#[derive(Clone)]
pub struct IrcPairingAdapter {
    outbound: Arc<dyn Outbound>,
}

impl IrcPairingAdapter {
    /// An adapter that hands what it sends to `outbound`.
    #[must_use]
    pub fn new(outbound: Arc<dyn Outbound>) -> Self {
        Self { outbound }
    }
}

#[async_trait]
impl PairingChannelAdapter for IrcPairingAdapter {
    fn channel_id(&self) -> &'static str {
        CHANNEL
    }

    fn normalize_sender(&self, raw: &str) -> Option<String> {
        id::canonical(raw)
    }

    fn is_group(&self, canonical: &str) -> bool {
        canonical.starts_with(['#', '&'])
    }

    /// What is to be copied is bold.
    fn format_challenge(&self, challenge: &Challenge) -> String {
        let pieces = challenge.segments().into_iter();
        let marked = pieces.map(|piece| match piece {
            Segment::Text(words) => words.to_owned(),
            Segment::Verbatim(exact) => format!("\u{2}{exact}\u{2}"),
        });
        marked.collect()
    }

    async fn send_reply(&self, account: &str, to: &str, text: &str) -> Result<(), PairingError> {
        let topic = outbound_topic(CHANNEL, account);
        for line in lines(text) {
            let payload = json!({"kind": "privmsg", "to": to, "text": line});
            self.outbound.publish(&topic, payload).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for IrcPairingAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IrcPairingAdapter").finish_non_exhaustive()
    }
}

/// The lines of a text, none of them empty or too long. Whatever ended a line of the protocol within
/// a text would begin a command of its own.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\r', '\n', '\0']).flat_map(|mut line| {
        std::iter::from_fn(move || {
            let mut length = line.len().min(MAX_TEXT_BYTES);
            while !line.is_char_boundary(length) {
                length -= 1;
            }
            let (first, rest) = line.split_at(length);
            line = rest;
            (!first.is_empty()).then_some(first)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use nexo_pairing_core::PairingCode;
    use serde_json::Value;

    use super::*;

    /// Keeps what is published, or takes nothing.
    #[derive(Default)]
    struct Bot {
        published: Mutex<Vec<(String, Value)>>,
        is_gone: bool,
    }

    #[async_trait]
    impl Outbound for Bot {
        async fn publish(&self, topic: &str, payload: Value) -> Result<(), PairingError> {
            if self.is_gone {
                return Err(PairingError::delivery("the bot is not connected"));
            }
            self.published.lock().unwrap().push((topic.to_owned(), payload));
            Ok(())
        }
    }

    #[test]
    fn a_challenge_marks_the_code_to_copy() {
        let irc = IrcPairingAdapter::new(Arc::new(Bot::default()));
        let code = PairingCode::parse("K7M9-PQ2X").unwrap();
        let challenge = Challenge::new(code, 60).with_template("Code: {code}".to_owned());
        assert_eq!(irc.format_challenge(&challenge), "Code: \u{2}K7M9-PQ2X\u{2}");
    }

    #[tokio::test]
    async fn each_line_is_a_message_of_its_own() {
        let bot = Arc::new(Bot::default());
        let irc = IrcPairingAdapter::new(bot.clone());
        irc.send_reply("libera", "$a:ana", "Hello\r\n\r\nQUIT :no\n").await.unwrap();
        let topic = "plugin.outbound.irc.libera";
        let privmsg = |text| json!({"kind": "privmsg", "to": "$a:ana", "text": text});
        let expected = ["Hello", "QUIT :no"].map(|text| (topic.to_owned(), privmsg(text)));
        assert_eq!(bot.published.lock().unwrap()[..], expected);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let text = "ñ".repeat(MAX_TEXT_BYTES);
        let cut: Vec<&str> = lines(&text).collect();
        assert_eq!(cut.concat(), text);
        assert!(cut.iter().all(|line| line.len() <= MAX_TEXT_BYTES));
        let odd = format!("a{text}");
        assert_eq!(lines(&odd).next().map(str::len), Some(MAX_TEXT_BYTES - 1));
    }

    #[tokio::test]
    async fn a_message_that_the_bot_rejects_is_an_error() {
        let irc = IrcPairingAdapter::new(Arc::new(Bot { is_gone: true, ..Bot::default() }));
        let sent = irc.send_reply("default", "$a:ana", "Hello").await;
        assert!(matches!(sent, Err(PairingError::Delivery(_))), "{sent:?}");
    }

    #[tokio::test]
    async fn images_are_not_sent() {
        let irc = IrcPairingAdapter::new(Arc::new(Bot::default()));
        let sent = irc.send_qr_image("default", "$a:ana", b"").await;
        assert!(matches!(sent, Err(PairingError::Unsupported { channel: "irc", .. })), "{sent:?}");
    }

    #[test]
    fn groups_and_people_are_distinguished() {
        let irc = IrcPairingAdapter::new(Arc::new(Bot::default()));
        assert!(irc.is_group("#nexo") && irc.is_group("&nexo"));
        assert!(!irc.is_group("$a:ana"));
    }
}
