//! Where the messages and the decisions of a gate on a bus go.

use std::sync::Arc;

use bytes::Bytes;
use nexo_pairing_core::text::truncate;
use nexo_pairing_nats::{Bus, NatsError};
use serde_json::Value;

use crate::error::BusGateError;
use crate::event::{Envelope, RejectReason};
use crate::observer::{Observed, Observer, Rejection};
use crate::subject::{ADMITTED, NOTICES, REJECTED};

/// How much is shown of a subject, in characters.
const MAX_SUBJECT_SHOWN: usize = 256;

/// Where messages and decisions go.
pub(crate) enum Sink {
    /// To the bus; decisions are only counted.
    Publish(Bus),
    /// Decisions to an observer, and messages nowhere.
    Observe(Arc<dyn Observer>),
}

impl Sink {
    /// Passes a message on, unchanged.
    pub(crate) async fn admit(
        &self,
        suffix: &str,
        envelope: Envelope<'_>,
    ) -> Result<(), NatsError> {
        match self {
            Self::Publish(bus) => {
                let subject = [ADMITTED, suffix].concat();
                bus.publish(&subject, envelope.payload.clone()).await
            }
            Self::Observe(_) => Ok(()),
        }
    }

    /// Passes on what was made anew of a notice; also among what is admitted, if `is_admitted`.
    pub(crate) async fn notice(
        &self,
        suffix: &str,
        event: &Value,
        is_admitted: bool,
    ) -> Result<(), NatsError> {
        let Self::Publish(bus) = self else { return Ok(()) };
        let event = Bytes::from(event.to_string());
        bus.publish(&[NOTICES, suffix].concat(), event.clone()).await?;
        if is_admitted {
            bus.publish(&[ADMITTED, suffix].concat(), event).await?;
        }
        Ok(())
    }

    /// Shows a decision, where somebody wants to see them.
    pub(crate) async fn observe(&self, observed: Observed<'_>) {
        if let Self::Observe(observer) = self {
            observer.observe(observed).await;
        }
    }

    /// Tells that nothing was decided on a message, and why.
    pub(crate) async fn reject(
        &self,
        envelope: Envelope<'_>,
        reason: &RejectReason,
    ) -> Result<(), NatsError> {
        let subject = &truncate(envelope.subject, MAX_SUBJECT_SHOWN);
        let bytes = envelope.payload.len();
        let rejection = Rejection { subject, reason: reason.name, message: &reason.message, bytes };
        match self {
            Self::Publish(bus) => {
                // It is made of text and a number.
                let rejection = serde_json::to_vec(&rejection).unwrap_or_default();
                bus.publish(REJECTED, rejection.into()).await
            }
            Self::Observe(observer) => {
                observer.observe(Observed::Rejected(rejection)).await;
                Ok(())
            }
        }
    }

    /// Ends when nobody wants the decisions any more.
    pub(crate) async fn closed(&self) {
        match self {
            Self::Publish(_) => std::future::pending().await,
            Self::Observe(observer) => observer.closed().await,
        }
    }

    /// Waits until everything is where it should be.
    pub(crate) async fn finish(&self) -> Result<(), BusGateError> {
        match self {
            Self::Publish(bus) => Ok(bus.flush().await?),
            Self::Observe(observer) => observer.flush().await.map_err(BusGateError::Observer),
        }
    }
}
