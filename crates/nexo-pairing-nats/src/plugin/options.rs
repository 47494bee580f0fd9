//! Options of a channel that another process serves.

use std::time::Duration;

use derive_setters::Setters;
use nexo_pairing_core::ChannelId;
use nexo_pairing_core::limits::ID_CACHE_TTL;

use crate::{NatsError, check_subject};

/// Who formats the challenges of a channel that another process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// The gate: the configured text, without markup.
    #[default]
    Default,
    /// The plugin, from the code. Without an answer of the plugin, the gate does.
    Broker,
}

/// The shape of requests to a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Shape {
    /// One message that is both of the others: Nexo's event, with the fields of the plain request
    /// beside its own.
    #[default]
    Both,
    /// Nexo's event, for plugins that refuse unknown fields.
    Nexo,
    /// A plain request, for the same.
    Plain,
}

/// Options of a channel that another process serves.
#[derive(Debug, Clone, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_")]
pub struct PluginOptions {
    /// The channel.
    #[setters(skip)]
    pub channel: ChannelId,
    /// The prefix of the plugin's subjects: `plugin.signal` for a plugin that listens on
    /// `plugin.signal.pairing.normalize_sender`.
    #[setters(skip)]
    pub prefix: String,
    /// Who formats the challenges. Default [`Format::Default`].
    pub format: Format,
    /// The shape of requests. Default [`Shape::Both`].
    pub shape: Shape,
    /// How long an answer about a sender is kept, 1 s to 7 days. Default 1 h. The answer that a sender
    /// cannot be paired is kept for a minute at most.
    pub cache_ttl: Duration,
    /// How many answers are kept, 16 to 1,000,000. Default 10,000.
    pub cache_capacity: usize,
    /// How long the plugin may take to normalize a sender or to format a text, up to 60 s. Default 2 s.
    /// The gate waits 5 s at most.
    pub timeout: Duration,
    /// How long the plugin may take to send a message, up to 60 s. Default 7 s. The gate waits 10 s at
    /// most, including the time to format the text.
    pub send_timeout: Duration,
    /// How many requests may be open at once, 1 to 65,536; further ones wait. Default 64. Requests about
    /// senders that the plugin has not named before take at most half of them, rounded up.
    pub max_in_flight: usize,
}

impl PluginOptions {
    /// The defaults for a channel.
    #[must_use]
    pub fn new(channel: ChannelId, prefix: impl Into<String>) -> Self {
        Self {
            channel,
            prefix: prefix.into(),
            format: Format::default(),
            shape: Shape::default(),
            cache_ttl: ID_CACHE_TTL.default,
            cache_capacity: 10_000,
            timeout: Duration::from_secs(2),
            send_timeout: Duration::from_secs(7),
            max_in_flight: 64,
        }
    }

    pub(super) fn check(&self) -> Result<(), NatsError> {
        check_subject(&self.prefix)?;
        let is_timeout = |time: Duration| !time.is_zero() && time <= Duration::from_secs(60);
        let ttl = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);
        let rules = [
            (ttl.contains(&self.cache_ttl), "the TTL has to be 1 s to 7 days"),
            (
                (16..=1_000_000).contains(&self.cache_capacity),
                "the cache has to hold 16 to 1,000,000 answers",
            ),
            (
                is_timeout(self.timeout) && is_timeout(self.send_timeout),
                "a time-out has to be more than 0 and up to 60 s",
            ),
            (
                (1..=65_536).contains(&self.max_in_flight),
                "1 to 65,536 requests can be open at once",
            ),
        ];
        match rules.into_iter().find(|(is_kept, _)| !is_kept) {
            Some((_, broken)) => Err(NatsError::Options(broken)),
            None => Ok(()),
        }
    }
}
