//! A storage on a stopped clock, with an engine whose codes count up.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use nexo_pairing_core::{Filter, ManualClock, OperatorBackend, SessionBackend};
use nexo_pairing_engine::{EngineOptions, PairingEngine, Storage};

use crate::intercept::{Hooks, Intercepted};
use crate::suite::{Environment, Suite};
use crate::testing;
pub(crate) use crate::testing::*;

/// A new storage with an engine on it.
pub(crate) struct World<S> {
    world: testing::World<PairingEngine<S>>,
    /// Resources of the storage, such as a folder.
    _keeps: Box<dyn Any + Send + Sync>,
}

impl<S: Storage> World<S> {
    pub(crate) async fn new(suite: &Suite<S>) -> Self {
        Self::with(suite, |storage| storage).await
    }
}

impl<S: Storage> World<Intercepted<S>> {
    /// A world with hooks into its row operations.
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
        Self { world: testing::World { clock, store }, _keeps: opened.keeps }
    }

    /// A second handle.
    pub(crate) fn another(&self) -> PairingEngine<S> {
        self.store.clone()
    }

    /// Every list and the audit log, one line per row, without random values.
    pub(crate) async fn visible_state(&self) -> Vec<String> {
        let all = Filter::all();
        let mut lines = Vec::new();
        for grant in self.store.list_allow(&all, true).await.unwrap() {
            lines.push(format!("{grant:?}"));
        }
        for block in self.store.list_blocked(&all).await.unwrap() {
            lines.push(format!("{block:?}"));
        }
        for request in self.store.list_pending(&all).await.unwrap() {
            lines.push(format!("{request:?}"));
        }
        for session in self.store.list_sessions(true).await.unwrap() {
            let (label, revoked) = (session.device_label, session.revoked_at);
            lines.push(format!("session {label:?} {:?} {revoked:?}", session.expires_at));
        }
        for event in self.store.audit(&all, 10_000).await.unwrap() {
            let sender = event.sender_id.map_or_else(String::new, |id| id.to_string());
            // A pseudonym differs each time.
            let sender = sender.split_once(':').map_or(&*sender, |(kind, _)| kind);
            let (at, actor, action) = (event.at, event.actor, event.action);
            lines.push(format!("{at} {actor} {action} {:?} {sender}", event.account_id));
        }
        lines
    }
}

impl<S> Deref for World<S> {
    type Target = testing::World<PairingEngine<S>>;

    fn deref(&self) -> &Self::Target {
        &self.world
    }
}
