//! How a channel is served by another process.

use std::time::Duration;

use nexo_pairing_core::ChannelId;
use nexo_pairing_core::limits::ID_CACHE_TTL;

use crate::{NatsError, Subject};

/// Who words the challenges of a channel that another process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// We do: the text that is configured for the gate, without any markup.
    #[default]
    Default,
    /// The plugin does, of the bare code. When it does not answer, we do.
    Broker,
}

/// How a plugin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Shape {
    /// By one message that is both of the others: Nexo's event, with the fields of the plain request
    /// beside its own.
    #[default]
    Both,
    /// By Nexo's event alone, for plugins that refuse fields which they do not know.
    Nexo,
    /// By a plain request alone, for the same.
    Plain,
}

/// How a channel is served by another process.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PluginOptions {
    /// The channel.
    pub channel: ChannelId,
    /// What the plugin's subjects begin with: `plugin.signal` where it listens on
    /// `plugin.signal.pairing.normalize_sender`.
    pub prefix: String,
    /// Who words the challenges.
    pub format: Format,
    /// How the plugin is asked.
    pub shape: Shape,
    /// How long the plugin's word on a sender is kept, 1 s to 7 days: 1 h by default. That he is nobody
    /// is kept for a minute at most.
    pub cache_ttl: Duration,
    /// How many senders are kept, 16 to 1,000,000: 10,000 by default.
    pub cache_capacity: usize,
    /// How long the plugin may take to say who somebody is, or to word a text: 2 s by default. The gate
    /// waits for 5 s at most.
    pub timeout: Duration,
    /// How long the plugin may take to send something: 7 s by default. The gate waits for 10 s at most,
    /// in which the text has to be worded, too.
    pub send_timeout: Duration,
    /// How many questions may be open at once, 1 to 65,536: 64 by default. Further ones wait. Those
    /// about senders whom the plugin has not named before take at most half of it, rounded up.
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

    /// The same options, with this [`format`](Self::format).
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// The same options, with this [`shape`](Self::shape).
    #[must_use]
    pub fn with_shape(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// The same options, with this [`cache_ttl`](Self::cache_ttl).
    #[must_use]
    pub fn with_cache_ttl(mut self, cache_ttl: Duration) -> Self {
        self.cache_ttl = cache_ttl;
        self
    }

    /// The same options, with this [`cache_capacity`](Self::cache_capacity).
    #[must_use]
    pub fn with_cache_capacity(mut self, cache_capacity: usize) -> Self {
        self.cache_capacity = cache_capacity;
        self
    }

    /// The same options, with this [`timeout`](Self::timeout).
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same options, with this [`send_timeout`](Self::send_timeout).
    #[must_use]
    pub fn with_send_timeout(mut self, send_timeout: Duration) -> Self {
        self.send_timeout = send_timeout;
        self
    }

    /// The same options, with this [`max_in_flight`](Self::max_in_flight).
    #[must_use]
    pub fn with_max_in_flight(mut self, max_in_flight: usize) -> Self {
        self.max_in_flight = max_in_flight;
        self
    }

    pub(super) fn check(&self) -> Result<(), NatsError> {
        Subject::check(&self.prefix)?;
        let within = |ok: bool, what| if ok { Ok(()) } else { Err(NatsError::Options(what)) };
        let week = Duration::from_secs(7 * 24 * 3600);
        let second = Duration::from_secs(1);
        within((second..=week).contains(&self.cache_ttl), "the TTL has to be 1 s to 7 days")?;
        within(
            (16..=1_000_000).contains(&self.cache_capacity),
            "the cache has to hold 16 to 1,000,000",
        )?;
        let minute = Duration::from_secs(60);
        for timeout in [self.timeout, self.send_timeout] {
            within(
                !timeout.is_zero() && timeout <= minute,
                "a time-out has to be up to 60 s, not 0",
            )?;
        }
        within(
            (1..=65_536).contains(&self.max_in_flight),
            "1 to 65,536 questions can be open at once",
        )
    }
}
