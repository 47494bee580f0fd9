//! What others see and change of a running gate.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use nexo_pairing_gate::PairingGate;

use crate::settings::Settings;
use crate::stats::{Counts, Stats};

/// Changes a gate while it runs, and says what it did. Clones are the same handle.
#[derive(Clone)]
pub struct BusGateHandle(Arc<Inner>);

struct Inner {
    gate: Arc<PairingGate>,
    settings: RwLock<Arc<Settings>>,
    stats: Stats,
}

impl BusGateHandle {
    pub(crate) fn new(gate: Arc<PairingGate>, settings: Settings) -> Self {
        gate.set_accounts(settings.accounts());
        let settings = RwLock::new(Arc::new(settings));
        Self(Arc::new(Inner { gate, settings, stats: Stats::default() }))
    }

    /// Replaces the settings, for each decision that begins from now on.
    pub fn set(&self, settings: Settings) {
        self.0.gate.set_accounts(settings.accounts());
        *self.0.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// What became of the messages since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.stats.counts()
    }

    pub(crate) fn gate(&self) -> &PairingGate {
        &self.0.gate
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.0.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.0.stats
    }
}

impl fmt::Debug for BusGateHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusGateHandle").field("counts", &self.counts()).finish_non_exhaustive()
    }
}
