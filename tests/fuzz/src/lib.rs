//! Helpers of several fuzz targets.

use std::sync::Arc;

use nexo_pairing_core::{Outbound, PairingError};

/// An `Outbound` that discards everything.
#[derive(Debug)]
pub struct Nowhere;

impl Nowhere {
    /// As an adapter takes it.
    #[must_use]
    pub fn outbound() -> Arc<dyn Outbound> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Outbound for Nowhere {
    async fn publish(&self, _: &str, _: serde_json::Value) -> Result<(), PairingError> {
        Ok(())
    }
}
