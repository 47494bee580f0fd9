//! The adapters that the configuration names, and what else of it a gate on a bus goes by.

use std::sync::Arc;

use async_trait::async_trait;
use nexo_pairing::bus::Settings;
use nexo_pairing::config::{Adapter, Config, Notices};
use nexo_pairing::nats::{Bus, NatsOutbound};
use nexo_pairing::{
    Challenge, DeliveryRoute, Outbound, PairingAdapterRegistry, PairingChannelAdapter, PairingError,
};

use crate::channels::{Nowhere, adapters, plugin};
use crate::error::CliError;

/// The adapters that a configuration names.
pub(super) struct Adapters {
    registry: PairingAdapterRegistry,
    plugins: Vec<(Adapter, Arc<dyn PairingChannelAdapter>)>,
}

impl Adapters {
    /// The adapters that `config` names. Those that were there `before` and have not changed stay, with
    /// what they know.
    pub(super) fn new(
        config: &Config,
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
        Ok(Self { registry, plugins })
    }

    /// What the gate goes by: these adapters, and a configuration in which the modes in force are.
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
