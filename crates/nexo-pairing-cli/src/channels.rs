//! The channels that this program knows, and where what they send is kept.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use nexo_pairing::config::{Adapter, ChallengeFormat, Config};
use nexo_pairing::nats::{Bus, Format, PluginAdapter, PluginOptions};
use nexo_pairing::telegram::TelegramPairingAdapter;
use nexo_pairing::whatsapp::WhatsappPairingAdapter;
use nexo_pairing::{Outbound, PairingAdapterRegistry, PairingChannelAdapter, PairingError};
use serde_json::Value;

use crate::error::CliError;
use crate::nats;

/// Where nothing is published, for whoever sends nothing.
#[derive(Debug)]
pub(crate) struct Nowhere;

#[async_trait]
impl Outbound for Nowhere {
    async fn publish(&self, _: &str, _: Value) -> Result<(), PairingError> {
        Ok(())
    }
}

/// Keeps what is published until somebody takes it.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<(String, Value)>>);

impl Recorder {
    /// What was published since the last time, in order.
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

/// The adapters that this program has; what they send goes to `outbound`.
pub(crate) fn adapters(outbound: Arc<dyn Outbound>) -> PairingAdapterRegistry {
    let registry = PairingAdapterRegistry::new();
    registry.register(Arc::new(WhatsappPairingAdapter::new(outbound.clone())));
    registry.register(Arc::new(TelegramPairingAdapter::new(outbound)));
    registry
}

/// The adapter of a channel that another process serves.
///
/// None for a channel that has an adapter here: what that one made of its senders is in the database,
/// and ids that are made otherwise would not be found there.
pub(crate) fn plugin(
    bus: &Bus,
    adapter: &Adapter,
) -> Result<Arc<dyn PairingChannelAdapter>, CliError> {
    let channel = &adapter.channel;
    if adapters_for_names().get(channel.as_str()).is_some() {
        return Err(CliError::Usage(format!(
            "pairing.adapters names {channel}, which has an adapter here: remove the entry"
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

/// The adapters, for a command that names a sender of `channel`: where another process serves it and
/// the bus is known, that process is asked how he is called.
pub(crate) async fn adapters_for(
    channel: &str,
    raw: bool,
    config: &Config,
) -> Result<PairingAdapterRegistry, CliError> {
    let registry = adapters_for_names();
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

/// The adapters that are always here.
pub(crate) fn adapters_for_names() -> PairingAdapterRegistry {
    adapters(Arc::new(Nowhere))
}
