//! Hands an adapter's payloads to the bus.

use std::sync::Arc;

use async_trait::async_trait;
use nexo_pairing_core::{Outbound, PairingError};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::{Bus, Event, Subject};

/// An [`Outbound`] that publishes on NATS, in Nexo's event envelope.
#[derive(Debug, Clone)]
pub struct NatsOutbound {
    bus: Bus,
    in_flight: Arc<Semaphore>,
}

impl NatsOutbound {
    /// How many messages may wait for the server at once, by default.
    pub const MAX_IN_FLIGHT: usize = 256;

    /// An outbound on a connection.
    #[must_use]
    pub fn new(bus: Bus) -> Self {
        Self { bus, in_flight: Arc::new(Semaphore::new(Self::MAX_IN_FLIGHT)) }
    }

    /// The same with another bound on the messages that may wait for the server at once, 1 to 65,536.
    #[must_use]
    pub fn with_max_in_flight(mut self, max: usize) -> Self {
        self.in_flight = Arc::new(Semaphore::new(max.clamp(1, 65_536)));
        self
    }
}

#[async_trait]
impl Outbound for NatsOutbound {
    /// Publishes an event, and waits until the server has taken it for somebody who listens: see
    /// [`Bus::deliver`] for what can go wrong.
    async fn publish(&self, topic: &str, payload: Value) -> Result<(), PairingError> {
        Subject::check(topic)?;
        self.bus.require_connection()?;
        let _permit = self.in_flight.acquire().await.map_err(PairingError::delivery)?;
        let event = Event::new(topic, payload).to_json();
        Ok(self.bus.deliver(topic, event.into()).await?)
    }
}
