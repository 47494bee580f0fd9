//! An incoming message, as the gate sees it.

use derive_setters::Setters;
use serde_json::Value;

use crate::limits;

/// An incoming message in the channel's own terms. Nothing in it is trusted.
#[derive(Debug, Clone, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_")]
pub struct Inbound {
    /// The channel, such as `whatsapp`.
    #[setters(skip)]
    pub channel: String,
    /// The bot account that received it.
    #[setters(skip)]
    pub account: String,
    /// The sender, as the channel writes it.
    #[setters(skip)]
    pub raw_sender: String,
    /// Other ids of the same sender that the channel vouches for in this event, as it writes them:
    /// WhatsApp has phone numbers and linked ids. At most [`MAX_ALT`](Self::MAX_ALT) are used.
    /// Default: no others.
    pub alt: Vec<String>,
    /// Whether it came in a group. Default: `false`.
    pub is_group: bool,
    /// What helps the operator to recognize the sender, such as a display name. Stored with a new
    /// request if it is at most [`MAX_META_BYTES`](Self::MAX_META_BYTES) long. Default: `null`.
    pub meta: Value,
}

impl Inbound {
    /// How many other ids of a sender are used.
    pub const MAX_ALT: usize = limits::MAX_OTHER_IDS;

    /// The maximum size of a request's metadata, in bytes of JSON.
    pub const MAX_META_BYTES: usize = limits::MAX_META_BYTES;

    /// Keys of [`meta`](Self::meta) that may hold the sender's display name, the best first.
    pub const DISPLAY_NAMES: [&str; 4] = ["push_name", "name", "display_name", "username"];

    /// A direct message without other ids and metadata.
    #[must_use]
    pub fn direct(
        channel: impl Into<String>,
        account: impl Into<String>,
        raw_sender: impl Into<String>,
    ) -> Self {
        Self {
            channel: channel.into(),
            account: account.into(),
            raw_sender: raw_sender.into(),
            alt: Vec::new(),
            is_group: false,
            meta: Value::Null,
        }
    }

    /// The ids of the sender that are used: [`raw_sender`](Self::raw_sender), then up to
    /// [`MAX_ALT`](Self::MAX_ALT) others. Empty ones among those are skipped.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let others = self.alt.iter().map(String::as_str).filter(|id| !id.is_empty());
        std::iter::once(self.raw_sender.as_str()).chain(others.take(Self::MAX_ALT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_other_ids_are_used_and_empty_ones_skipped() {
        let alt = (0..10).flat_map(|number| [String::new(), number.to_string()]);
        let inbound = Inbound::direct("whatsapp", "personal", "a").with_alt(alt.collect());
        assert!(inbound.ids().eq(["a", "0", "1", "2", "3", "4", "5", "6", "7"]));
        assert!(Inbound::direct("whatsapp", "personal", "").ids().eq([""]));
    }
}
