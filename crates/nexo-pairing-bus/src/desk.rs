//! Where messages are decided on, and where what follows from it is done.

use nexo_pairing_core::text::error_chain;
use nexo_pairing_core::{Decision, Inbound, PairingError, metric};
use nexo_pairing_gate::{Delivery, Listing, Notice, Screened};
use nexo_pairing_nats::NatsError;

use crate::event::{Letter, Refusal};
use crate::handle::BusGateHandle;
use crate::observer::Observed;
use crate::outlet::Outlet;
use crate::stats::End;
use crate::status::{Status, StatusLog, Warning};
use crate::subject::Address;

/// The gate, and what it works with.
pub(crate) struct Desk {
    handle: BusGateHandle,
    outlet: Outlet,
    status: StatusLog,
}

impl Desk {
    pub(crate) fn new(handle: BusGateHandle, outlet: Outlet, status: StatusLog) -> Self {
        metrics::describe_counter!(
            metric::REJECTED_TOTAL,
            "Messages of the bus on which nothing was decided."
        );
        Self { handle, outlet, status }
    }

    pub(crate) fn handle(&self) -> &BusGateHandle {
        &self.handle
    }

    pub(crate) fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    pub(crate) fn status(&self) -> &StatusLog {
        &self.status
    }

    /// Decides from memory; `None` when the store or a plugin has to be asked.
    pub(crate) fn glance(&self, inbound: &Inbound) -> Option<Result<Screened, PairingError>> {
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
    pub(crate) async fn conclude(
        &self,
        inbound: &Inbound,
        letter: Letter<'_>,
        result: Result<Screened, PairingError>,
    ) {
        let screened = match result {
            Ok(screened) => screened,
            Err(error) => return self.reject(letter, &(&error).into()).await,
        };
        let end = match &screened.decision {
            Decision::Admit => End::Admitted,
            Decision::Challenge { .. } => End::Challenged,
            _ => End::Dropped,
        };
        if end == End::Admitted
            && let Some(address) = Address::read(letter.subject)
        {
            self.told(self.outlet.admit(address.suffix, letter).await);
        }
        self.outlet.decided(Observed::Message { inbound, screened: &screened }).await;
        if let Some(delivery) = &screened.delivery {
            self.delivered(inbound, delivery);
        }
        self.handle.stats().ended(end);
    }

    /// Decides on an event of the plugin itself, and does what follows.
    pub(crate) async fn notice(&self, address: Address<'_>, notice: &Notice, letter: Letter<'_>) {
        let Address { channel, account, suffix, .. } = address;
        let settings = self.handle.settings();
        let screened = match self.handle.gate().screen_notice(notice, settings.adapters()) {
            Ok(screened) => screened,
            Err(error) => return self.reject(letter, &(&error).into()).await,
        };
        if let Some(event) = &screened.event {
            let is_admitted = settings.admits_notices() && !notice.is_linking();
            self.told(self.outlet.notice(suffix, event, is_admitted).await);
        }
        self.outlet.decided(Observed::Notice { channel, account, screened: &screened }).await;
        self.handle.stats().ended(match screened.event {
            Some(_) => End::Admitted,
            None => End::Dropped,
        });
    }

    /// Tells that nothing was decided on a message.
    pub(crate) async fn reject(&self, letter: Letter<'_>, refusal: &Refusal) {
        metrics::counter!(metric::REJECTED_TOTAL, "reason" => refusal.reason).increment(1);
        self.told(self.outlet.reject(letter, refusal).await);
        self.handle.stats().ended(End::Rejected);
    }

    /// Tells that there was no room for a message.
    pub(crate) async fn overloaded(&self, letter: Letter<'_>) {
        let total = self.handle.stats().overloaded();
        self.status.warn(Warning::Overloaded, |suppressed| {
            let subject = letter.subject.to_owned();
            Status::Overloaded { subject, total, suppressed }
        });
        self.reject(letter, &Refusal::overloaded()).await;
    }

    /// Reports when a sender was not told the code.
    fn delivered(&self, inbound: &Inbound, delivery: &Delivery) {
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

    fn told(&self, published: Result<(), NatsError>) {
        if let Err(error) = published {
            self.status
                .warn(Warning::Unpublished, |suppressed| Status::Unpublished { error, suppressed });
        }
    }
}
