//! A storage on a clock that stands still, with an engine whose codes count up.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nexo_pairing_core::{
    AccountId, AccountScope, Actor, ChannelId, Filter, GateBackend, Grant, ManualClock, NewRequest,
    OperatorBackend, PairingCode, PairingError, RandomError, RandomSource, SenderId, SenderKey,
    Target, UpsertOutcome,
};
use nexo_pairing_engine::{EngineOptions, PairingEngine, Storage};
use time::OffsetDateTime;

use crate::intercept::{Hooks, Intercepted};
use crate::suite::{Environment, Suite};

/// When the cases begin, in UTC seconds: 2027-01-15.
pub(crate) const START: i64 = 1_800_000_000;

/// Random bytes that are none: a number that counts up, so that every code is another one.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl RandomSource for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        let mut number = self.0.fetch_add(1, Ordering::SeqCst);
        for byte in bytes {
            *byte = (number % 32) as u8;
            number /= 32;
        }
        Ok(())
    }
}

/// A new storage with an engine on it.
pub(crate) struct World<S> {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: PairingEngine<S>,
    /// What the storage needs to be there for as long as it is, such as a folder.
    _keeps: Box<dyn Any + Send + Sync>,
}

impl<S: Storage> World<S> {
    pub(crate) async fn new(suite: &Suite<S>) -> Self {
        Self::with(suite, |storage| storage).await
    }
}

impl<S: Storage> World<Intercepted<S>> {
    /// A world whose operations on rows are watched, or changed.
    pub(crate) async fn hooked(suite: &Suite<S>, hooks: Arc<dyn Hooks>) -> Self {
        Self::with(suite, |storage| Intercepted::new(storage, hooks)).await
    }
}

impl<S: Storage> World<S> {
    async fn with<B: Storage>(suite: &Suite<B>, wrap: impl FnOnce(B) -> S) -> Self {
        let clock = ManualClock::new(moment(START));
        let options = EngineOptions::default()
            .with_clock(clock.clone())
            .with_random(Arc::new(Counting::default()));
        let environment = Environment::new(Arc::clone(&options.clock), Arc::clone(&options.random));
        let opened = suite.open(environment).await;
        let store = PairingEngine::new(wrap(opened.storage), options);
        Self { clock, store, _keeps: opened.keeps }
    }

    /// A second handle.
    pub(crate) fn another(&self) -> PairingEngine<S> {
        self.store.clone()
    }

    pub(crate) fn pass(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// What a message of this sender does.
    pub(crate) async fn message(&self, sender: &str) -> UpsertOutcome {
        self.store.upsert_pending(NewRequest::new(key(sender))).await.unwrap()
    }

    /// The code of a new request of this sender.
    pub(crate) async fn code(&self, sender: &str) -> String {
        match self.message(sender).await {
            UpsertOutcome::Created { code, .. } => code.as_str().to_owned(),
            other => panic!("{sender} got no new code but {other:?}"),
        }
    }

    pub(crate) async fn approve(&self, code: &str) -> Result<SenderKey, PairingError> {
        let approved = self.store.approve(code, &Actor::cli(), Grant::unlimited()).await?;
        Ok(SenderKey::new(approved.channel, approved.account_id, approved.sender_id))
    }

    pub(crate) async fn seed(&self, sender: &str) {
        let key = key(sender);
        let senders = [key.sender_id];
        self.store.seed(&key.channel, &key.account_id, &senders, &Actor::seed()).await.unwrap();
    }

    pub(crate) async fn is_allowed(&self, sender: &str) -> bool {
        self.store.is_allowed(&key(sender)).await.unwrap()
    }

    /// The senders that the listing shows as let in.
    pub(crate) async fn allowed(&self) -> Vec<String> {
        let allowed = self.store.list_allow(&Filter::all(), false).await.unwrap();
        allowed.into_iter().map(|grant| grant.sender_id.to_string()).collect()
    }

    /// The senders that wait for the operator.
    pub(crate) async fn pending(&self) -> Vec<String> {
        let pending = self.store.list_pending(&Filter::all()).await.unwrap();
        pending.into_iter().map(|request| request.sender_id.to_string()).collect()
    }

    /// The audit log as `actor action sender`.
    pub(crate) async fn audit(&self) -> Vec<String> {
        let events = self.store.audit(&Filter::all(), 1000).await.unwrap();
        let line = |event: nexo_pairing_core::AuditEvent| {
            let sender = event.sender_id.unwrap_or_default();
            format!("{} {} {sender}", event.actor, event.action).trim_end().to_owned()
        };
        events.into_iter().map(line).collect()
    }
}

pub(crate) fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

pub(crate) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

pub(crate) fn hours(hours: u64) -> Duration {
    minutes(60 * hours)
}

pub(crate) fn channel() -> ChannelId {
    ChannelId::parse("whatsapp").unwrap()
}

pub(crate) fn account(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

pub(crate) fn sender(id: &str) -> SenderId {
    SenderId::parse(id).unwrap()
}

pub(crate) fn actor(name: &str) -> Actor {
    Actor::parse(name).unwrap()
}

/// A sender on the account `personal`.
pub(crate) fn key(id: &str) -> SenderKey {
    key_on("personal", id)
}

pub(crate) fn key_on(name: &str, id: &str) -> SenderKey {
    SenderKey::new(channel(), account(name), sender(id))
}

/// A sender on all accounts.
pub(crate) fn everywhere(id: &str) -> Target {
    Target::new(channel(), AccountScope::All, sender(id))
}

/// A code that nobody has and whose check character fits; another one for each number.
pub(crate) fn unknown(number: u8) -> String {
    PairingCode::from_random([31, 31, 31, 31, 31, 31, number]).as_str().to_owned()
}

/// The same, but for its check character.
pub(crate) fn mistyped(number: u8) -> String {
    let mut code = unknown(number);
    let last = if code.ends_with('A') { "B" } else { "A" };
    code.replace_range(7.., last);
    code
}
