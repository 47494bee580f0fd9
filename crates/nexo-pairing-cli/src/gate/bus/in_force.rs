//! What a reload replaces: the configuration, and the adapters that it names.

use std::sync::Arc;

use async_trait::async_trait;
use nexo_pairing::config::{Adapter, Config};
use nexo_pairing::nats::{Bus, NatsOutbound};
use nexo_pairing::{
    Challenge, DeliveryRoute, Outbound, PairingAdapterRegistry, PairingChannelAdapter, PairingError,
};

use crate::channels::{Nowhere, adapters, plugin};
use crate::error::CliError;
use crate::gate::Settings;

/// The configuration in force, with its adapters.
pub(super) struct InForce {
    config: Settings,
    registry: PairingAdapterRegistry,
    plugins: Vec<(Adapter, Arc<dyn PairingChannelAdapter>)>,
}

impl InForce {
    /// The adapters that `config` names. Those that were there `before` and have not changed stay, with
    /// what they know.
    pub(super) fn new(
        config: Settings,
        bus: &Bus,
        dry_run: bool,
        before: Option<&Self>,
    ) -> Result<Self, CliError> {
        let outbound: Arc<dyn Outbound> =
            if dry_run { Arc::new(Nowhere) } else { Arc::new(NatsOutbound::new(bus.clone())) };
        let registry = adapters(outbound);
        let mut plugins = Vec::new();
        for wanted in config.adapters() {
            let known = before.into_iter().flat_map(|before| &before.plugins);
            let adapter = match known.into_iter().find(|(known, _)| known == wanted) {
                Some((_, adapter)) => Arc::clone(adapter),
                None if dry_run => Arc::new(Rehearsing(plugin(bus, wanted)?)),
                None => plugin(bus, wanted)?,
            };
            registry.register(Arc::clone(&adapter));
            plugins.push((wanted.clone(), adapter));
        }
        Ok(Self { config, registry, plugins })
    }

    /// These adapters, with the configuration in which the modes in force are.
    pub(super) fn with_config(self, config: Settings) -> Self {
        Self { config, ..self }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn registry(&self) -> &PairingAdapterRegistry {
        &self.registry
    }

    /// Whether the operator has named a channel. All others share one lane: nobody outside makes us keep
    /// something for each name that he thinks of.
    pub(super) fn names(&self, channel: &str) -> bool {
        let accounts = self.config.accounts().unwrap_or_default();
        self.registry.get(channel).is_some()
            || accounts.iter().any(|account| account.channel.as_str() == channel)
    }
}

/// An adapter that asks who a sender is, and sends nothing.
struct Rehearsing(Arc<dyn PairingChannelAdapter>);

#[async_trait]
impl PairingChannelAdapter for Rehearsing {
    fn channel_id(&self) -> &'static str {
        self.0.channel_id()
    }

    fn normalize_sender(&self, raw: &str) -> Option<String> {
        self.0.normalize_sender(raw)
    }

    async fn resolve_sender(&self, raw: &str) -> Result<Option<String>, PairingError> {
        self.0.resolve_sender(raw).await
    }

    fn is_channel_account(&self, raw: &str) -> bool {
        self.0.is_channel_account(raw)
    }

    fn is_group(&self, canonical: &str) -> bool {
        self.0.is_group(canonical)
    }

    fn format_challenge(&self, challenge: &Challenge) -> String {
        self.0.format_challenge(challenge)
    }

    fn route(&self) -> DeliveryRoute {
        self.0.route()
    }

    async fn send_reply(&self, _: &str, _: &str, _: &str) -> Result<(), PairingError> {
        Ok(())
    }
}
