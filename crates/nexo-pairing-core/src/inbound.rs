//! A message as the gate looks at it.

use derive_setters::Setters;
use serde_json::Value;

use crate::limits;

/// A message that came in, as the channel named its parts: nothing here is trusted yet.
#[derive(Debug, Clone, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_")]
pub struct Inbound {
    /// The channel, such as `whatsapp`.
    #[setters(skip)]
    pub channel: String,
    /// The bot account that got it.
    #[setters(skip)]
    pub account: String,
    /// Who wrote, in the channel's own form.
    #[setters(skip)]
    pub raw_sender: String,
    /// Other ids of the same sender that the channel vouches for in this event, in its own form:
    /// WhatsApp names a sender by phone number and by linked id. At most
    /// [`MAX_ALT`](Self::MAX_ALT) are looked at.
    pub alt: Vec<String>,
    /// Whether it came in a group.
    pub is_group: bool,
    /// What helps the operator to recognise the sender (a display name); kept with a new request
    /// when it is at most [`MAX_META_BYTES`](Self::MAX_META_BYTES) long.
    pub meta: Value,
}

impl Inbound {
    /// How many other ids of a sender are looked at.
    pub const MAX_ALT: usize = limits::MAX_OTHER_IDS;

    /// How long the meta data of a request may be, in bytes of JSON.
    pub const MAX_META_BYTES: usize = limits::MAX_META_BYTES;

    /// A direct message without other ids and without meta data.
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

    /// The ids of the sender that are looked at: [`raw_sender`](Self::raw_sender), then up to
    /// [`MAX_ALT`](Self::MAX_ALT) others. An empty one among those is left out.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let others = self.alt.iter().map(String::as_str).filter(|id| !id.is_empty());
        std::iter::once(self.raw_sender.as_str()).chain(others.take(Self::MAX_ALT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_other_ids_are_looked_at_and_an_empty_one_is_not() {
        let alt = (0..10).flat_map(|number| [String::new(), number.to_string()]);
        let inbound = Inbound::direct("whatsapp", "personal", "a").with_alt(alt.collect());
        assert!(inbound.ids().eq(["a", "0", "1", "2", "3", "4", "5", "6", "7"]));
        assert!(Inbound::direct("whatsapp", "personal", "").ids().eq([""]));
    }
}
