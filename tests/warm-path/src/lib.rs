//! A gate with many grants, whose store is never asked, and the calls to measure.

mod backend;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use nexo_pairing_core::{
    Decision, DropReason, Mode, Outbound, PairingChannelAdapter, PairingError, PairingPolicy,
};
use nexo_pairing_gate::{GateOptions, PairingGate};
use nexo_pairing_whatsapp::WhatsappPairingAdapter;
use serde_json::Value;

use backend::Lists;

/// A gate with known senders, and as many requests of strangers as its account may have.
#[expect(missing_debug_implementations, reason = "it is never printed")]
pub struct World {
    gate: PairingGate,
    policy: PairingPolicy,
    adapter: WhatsappPairingAdapter,
    known: u64,
}

impl World {
    /// A world with `known` senders.
    #[must_use]
    pub fn of(known: u64) -> Self {
        let policy = PairingPolicy::new(Mode::Pairing);
        let lists = Lists::new(known, policy.max_pending.into());
        let mut options = GateOptions::default();
        // The lists are loaded once, and valgrind is slow.
        options.max_staleness = Duration::from_secs(24 * 3600);
        let gate = PairingGate::with_options(lists, options);
        Self { gate, policy, adapter: WhatsappPairingAdapter::new(Arc::new(Nowhere)), known }
    }

    /// The canonical ids of `count` known senders, shuffled.
    #[must_use]
    pub fn canonical(&self, count: u64) -> Vec<String> {
        (0..count).map(|n| canonical(n * 7919 % self.known)).collect()
    }

    /// The same ids as WhatsApp writes them.
    #[must_use]
    pub fn raw(&self, count: u64) -> Vec<String> {
        let ids = self.canonical(count);
        ids.iter().map(|id| format!("{}@s.whatsapp.net", &id[1..])).collect()
    }

    /// The ids of `count` strangers.
    #[must_use]
    pub fn strangers(&self, count: u64) -> Vec<String> {
        (0..count).map(|n| format!("+3460{n:07}")).collect()
    }

    /// Admits a known sender, without a future.
    ///
    /// # Panics
    ///
    /// If they are not admitted from memory.
    pub fn try_admit(&self, known: &str) {
        let decision = self.gate.try_admit("whatsapp", "personal", known, &self.policy, None);
        assert!(matches!(decision, Ok(Some(Decision::Admit))), "{known}: {decision:?}");
    }

    /// Admits a known sender.
    ///
    /// # Panics
    ///
    /// If they are not admitted from memory.
    pub fn should_admit(&self, known: &str) {
        assert_eq!(self.ask(known, None), Decision::Admit, "{known}");
    }

    /// Admits a known sender by their raw id.
    ///
    /// # Panics
    ///
    /// If they are not admitted from memory.
    pub fn should_admit_raw(&self, raw: &str) {
        assert_eq!(self.ask(raw, Some(&self.adapter)), Decision::Admit, "{raw}");
    }

    /// Drops a stranger.
    ///
    /// # Panics
    ///
    /// If they are not dropped from memory.
    pub fn drop_stranger(&self, stranger: &str) {
        let dropped = Decision::Drop(DropReason::PendingFull);
        assert_eq!(self.ask(stranger, None), dropped, "{stranger}");
    }

    fn ask(&self, sender: &str, adapter: Option<&dyn PairingChannelAdapter>) -> Decision {
        let asked = self.gate.should_admit("whatsapp", "personal", sender, &self.policy, adapter);
        match pin!(asked).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(decision)) => decision,
            Poll::Ready(Err(error)) => panic!("{sender}: {error}"),
            Poll::Pending => panic!("{sender}: the call waits"),
        }
    }
}

fn canonical(number: u64) -> String {
    format!("+{}", 5_491_100_000_000 + number * 37)
}

/// Sends nothing.
struct Nowhere;

#[async_trait]
impl Outbound for Nowhere {
    async fn publish(&self, _: &str, _: Value) -> Result<(), PairingError> {
        Err(PairingError::delivery("nothing is sent from here"))
    }
}
