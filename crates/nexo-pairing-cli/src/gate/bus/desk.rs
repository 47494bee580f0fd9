//! Where messages are decided on, and where what follows from it is done.

use std::sync::Arc;

use nexo_pairing::config::Notices;
use nexo_pairing::nats::NatsError;
use nexo_pairing::{
    Decision, Delivery, Inbound, Listing, Notice, PairingError, PairingGate, Screened, metric,
};
use tokio::sync::watch;

use super::event::{Letter, Refusal};
use super::in_force::InForce;
use super::outlet::Outlet;
use super::subject::Address;
use super::tally::{End, Tally};
use crate::error::chain;
use crate::gate::answer::Answer;
use crate::gate::remarks::{Remarks, Warning};
use crate::text::cut;

/// The gate, and what it works with.
pub(super) struct Desk {
    gate: PairingGate,
    in_force: watch::Receiver<Arc<InForce>>,
    outlet: Outlet,
    tally: Tally,
    remarks: Remarks,
}

impl Desk {
    pub(super) fn new(
        gate: PairingGate,
        in_force: watch::Receiver<Arc<InForce>>,
        outlet: Outlet,
        remarks: Remarks,
    ) -> Self {
        metrics::describe_counter!(
            metric::REJECTED_TOTAL,
            "Messages of the bus on which nothing was decided."
        );
        Self { gate, in_force, outlet, tally: Tally::default(), remarks }
    }

    pub(super) fn gate(&self) -> &PairingGate {
        &self.gate
    }

    pub(super) fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.borrow())
    }

    pub(super) fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Decides from memory; `None` when the store or a plugin has to be asked.
    pub(super) fn glance(&self, inbound: &Inbound) -> Option<Result<Screened, PairingError>> {
        let in_force = self.in_force();
        let policy = in_force.config().policy(&inbound.channel, &inbound.account);
        self.gate.try_screen(inbound, policy, in_force.registry()).transpose()
    }

    /// Decides, however long it takes.
    pub(super) async fn decide(&self, inbound: &Inbound) -> Result<Screened, PairingError> {
        let in_force = self.in_force();
        let policy = in_force.config().policy(&inbound.channel, &inbound.account);
        self.gate.screen(inbound, policy, in_force.registry()).await
    }

    /// The list that the sender of a message is on.
    pub(super) fn listing(&self, inbound: &Inbound) -> Option<Listing> {
        self.gate.listing(inbound, self.in_force().registry())
    }

    /// Does what follows from a decision.
    pub(super) async fn conclude(
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
        // A code is told to nobody but its sender.
        self.outlet.decided(|| Answer::new(inbound, &screened, false)).await;
        if let Some(delivery) = &screened.delivery {
            self.delivered(inbound, delivery);
        }
        self.tally.ended(end);
    }

    /// Decides on an event of the plugin itself, and does what follows.
    pub(super) async fn notice(&self, address: Address<'_>, notice: &Notice, letter: Letter<'_>) {
        let Address { channel, account, suffix, .. } = address;
        let in_force = self.in_force();
        let screened = match self.gate.screen_notice(notice, in_force.registry()) {
            Ok(screened) => screened,
            Err(error) => return self.reject(letter, &(&error).into()).await,
        };
        if let Some(event) = &screened.event {
            let is_both = in_force.config().notices() == Notices::Both;
            let is_admitted = is_both && !notice.is_linking();
            self.told(self.outlet.notice(suffix, event, is_admitted).await);
        }
        self.outlet.decided(|| Answer::notice(channel, account, &screened)).await;
        self.tally.ended(match screened.event {
            Some(_) => End::Admitted,
            None => End::Dropped,
        });
    }

    /// Tells that nothing was decided on a message.
    pub(super) async fn reject(&self, letter: Letter<'_>, refusal: &Refusal) {
        metrics::counter!(metric::REJECTED_TOTAL, "reason" => refusal.reason).increment(1);
        self.told(self.outlet.reject(letter, refusal).await);
        self.tally.ended(End::Rejected);
    }

    /// Tells that there was no room for a message.
    pub(super) async fn overloaded(&self, letter: Letter<'_>) {
        self.tally.overloaded(&cut(letter.subject, 200), &self.remarks);
        self.reject(letter, &Refusal::overloaded()).await;
    }

    /// Says when nobody was told his code.
    fn delivered(&self, inbound: &Inbound, delivery: &Delivery) {
        let why = match delivery {
            Delivery::DeliveredViaAdapter | Delivery::DeliveredViaBroker => return,
            Delivery::NoAdapterNoBrokerTopic => "there is no adapter for this channel".to_owned(),
            Delivery::PublishFailed(error) => chain(error),
            other => format!("{other:?}"),
        };
        self.remarks.warn(Warning::NoCodeSent, || {
            let (channel, account) = (cut(&inbound.channel, 32), cut(&inbound.account, 64));
            format!("no code was sent on {channel}/{account}: {why}")
        });
    }

    fn told(&self, published: Result<(), NatsError>) {
        if let Err(error) = published {
            let what = || format!("a message was not passed on: {}", chain(&error));
            self.remarks.warn(Warning::NotPassedOn, what);
        }
    }
}
