//! Where messages are decided on, and where what follows from it is done.

use nexo_pairing_core::text::error_chain;
use nexo_pairing_core::{Decision, Inbound, PairingError, metric};
use nexo_pairing_gate::{Delivery, Listing, Notice, Screened};
use nexo_pairing_nats::NatsError;

use crate::event::{Envelope, RejectReason};
use crate::handle::BusGateHandle;
use crate::observer::Observed;
use crate::sink::Sink;
use crate::stats::Outcome;
use crate::status::{Status, StatusLog, Warning};
use crate::subject::Address;

/// The gate, and what it works with.
pub(crate) struct Dispatcher {
    handle: BusGateHandle,
    sink: Sink,
    status: StatusLog,
}

impl Dispatcher {
    pub(crate) fn new(handle: BusGateHandle, sink: Sink, status: StatusLog) -> Self {
        metrics::describe_counter!(
            metric::REJECTED_TOTAL,
            "Messages of the bus on which nothing was decided."
        );
        Self { handle, sink, status }
    }

    pub(crate) fn handle(&self) -> &BusGateHandle {
        &self.handle
    }

    pub(crate) fn sink(&self) -> &Sink {
        &self.sink
    }

    pub(crate) fn status(&self) -> &StatusLog {
        &self.status
    }

    /// Decides from memory; `None` when the store or a plugin has to be asked.
    pub(crate) fn try_cached(&self, inbound: &Inbound) -> Option<Result<Screened, PairingError>> {
        let settings = self.handle.settings();
        let policy = settings.policy(&inbound.channel, &inbound.account);
        self.handle.gate().try_screen(inbound, policy, settings.adapters()).transpose()
    }

    /// Decides, however long it takes.
    pub(crate) async fn decide(&self, inbound: &Inbound) -> Result<Screened, PairingError> {
        let settings = self.handle.settings();
        let policy = settings.policy(&inbound.channel, &inbound.account);
        self.handle.gate().screen(inbound, policy, settings.adapters()).await
    }

    /// The list that the sender of a message is on.
    pub(crate) fn listing(&self, inbound: &Inbound) -> Option<Listing> {
        self.handle.gate().listing(inbound, self.handle.settings().adapters())
    }

    /// Does what follows from a decision.
    pub(crate) async fn apply(
        &self,
        inbound: &Inbound,
        envelope: Envelope<'_>,
        result: Result<Screened, PairingError>,
    ) {
        let screened = match result {
            Ok(screened) => screened,
            Err(error) => return self.reject(envelope, &(&error).into()).await,
        };
        let outcome = match &screened.decision {
            Decision::Admit => Outcome::Admitted,
            Decision::Challenge { .. } => Outcome::Challenged,
            _ => Outcome::Dropped,
        };
        if outcome == Outcome::Admitted
            && let Some(address) = Address::read(envelope.subject)
        {
            self.report_unpublished(self.sink.admit(address.suffix, envelope).await);
        }
        self.sink.observe(Observed::Message { inbound, screened: &screened }).await;
        if let Some(delivery) = &screened.delivery {
            self.report_undelivered(inbound, delivery);
        }
        self.handle.stats().finished(outcome);
    }

    /// Decides on an event of the plugin itself, and does what follows.
    pub(crate) async fn screen_notice(
        &self,
        address: Address<'_>,
        notice: &Notice,
        envelope: Envelope<'_>,
    ) {
        let Address { channel, account, suffix, .. } = address;
        let settings = self.handle.settings();
        let screened = match self.handle.gate().screen_notice(notice, settings.adapters()) {
            Ok(screened) => screened,
            Err(error) => return self.reject(envelope, &(&error).into()).await,
        };
        if let Some(event) = &screened.event {
            let is_admitted = settings.admits_notices() && !notice.is_linking();
            self.report_unpublished(self.sink.notice(suffix, event, is_admitted).await);
        }
        self.sink.observe(Observed::Notice { channel, account, screened: &screened }).await;
        self.handle.stats().finished(match screened.event {
            Some(_) => Outcome::Admitted,
            None => Outcome::Dropped,
        });
    }

    /// Tells that nothing was decided on a message.
    pub(crate) async fn reject(&self, envelope: Envelope<'_>, reason: &RejectReason) {
        metrics::counter!(metric::REJECTED_TOTAL, "reason" => reason.name).increment(1);
        self.report_unpublished(self.sink.reject(envelope, reason).await);
        self.handle.stats().finished(Outcome::Rejected);
    }

    /// Tells that there was no room for a message.
    pub(crate) async fn overloaded(&self, envelope: Envelope<'_>) {
        let total = self.handle.stats().overloaded();
        self.status.warn(Warning::Overloaded, |suppressed| {
            let subject = envelope.subject.to_owned();
            Status::Overloaded { subject, total, suppressed }
        });
        self.reject(envelope, &RejectReason::overloaded()).await;
    }

    /// Reports when a sender was not told the code.
    fn report_undelivered(&self, inbound: &Inbound, delivery: &Delivery) {
        let reason = match delivery {
            Delivery::DeliveredViaAdapter | Delivery::DeliveredViaBroker => return,
            Delivery::NoAdapterNoBrokerTopic => "there is no adapter for this channel".to_owned(),
            Delivery::PublishFailed(error) => error_chain(error),
            other => format!("{other:?}"),
        };
        self.status.warn(Warning::ChallengeUndelivered, |suppressed| {
            let (channel, account) = (inbound.channel.clone(), inbound.account.clone());
            Status::ChallengeUndelivered { channel, account, reason, suppressed }
        });
    }

    fn report_unpublished(&self, published: Result<(), NatsError>) {
        if let Err(error) = published {
            self.status
                .warn(Warning::Unpublished, |suppressed| Status::Unpublished { error, suppressed });
        }
    }
}
