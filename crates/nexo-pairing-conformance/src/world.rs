//! A storage on a stopped clock, with an engine whose codes count up.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use nexo_pairing_core::ManualClock;
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
}

impl<S> Deref for World<S> {
    type Target = testing::World<PairingEngine<S>>;

    fn deref(&self) -> &Self::Target {
        &self.world
    }
}
