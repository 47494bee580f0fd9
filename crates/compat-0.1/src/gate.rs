//! Decides, for each message that comes in, whether its sender may talk to the agent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nexo_pairing_core as core;
use nexo_pairing_core::limits::MAX_RAW_ID_BYTES;
use nexo_pairing_core::{DropReason, Mode, SystemClock, WarningLimiter};

use crate::adapter::PairingChannelAdapter;
use crate::convert::with_causes;
use crate::store::PairingStore;
use crate::types::{Decision, PairingError, PairingPolicy};

/// Decides who may talk to the agent. It keeps the operator's lists in memory, and sees each change of
/// them: at once if it was made through its store, within 50 ms if another process made it.
pub struct PairingGate {
    gate: nexo_pairing_gate::PairingGate,
    store: Arc<PairingStore>,
    warnings: WarningLimiter<()>,
}

impl PairingGate {
    /// A gate for a store.
    #[must_use]
    pub fn new(store: Arc<PairingStore>) -> Self {
        let gate = nexo_pairing_gate::PairingGate::new(store.inner.clone());
        Self { gate, store, warnings: WarningLimiter::new(SystemClock::shared()) }
    }

    /// Has no effect: decisions are not cached.
    #[must_use]
    pub fn with_cache_ttl(self, _ttl: Duration) -> Self {
        self
    }

    /// Forces a refresh from the store before the next decision. Changes are seen without it.
    pub fn flush_cache(&self) {
        self.gate.flush_cache();
    }

    /// Decides on a direct message.
    ///
    /// While a request is pending, each message of its sender is answered with the same code: it is up to
    /// the caller how often to send it.
    ///
    /// # Errors
    ///
    /// Never: callers of 0.1 admit on an error. A message on which nothing can be decided is dropped, and
    /// a warning logged.
    pub async fn should_admit(
        &self,
        channel: &str,
        account_id: &str,
        sender_id: &str,
        policy: &PairingPolicy,
        adapter: Option<&dyn PairingChannelAdapter>,
    ) -> Result<Decision, PairingError> {
        let adapter = adapter.filter(|_| sender_id.len() <= MAX_RAW_ID_BYTES);
        let canonical = adapter.and_then(|adapter| adapter.normalize_sender(sender_id));
        let sender = canonical.as_deref().unwrap_or(sender_id);
        let mode = if policy.auto_challenge { Mode::Pairing } else { Mode::Open };
        match self.decide(channel, account_id, sender, mode).await {
            Ok(decision) => Ok(decision),
            // As 0.1.8 does on any account. A block on all accounts is not seen on one with an invalid name.
            Err(core::PairingError::Id(_)) if mode == Mode::Open => Ok(Decision::Admit),
            Err(error) => {
                if let Some(suppressed) = self.warnings.allow(()) {
                    let error = with_causes(&error);
                    tracing::warn!(channel, error, suppressed, "dropped a message");
                }
                Ok(Decision::Drop)
            }
        }
    }

    async fn decide(
        &self,
        channel: &str,
        account: &str,
        sender: &str,
        mode: Mode,
    ) -> Result<Decision, core::PairingError> {
        let policy = core::PairingPolicy::new(mode);
        let decided = match self.gate.try_admit(channel, account, sender, &policy, None)? {
            Some(decision) => decision,
            None => {
                // Counts the requests that expired; the decision says why the store fails.
                let _ = self.store.purge_expired().await;
                self.gate.should_admit(channel, account, sender, &policy, None).await?
            }
        };
        Ok(match decided {
            core::Decision::Admit => Decision::Admit,
            core::Decision::Challenge { code } => {
                let _ = self.store.measure_pending(channel).await;
                Decision::Challenge { code: code.as_str().to_owned() }
            }
            core::Decision::Drop(DropReason::AlreadyChallenged) => {
                let live = self.store.live_code(channel, account, sender).await?;
                live.map_or(Decision::Drop, |code| Decision::Challenge { code })
            }
            _ => Decision::Drop,
        })
    }
}

impl fmt::Debug for PairingGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairingGate").field("gate", &self.gate).finish_non_exhaustive()
    }
}
