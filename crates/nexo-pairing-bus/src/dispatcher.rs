//! Decides on messages, and carries out the decisions.

use bytes::Bytes;
use nexo_pairing_core::text::{error_chain, truncate};
use nexo_pairing_core::{Decision, Inbound, PairingError, metric};
use nexo_pairing_gate::{Delivery, Listing, Notice, Screened};

use crate::event::{Envelope, RejectReason};
use crate::gate::BusGate;
use crate::observer::{Observed, Rejection};
use crate::stats::Outcome;
use crate::status::Warning;
use crate::subject::{ADMITTED, Address, NOTICES, REJECTED};

/// How much of a subject is shown, in characters.
const MAX_SUBJECT_SHOWN: usize = 256;

impl BusGate {
    /// Decides from memory; `None` when the store or a plugin has to be asked.
    pub(crate) fn try_cached(&self, inbound: &Inbound) -> Option<Result<Screened, PairingError>> {
        let settings = self.settings();
        let policy = settings.policy(&inbound.channel, &inbound.account);
        self.gate.try_screen(inbound, policy, &settings.adapters).transpose()
    }

    /// Decides, however long it takes.
    pub(crate) async fn decide(&self, inbound: &Inbound) -> Result<Screened, PairingError> {
        let settings = self.settings();
        let policy = settings.policy(&inbound.channel, &inbound.account);
        self.gate.screen(inbound, policy, &settings.adapters).await
    }

    /// The list that the sender of a message is on.
    pub(crate) fn listing(&self, inbound: &Inbound) -> Option<Listing> {
        self.gate.listing(inbound, &self.settings().adapters)
    }

    /// Carries out a decision.
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
            && let Some(address) = Address::parse(envelope.subject)
        {
            self.publish(&[ADMITTED, address.suffix].concat(), envelope.payload.clone()).await;
        }
        self.observe(Observed::Message { inbound, screened: &screened }).await;
        if let Some(delivery) = &screened.delivery {
            self.warn_undelivered(inbound, delivery);
        }
        self.stats.finished(outcome);
    }

    /// Decides on an event of the plugin itself, and carries out the decision.
    pub(crate) async fn screen_notice(
        &self,
        address: Address<'_>,
        notice: &Notice,
        envelope: Envelope<'_>,
    ) {
        let Address { channel, account, suffix, .. } = address;
        let settings = self.settings();
        let screened = match self.gate.screen_notice(notice, &settings.adapters) {
            Ok(screened) => screened,
            Err(error) => return self.reject(envelope, &(&error).into()).await,
        };
        if let Some(event) = &screened.event {
            let event = Bytes::from(event.to_string());
            self.publish(&[NOTICES, suffix].concat(), event.clone()).await;
            if settings.admits_notices && !notice.is_linking() {
                self.publish(&[ADMITTED, suffix].concat(), event).await;
            }
        }
        self.observe(Observed::Notice { channel, account, screened: &screened }).await;
        self.stats.finished(match screened.event {
            Some(_) => Outcome::Admitted,
            None => Outcome::Dropped,
        });
    }

    /// Reports a message without a decision.
    pub(crate) async fn reject(&self, envelope: Envelope<'_>, reason: &RejectReason) {
        metrics::counter!(metric::REJECTED_TOTAL, "reason" => reason.name).increment(1);
        let rejection = Rejection {
            subject: &truncate(envelope.subject, MAX_SUBJECT_SHOWN),
            reason: reason.name,
            message: &reason.message,
            bytes: envelope.payload.len(),
        };
        self.observe(Observed::Rejected(rejection)).await;
        // Text and a number are always valid JSON.
        self.publish(REJECTED, serde_json::to_vec(&rejection).unwrap_or_default().into()).await;
        self.stats.finished(Outcome::Rejected);
    }

    /// Rejects a message for which there is no room.
    pub(crate) async fn overloaded(&self, envelope: Envelope<'_>) {
        self.status.warn_overloaded(envelope.subject, self.stats.overloaded());
        self.reject(envelope, &RejectReason::overloaded()).await;
    }

    /// Warns that a sender did not get the code.
    fn warn_undelivered(&self, inbound: &Inbound, delivery: &Delivery) {
        if let Some(warning) = delivery.warning(inbound) {
            self.status.warn(Warning::ChallengeUndelivered, || warning);
        }
    }

    async fn observe(&self, observed: Observed<'_>) {
        if let Some(observer) = &self.observer {
            observer.observe(observed).await;
        }
    }

    /// Publishes, unless the gate only listens.
    async fn publish(&self, subject: &str, payload: Bytes) {
        if self.observer.is_none()
            && let Err(error) = self.connections.bus().publish(subject, payload).await
        {
            self.status.warn(Warning::Unpublished, || {
                format!("failed to publish a message: {}", error_chain(&error))
            });
        }
    }
}
