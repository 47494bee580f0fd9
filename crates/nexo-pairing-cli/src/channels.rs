//! The channels that this program knows, and where what they send is kept.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use nexo_pairing::telegram::TelegramPairingAdapter;
use nexo_pairing::whatsapp::WhatsappPairingAdapter;
use nexo_pairing::{Outbound, PairingAdapterRegistry, PairingError};
use serde_json::Value;

/// Keeps what is published until somebody takes it.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<(String, Value)>>);

impl Recorder {
    /// What was published since the last time, in order.
    pub(crate) fn take(&self) -> Vec<(String, Value)> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Outbound for Recorder {
    async fn publish(&self, topic: &str, payload: Value) -> Result<(), PairingError> {
        let published = (topic.to_owned(), payload);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(published);
        Ok(())
    }
}

/// The adapters that this program has; what they send goes to `outbound`.
pub(crate) fn adapters(outbound: Arc<dyn Outbound>) -> PairingAdapterRegistry {
    let registry = PairingAdapterRegistry::new();
    registry.register(Arc::new(WhatsappPairingAdapter::new(outbound.clone())));
    registry.register(Arc::new(TelegramPairingAdapter::new(outbound)));
    registry
}

/// The adapters, for commands that send nothing.
pub(crate) fn adapters_for_names() -> PairingAdapterRegistry {
    adapters(Arc::new(Recorder::default()))
}
