//! A store that provides its lists once.

use std::sync::Weak;
use std::time::Duration;

use async_trait::async_trait;
use nexo_pairing_core::{
    AccountId, AccountScope, ChannelId, Clock, GateBackend, NewRequest, PairingError, Replica,
    SenderId, SenderKey, SenderState, SystemClock, UpsertOutcome, Validity,
};

use crate::canonical;

/// How many senders of `whatsapp/personal` are allowed, and how many have a request.
pub(crate) struct Lists {
    allowed: u64,
    pending: u64,
}

impl Lists {
    pub(crate) fn new(allowed: u64, pending: u64) -> Self {
        Self { allowed, pending }
    }

    fn states(&self) -> impl Iterator<Item = Result<SenderState, PairingError>> {
        let now = SystemClock::default().now();
        let allowed = (0..self.allowed).map(|number| {
            let mut state = stranger(&canonical(number))?;
            state.allowed = Some(Validity::Always);
            Ok(state)
        });
        let pending = (0..self.pending).map(move |number| {
            let mut state = stranger(&format!("+3461{number:07}"))?;
            let life = Validity::Between(now, now + Duration::from_secs(24 * 3600));
            state.pending = Some((life, now));
            Ok(state)
        });
        allowed.chain(pending)
    }
}

fn stranger(id: &str) -> Result<SenderState, PairingError> {
    let account = AccountScope::One(AccountId::parse("personal")?);
    Ok(SenderState::stranger(ChannelId::parse("whatsapp")?, account, SenderId::parse(id)?))
}

/// A gate that decides from memory never asks its store.
const NEVER: &str = "the answer is in memory";

#[async_trait]
impl GateBackend for Lists {
    fn subscribe(&self, replica: Weak<dyn Replica>) {
        let Some(replica) = replica.upgrade() else { return };
        let as_of = replica.now();
        replica.replace(&mut self.states(), 1).expect("they are ids");
        replica.heartbeat(as_of);
    }

    async fn upsert_pending(&self, _: NewRequest) -> Result<UpsertOutcome, PairingError> {
        unreachable!("{NEVER}")
    }
    async fn challenge_undelivered(
        &self,
        _: &SenderKey,
        _: Duration,
        _: Duration,
    ) -> Result<(), PairingError> {
        unreachable!("{NEVER}")
    }
    async fn refresh(&self) -> Result<(), PairingError> {
        unreachable!("{NEVER}")
    }
}
