//! The channels of this program, and the destinations of the messages that they send.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use nexo_pairing::config::{Adapter, ChallengeFormat, Config};
use nexo_pairing::nats::{Bus, Format, PluginAdapter, PluginOptions};
use nexo_pairing::telegram::TelegramPairingAdapter;
use nexo_pairing::whatsapp::WhatsappPairingAdapter;
use nexo_pairing::{Outbound, PairingAdapterRegistry, PairingChannelAdapter, PairingError};
use serde_json::Value;

use crate::nats;
use crate::{CliError, Result};

/// Discards what is published.
#[derive(Debug)]
pub(crate) struct Discard;

#[async_trait]
impl Outbound for Discard {
    async fn publish(&self, _: &str, _: Value) -> Result<(), PairingError> {
        Ok(())
    }
}

/// Records what is published until it is taken.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<(String, Value)>>);

impl Recorder {
    /// Takes what was published since the last call, in order.
    pub(crate) fn take(&self) -> Vec<(String, Value)> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Outbound for Recorder {
    async fn publish(&self, topic: &str, payload: Value) -> Result<(), PairingError> {
        let published = (topic.to_owned(), payload);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(published);
        Ok(())
    }
}

/// The adapters of this program; they send to `outbound`.
pub(crate) fn adapters(outbound: Arc<dyn Outbound>) -> PairingAdapterRegistry {
    let registry = PairingAdapterRegistry::new();
    registry.register(Arc::new(WhatsappPairingAdapter::new(outbound.clone())));
    registry.register(Arc::new(TelegramPairingAdapter::new(outbound)));
    registry
}

/// The adapter of a channel that another process serves.
///
/// Refused for a channel with a built-in adapter: the database has the ids that the built-in one derives,
/// and would not match others.
pub(crate) fn plugin(bus: &Bus, adapter: &Adapter) -> Result<Arc<dyn PairingChannelAdapter>> {
    let channel = &adapter.channel;
    if local_adapters().get(channel.as_str()).is_some() {
        return Err(CliError::usage(format!(
            "pairing.adapters lists {channel}, which has a built-in adapter: remove the entry"
        )));
    }
    let mut options = PluginOptions::new(channel.clone(), &adapter.prefix);
    options.cache_ttl = adapter.cache_ttl;
    options.format = match adapter.format {
        ChallengeFormat::Broker => Format::Broker,
        _ => Format::Default,
    };
    Ok(Arc::new(PluginAdapter::new(bus.clone(), options)?))
}

/// The adapters for a command that names a sender of `channel`. If another process serves the channel
/// and the bus is configured, that process resolves the sender.
pub(crate) async fn adapters_for(
    channel: &str,
    raw: bool,
    config: &Config,
) -> Result<PairingAdapterRegistry> {
    let registry = local_adapters();
    let served = config.adapters().iter().find(|adapter| adapter.channel.as_str() == channel);
    if let Some(adapter) = served
        && !raw
        && !config.nats().servers.is_empty()
    {
        let bus = nats::connect(config).await;
        let bus = bus.map_err(|error| CliError::plugin(channel, error))?;
        registry.register(plugin(&bus, adapter)?);
    }
    Ok(registry)
}

/// The adapters of this program, to resolve senders; they send nothing.
pub(crate) fn local_adapters() -> PairingAdapterRegistry {
    adapters(Arc::new(Discard))
}
