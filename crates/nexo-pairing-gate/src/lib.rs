//! STUB of the gate's public surface: signatures are final, bodies are being written.
#![allow(missing_docs, unused_variables, clippy::all)]
use std::{sync::Arc, time::Duration};
use nexo_pairing_core::*;
use serde_json::Value;

#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GateOptions {
    pub clock: Arc<dyn Clock>,
    /// `None`: every account is known
    pub accounts: Option<Vec<(ChannelId, AccountId)>>,
    /// default 5 s
    pub max_staleness: Duration,
}
impl Default for GateOptions { fn default() -> Self { unimplemented!() } }
#[derive(Debug)]
pub struct PairingGate;
impl PairingGate {
    pub fn new(backend: Arc<dyn PairingBackend>) -> Self { unimplemented!() }
    pub fn with_options(backend: Arc<dyn PairingBackend>, options: GateOptions) -> Self { unimplemented!() }
    pub async fn should_admit(&self, channel: &str, account_id: &str, raw_sender: &str, policy: &PairingPolicy, adapter: Option<&dyn PairingChannelAdapter>) -> Result<Decision, PairingError> { unimplemented!() }
    /// decide, format, deliver through the registry's adapter, count
    pub async fn screen(&self, inbound: &Inbound, policy: &PairingPolicy, registry: &PairingAdapterRegistry) -> Result<Screened, PairingError> { unimplemented!() }
    /// which rule decides; writes nothing
    pub async fn explain(&self, inbound: &Inbound, policy: &PairingPolicy, registry: &PairingAdapterRegistry) -> Result<Explanation, PairingError> { unimplemented!() }
    /// forces a refresh before the next decision
    pub fn flush_cache(&self) {}
}
#[derive(Debug)]
#[non_exhaustive]
pub struct Screened {
    pub decision: Decision,
    pub rule: Rule,
    /// the canonical sender, None where the adapter made none
    pub sender: Option<SenderId>,
    /// only for Decision::Challenge
    pub delivery: Option<Delivery>,
}
#[derive(Debug)]
#[non_exhaustive]
pub enum Delivery { DeliveredViaAdapter, PublishFailed(PairingError), NoAdapterNoBrokerTopic }
#[derive(Debug)]
#[non_exhaustive]
pub struct Explanation { pub rule: Rule, /// "admit", "challenge" or "drop"
    pub decision: &'static str, pub sender: Option<SenderId> }
/// One inbound message as JSON: `{"channel","account"?,"from","alt"?,"text"?,"is_group"?,"meta"?}` or a whole Nexo event.
#[derive(Debug)]
#[non_exhaustive]
pub enum InboundEvent {
    Message(Inbound),
    /// an event of the plugin itself, without a sender (`connected`, …): it passes
    Notice { channel: String, account: String, kind: String },
}
impl InboundEvent { pub fn parse(json: &[u8]) -> Result<Self, EventError> { unimplemented!() } }
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError { #[error("x")] Json }
impl EventError { pub fn kind(&self) -> &'static str { unimplemented!() } }
