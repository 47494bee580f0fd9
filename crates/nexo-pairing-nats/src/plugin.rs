//! The adapter of a channel that another process serves.

use std::time::Duration;

use async_trait::async_trait;
use nexo_pairing_core::{Challenge, ChannelId, DeliveryRoute, PairingChannelAdapter, PairingError};

use crate::{Bus, NatsError};

/// Who words the challenge of a channel that another process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// We do: the text of the gate's configuration, as plain text.
    #[default]
    Default,
    /// The plugin does; when it does not answer, we do.
    Broker,
}

/// How a plugin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Shape {
    /// By one message that is both.
    #[default]
    Both,
    /// By Nexo's event, with `reply_to` in its payload.
    Nexo,
    /// By a plain request of NATS.
    Plain,
}

/// How a channel is served by another process.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PluginOptions {
    /// The channel.
    pub channel: ChannelId,
    /// What the plugin's subjects begin with: `plugin.signal` for `plugin.signal.pairing.…`.
    pub prefix: String,
    /// Who words the challenges. [`Format::Default`] by default.
    pub format: Format,
    /// How the plugin is asked. [`Shape::Both`] by default.
    pub shape: Shape,
    /// How long an answer of the plugin about a sender is believed. 1 h by default.
    pub cache_ttl: Duration,
    /// How many senders are remembered. 10,000 by default.
    pub cache_capacity: usize,
    /// How long the plugin may take to answer. 2 s by default; the gate waits no longer than 5 s.
    pub timeout: Duration,
    /// How many questions may wait for the plugin at once. 64 by default.
    pub max_in_flight: usize,
}

impl PluginOptions {
    /// Options with the defaults.
    #[must_use]
    pub fn new(channel: ChannelId, prefix: impl Into<String>) -> Self {
        Self {
            channel,
            prefix: prefix.into(),
            format: Format::default(),
            shape: Shape::default(),
            cache_ttl: Duration::from_secs(3600),
            cache_capacity: 10_000,
            timeout: Duration::from_secs(2),
            max_in_flight: 64,
        }
    }
}

/// The adapter of a channel that another process serves.
#[derive(Debug, Clone)]
pub struct PluginAdapter {}

impl PluginAdapter {
    /// An adapter that asks on `bus`. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`] when the prefix makes no subject, [`NatsError::Options`] when a number
    /// is out of range.
    pub fn new(bus: Bus, options: PluginOptions) -> Result<Self, NatsError> {
        let _ = (bus, options);
        todo!()
    }
}

#[async_trait]
impl PairingChannelAdapter for PluginAdapter {
    fn channel_id(&self) -> &'static str {
        todo!()
    }

    fn normalize_sender(&self, raw: &str) -> Option<String> {
        let _ = raw;
        todo!()
    }

    async fn resolve_sender(&self, raw: &str) -> Result<Option<String>, PairingError> {
        let _ = raw;
        todo!()
    }

    async fn word_challenge(&self, challenge: &Challenge) -> String {
        let _ = challenge;
        todo!()
    }

    fn route(&self) -> DeliveryRoute {
        DeliveryRoute::Broker
    }

    async fn send_reply(&self, account: &str, to: &str, text: &str) -> Result<(), PairingError> {
        let _ = (account, to, text);
        todo!()
    }

    async fn send_qr_image(&self, account: &str, to: &str, png: &[u8]) -> Result<(), PairingError> {
        let _ = (account, to, png);
        todo!()
    }
}
