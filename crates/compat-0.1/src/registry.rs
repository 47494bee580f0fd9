//! The adapters of a host, by channel.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::adapter::PairingChannelAdapter;

type Adapters = HashMap<&'static str, Arc<dyn PairingChannelAdapter>>;

/// The adapters of a host, by channel. Clones share them.
#[derive(Clone, Default)]
pub struct PairingAdapterRegistry {
    adapters: Arc<RwLock<Adapters>>,
}

impl PairingAdapterRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an adapter, in place of an earlier one for its channel.
    pub fn register(&self, adapter: Arc<dyn PairingChannelAdapter>) {
        let mut adapters = self.adapters.write().unwrap_or_else(PoisonError::into_inner);
        adapters.insert(adapter.channel_id(), adapter);
    }

    /// The adapter of a channel.
    #[must_use]
    pub fn get(&self, channel_id: &str) -> Option<Arc<dyn PairingChannelAdapter>> {
        self.read().get(channel_id).cloned()
    }

    /// Whether no adapter was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Adapters> {
        self.adapters.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PairingAdapterRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.read().keys()).finish()
    }
}
