//! Decides on the messages that wait, and says what follows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexo_pairing::{Delivery, Inbound, InboundEvent, PairingAdapterRegistry, PairingGate};

use super::output::Output;
use crate::channels::{Recorder, adapters};
use crate::command::gate::answer::Answer;
use crate::command::gate::remarks::{Remarks, Warning};
use crate::command::gate::settings::Settings;
use crate::error::chain;
use crate::text::truncate;

/// The kind of error of events on channels that are [`not_here`].
pub(super) const ADAPTER_UNREACHABLE: &str = "adapter_unreachable";

/// Why nothing is decided on this channel: only another process can say who its senders are. Ids as they
/// come would match the grants and blocks of others.
pub(super) fn not_here(
    channel: &str,
    settings: &Settings,
    registry: &PairingAdapterRegistry,
) -> Option<String> {
    let mut served_elsewhere = settings.adapters().iter().map(|adapter| &adapter.channel);
    let is_served_elsewhere = served_elsewhere.any(|served| served.as_str() == channel);
    (is_served_elsewhere && registry.get(channel).is_none()).then(|| {
        format!(
            "pairing.adapters gives {channel} to another process, which a gate on a pipe cannot ask: \
             use `gate --nats` for this channel"
        )
    })
}

/// What decides on messages, also on those that wait.
pub(super) struct Decider {
    pub(super) gate: PairingGate,
    settings: Mutex<Settings>,
    pub(super) remarks: Remarks,
    pub(super) dry_run: bool,
}

impl Decider {
    pub(super) fn new(
        gate: PairingGate,
        settings: Settings,
        remarks: Remarks,
        dry_run: bool,
    ) -> Self {
        Self { gate, settings: Mutex::new(settings), remarks, dry_run }
    }

    /// Decides on a message that waited.
    pub(super) async fn screen(self: Arc<Self>, line: u64, text: Box<[u8]>) -> Output {
        let mut output = Output::default();
        // Only now, although it was read before: what was read can take many times the room of the
        // line.
        let Ok(InboundEvent::Message(inbound)) = InboundEvent::parse(&text) else {
            output.undecided(line, "unknown_event", "the event is of an unknown sort");
            return output;
        };
        let published = Arc::new(Recorder::default());
        let registry = adapters(published.clone());
        let settings = self.settings().clone();
        if let Some(message) = not_here(&inbound.channel, &settings, &registry) {
            output.undecided(line, ADAPTER_UNREACHABLE, &message);
            return output;
        }
        let policy = settings.policy(&inbound.channel, &inbound.account);
        match self.gate.screen(&inbound, policy, &registry).await {
            Ok(screened) => {
                // A code of a dry run opens nothing.
                output.decided(line, Answer::new(&inbound, &screened, !self.dry_run));
                if let Some(delivery) = &screened.delivery
                    && !self.dry_run
                {
                    for (topic, payload) in &published.take() {
                        output.outbound(line, topic, payload);
                    }
                    self.report(line, &inbound, delivery, &registry);
                }
            }
            Err(error) => output.undecided(line, error.kind(), &chain(&error)),
        }
        output
    }

    /// Warns when a sender was not told the code.
    fn report(
        &self,
        line: u64,
        inbound: &Inbound,
        delivery: &Delivery,
        registry: &PairingAdapterRegistry,
    ) {
        let why = match delivery {
            Delivery::DeliveredViaAdapter | Delivery::DeliveredViaBroker => return,
            Delivery::NoAdapterNoBrokerTopic => {
                let known = registry.channels().join(", ");
                format!("there is no adapter for this channel here, only for {known}")
            }
            Delivery::PublishFailed(error) => chain(error),
            other => format!("{other:?}"),
        };
        self.remarks.warn(Warning::NoCodeSent, || {
            let (channel, account) =
                (truncate(&inbound.channel, 32), truncate(&inbound.account, 64));
            format!("line {line}: no code was sent on {channel}/{account}: {why}")
        });
    }

    /// The configuration in force.
    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
