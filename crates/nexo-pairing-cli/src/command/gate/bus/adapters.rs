//! The adapters and the other settings of a gate on a bus, from the configuration.

use std::sync::Arc;

use async_trait::async_trait;
use nexo_pairing::bus::Settings;
use nexo_pairing::config::{Adapter, Config, Notices};
use nexo_pairing::core::DeliveryRoute;
use nexo_pairing::nats::{Bus, NatsOutbound};
use nexo_pairing::{Outbound, PairingAdapterRegistry, PairingChannelAdapter, PairingError};

use crate::Result;
use crate::channels::{Discard, adapters, plugin};

/// The adapters that a configuration names.
pub(super) struct Adapters {
    registry: PairingAdapterRegistry,
    plugins: Vec<(Adapter, Arc<dyn PairingChannelAdapter>)>,
}

impl Adapters {
    /// The adapters that `config` names. Unchanged ones from `before` are kept, with their caches.
    pub(super) fn new(
        config: &Config,
        bus: &Bus,
        dry_run: bool,
        before: Option<&Self>,
    ) -> Result<Self> {
        let outbound: Arc<dyn Outbound> =
            if dry_run { Arc::new(Discard) } else { Arc::new(NatsOutbound::new(bus.clone())) };
        let registry = adapters(outbound);
        let mut plugins = Vec::new();
        for wanted in config.adapters() {
            let mut known = before.into_iter().flat_map(|before| &before.plugins);
            let adapter = match known.find(|(known, _)| known == wanted) {
                Some((_, adapter)) => Arc::clone(adapter),
                None if dry_run => Arc::new(Silent(plugin(bus, wanted)?)),
                None => plugin(bus, wanted)?,
            };
            registry.register(Arc::clone(&adapter));
            plugins.push((wanted.clone(), adapter));
        }
        Ok(Self { registry, plugins })
    }

    /// The settings of the gate: these adapters, and a configuration with the modes in force.
    pub(super) fn settings(&self, config: &Config) -> Settings {
        let settings = Settings::new(self.registry.clone(), config.default_policy().clone())
            .with_notices_admitted(config.notices() == Notices::Both);
        let Some(accounts) = config.accounts() else { return settings };
        settings.with_accounts(
            accounts.iter().map(|known| {
                ((known.channel.clone(), known.account.clone()), known.policy.clone())
            }),
        )
    }
}

/// An adapter that resolves senders and sends nothing.
struct Silent(Arc<dyn PairingChannelAdapter>);

#[async_trait]
impl PairingChannelAdapter for Silent {
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

    fn route(&self) -> DeliveryRoute {
        self.0.route()
    }

    async fn send_reply(&self, _: &str, _: &str, _: &str) -> Result<(), PairingError> {
        Ok(())
    }
}
