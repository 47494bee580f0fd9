//! The topic of an event, and what it names.

use super::error::EventError;

/// What the topics of linking end with, below an account's.
pub(super) const QR: &str = "pairing.qr";
pub(super) const STATE: &str = "pairing.state";

const LINKING: [&str; 2] = [QR, STATE];

/// A topic, and what it names.
pub(super) struct Topic<'a> {
    pub(super) text: &'a str,
    pub(super) channel: &'a str,
    pub(super) account: &'a str,
    /// Which of [`LINKING`] it is, if it is one.
    pub(super) linking: Option<&'static str>,
}

impl<'a> Topic<'a> {
    /// Reads `plugin.inbound.<channel>[.<account>]`, or one of linking below an account.
    pub(super) fn read(text: &'a str) -> Result<Self, EventError> {
        let mut topic = Self { text, channel: "", account: "default", linking: None };
        let mut names = text.strip_prefix("plugin.inbound.").ok_or_else(|| topic.wrong())?;
        let linking = LINKING.iter().find_map(|&kind| {
            let place = names.strip_suffix(kind)?.strip_suffix('.')?;
            place.contains('.').then_some((place, kind))
        });
        if let Some((place, kind)) = linking {
            (names, topic.linking) = (place, Some(kind));
        }
        let mut parts = names.split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(channel), account, None) if !channel.is_empty() && account != Some("") => {
                topic.channel = channel;
                topic.account = account.unwrap_or(topic.account);
                Ok(topic)
            }
            _ => Err(topic.wrong()),
        }
    }

    pub(super) fn wrong(&self) -> EventError {
        EventError::Topic { topic: self.text.chars().take(200).collect() }
    }
}
