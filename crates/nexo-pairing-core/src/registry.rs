//! Which adapter serves which channel.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::PairingChannelAdapter;

/// The adapters of a process, by channel. Clones share one table.
#[derive(Clone, Default)]
pub struct PairingAdapterRegistry {
    adapters: Arc<RwLock<BTreeMap<&'static str, Arc<dyn PairingChannelAdapter>>>>,
}

impl PairingAdapterRegistry {
    /// A registry without adapters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the adapter of a channel, in place of an earlier one for the same channel.
    pub fn register(&self, adapter: Arc<dyn PairingChannelAdapter>) {
        let mut adapters = self.adapters.write().unwrap_or_else(PoisonError::into_inner);
        adapters.insert(adapter.channel_id(), adapter);
    }

    /// The adapter of a channel.
    #[must_use]
    pub fn get(&self, channel_id: &str) -> Option<Arc<dyn PairingChannelAdapter>> {
        self.adapters.read().unwrap_or_else(PoisonError::into_inner).get(channel_id).cloned()
    }

    /// The channels with an adapter, in alphabetical order.
    #[must_use]
    pub fn channels(&self) -> Vec<&'static str> {
        self.adapters.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Whether no adapter is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.adapters.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl fmt::Debug for PairingAdapterRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PairingAdapterRegistry").field(&self.channels()).finish()
    }
}
