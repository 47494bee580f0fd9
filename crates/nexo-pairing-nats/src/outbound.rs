//! Publishes the payloads of adapters.

use std::sync::Arc;

use async_trait::async_trait;
use nexo_pairing_core::{Outbound, PairingError};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::event::Event;
use crate::{Bus, check_subject};

/// An [`Outbound`] that publishes on NATS, in Nexo's event envelope.
#[derive(Debug, Clone)]
pub struct NatsOutbound {
    bus: Bus,
    in_flight: Arc<Semaphore>,
}

impl NatsOutbound {
    /// The default limit of messages that wait for the server at once.
    pub const MAX_IN_FLIGHT: usize = 256;

    /// An outbound on this connection.
    #[must_use]
    pub fn new(bus: Bus) -> Self {
        Self { bus, in_flight: Arc::new(Semaphore::new(Self::MAX_IN_FLIGHT)) }
    }

    /// How many messages may wait for the server at once, 1 to 65,536. Default
    /// [`MAX_IN_FLIGHT`](Self::MAX_IN_FLIGHT).
    #[must_use]
    pub fn with_max_in_flight(mut self, max: usize) -> Self {
        self.in_flight = Arc::new(Semaphore::new(max.clamp(1, 65_536)));
        self
    }
}

#[async_trait]
impl Outbound for NatsOutbound {
    /// Publishes an event and waits until the server has accepted it for a subscriber. For the errors
    /// see [`Bus::deliver`].
    async fn publish(&self, topic: &str, payload: Value) -> Result<(), PairingError> {
        check_subject(topic)?;
        self.bus.require_connection()?;
        let _permit = self.in_flight.acquire().await.map_err(PairingError::delivery)?;
        // Text and a `Value` are always valid JSON.
        let event = serde_json::to_vec(&Event::new(topic, payload)).unwrap_or_default();
        Ok(self.bus.deliver(topic, event.into()).await?)
    }
}
