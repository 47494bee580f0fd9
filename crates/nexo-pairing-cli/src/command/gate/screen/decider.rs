//! Decides on the messages that wait for the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexo_pairing::gate::InboundEvent;
use nexo_pairing::{PairingAdapterRegistry, PairingGate};

use crate::channels::{Recorder, adapters};
use crate::command::gate::output::{DecisionLine, Output};
use crate::command::gate::settings::Settings;
use crate::command::gate::status_log::{StatusLog, Warning};
use crate::error::chain;

/// The kind of error of events on channels that are [served elsewhere](served_elsewhere).
pub(super) const ADAPTER_UNREACHABLE: &str = "adapter_unreachable";

/// The error for events of a channel whose ids only a plugin can normalize. Without it, a raw id could
/// match the grant or block of another sender.
pub(super) fn served_elsewhere(
    channel: &str,
    settings: &Settings,
    registry: &PairingAdapterRegistry,
) -> Option<String> {
    let is_plugin = settings.adapters().iter().any(|adapter| adapter.channel.as_str() == channel);
    (is_plugin && registry.get(channel).is_none()).then(|| {
        format!(
            "{channel} is in pairing.adapters, and a gate on a pipe cannot ask its plugin: use \
             `gate --nats` for this channel"
        )
    })
}

/// Decides on messages, with or without the store.
pub(super) struct Decider {
    pub(super) gate: PairingGate,
    pub(super) settings: Mutex<Settings>,
    pub(super) log: StatusLog,
    pub(super) dry_run: bool,
}

impl Decider {
    /// Decides on a message that needs the store.
    pub(super) async fn screen(self: Arc<Self>, line: u64, text: Box<[u8]>) -> Output {
        let mut output = Output::default();
        // Parsed again: a parsed event can take many times the memory of its line.
        let Ok(InboundEvent::Message(inbound)) = InboundEvent::parse(&text) else {
            output.undecided(line, "unknown_event", "the event is of an unknown kind");
            return output;
        };
        let published = Arc::new(Recorder::default());
        let registry = adapters(published.clone());
        let settings = self.settings().clone();
        if let Some(message) = served_elsewhere(&inbound.channel, &settings, &registry) {
            output.undecided(line, ADAPTER_UNREACHABLE, &message);
            return output;
        }
        let policy = settings.policy(&inbound.channel, &inbound.account);
        match self.gate.screen(&inbound, policy, &registry).await {
            Ok(screened) => {
                // The code of a dry run is useless.
                output.decided(line, DecisionLine::new(&inbound, &screened, !self.dry_run));
                if let Some(delivery) = &screened.delivery
                    && !self.dry_run
                {
                    for (topic, payload) in &published.take() {
                        output.outbound(line, topic, payload);
                    }
                    if let Some(warning) = delivery.warning(&inbound) {
                        let warning = || format!("line {line}: {warning}");
                        self.log.warn(Warning::ChallengeUndelivered, warning);
                    }
                }
            }
            Err(error) => output.undecided(line, error.kind(), &chain(&error)),
        }
        output
    }

    /// The configuration in force.
    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
