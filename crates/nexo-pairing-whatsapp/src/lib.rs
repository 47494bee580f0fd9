//! The WhatsApp adapter: normalizes sender ids and sends replies.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use nexo_pairing_core::{Outbound, PairingChannelAdapter, PairingError};
//! use nexo_pairing_whatsapp::WhatsappPairingAdapter;
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
//! let whatsapp = WhatsappPairingAdapter::new(sent.clone());
//!
//! let sender = whatsapp.normalize_sender("5491155556666:12@s.whatsapp.net").ok_or("not a sender")?;
//! assert_eq!(sender, "+5491155556666");
//!
//! whatsapp.send_reply("personal", &sender, "Hello").await?;
//! assert_eq!(sent.0.lock().unwrap()[..], [(
//!     "plugin.outbound.whatsapp.personal".to_owned(),
//!     json!({"kind": "text", "to": "+5491155556666", "text": "Hello"}),
//! )]);
//! # Ok(())
//! # }
//! ```

mod jid;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use nexo_pairing_core::{Challenge, Outbound, PairingChannelAdapter, PairingError, outbound_topic};
use serde_json::json;

/// The channel id.
const CHANNEL: &str = "whatsapp";

/// The adapter of the channel `whatsapp`.
///
/// # Sender ids
///
/// | as WhatsApp or an operator writes it | canonical |
/// | --- | --- |
/// | `5491155556666@c.us`, `5491155556666@s.whatsapp.net`, `+5491155556666@c.us` | `+5491155556666` |
/// | the same with a device, an agent or both: `…:12@`, `….0:12@`, `…_1:2@` | `+5491155556666` |
/// | `5491155556666`, `+5491155556666`, `+54 9 11 5555-6666`, `+54 (9) 11 5555.6666` | `+5491155556666` |
/// | `123456789012345@lid`, `123456789012345:12@lid`, `lid:123456789012345` | `lid:123456789012345` |
/// | anything else | `None` |
///
/// * A phone number has 7 to 15 ASCII digits and no leading 0 ([ITU-T E.164]).
/// * Spaces, hyphens, dots and parentheses between the digits are accepted only in numbers that begin
///   with `+` and have no `@`: `(212) 555-1234` may be a number in the United States or in Morocco.
///   Parentheses that begin with 0, as in `+44 (0)20 7946 0958`, are refused: that 0 is not dialled
///   from abroad ([ITU-T E.123]).
/// * A linked id (`@lid`) is another namespace and never becomes a phone number. It has 1 to 20 digits,
///   as many as an unsigned 64-bit number, and no leading 0. It may have a device but no agent: the
///   libraries that write it disagree on whether a dot belongs to the id.
/// * An agent is 0 to 255 and a device 0 to 65535. They identify a person's phone or computer and are
///   dropped.
/// * Servers are compared in lower case, as WhatsApp writes them: `@C.US` is invalid. Groups, broadcasts,
///   newsletters, calls, bots and all other servers cannot be paired, nor can WhatsApp's own `0@c.us`.
///
/// # Published messages
///
/// `{"kind": "text", "to", "text"}`, where `to` is the canonical id, or the JID `…@lid` of a linked
/// id. Texts are sent unchanged. Images are [unsupported](PairingError::Unsupported): WhatsApp's
/// dispatcher takes them by URL, and an adapter has nowhere to host one.
///
/// [ITU-T E.164]: https://www.itu.int/rec/T-REC-E.164
/// [ITU-T E.123]: https://www.itu.int/rec/T-REC-E.123
#[derive(Clone)]
pub struct WhatsappPairingAdapter {
    outbound: Arc<dyn Outbound>,
}

impl WhatsappPairingAdapter {
    /// An adapter that publishes its messages on `outbound`.
    #[must_use]
    pub fn new(outbound: Arc<dyn Outbound>) -> Self {
        Self { outbound }
    }
}

#[async_trait]
impl PairingChannelAdapter for WhatsappPairingAdapter {
    fn channel_id(&self) -> &'static str {
        CHANNEL
    }

    fn normalize_sender(&self, raw: &str) -> Option<String> {
        jid::canonical(raw)
    }

    /// WhatsApp's own account `0`, from which it writes to its users.
    fn is_channel_account(&self, raw: &str) -> bool {
        matches!(raw, "0@c.us" | "0@s.whatsapp.net")
    }

    fn format_challenge(&self, challenge: &Challenge) -> String {
        challenge.plain_text()
    }

    async fn send_reply(&self, account: &str, to: &str, text: &str) -> Result<(), PairingError> {
        let payload = json!({"kind": "text", "to": jid::address(to), "text": text});
        self.outbound.publish(&outbound_topic(CHANNEL, account), payload).await
    }
}

impl fmt::Debug for WhatsappPairingAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhatsappPairingAdapter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
