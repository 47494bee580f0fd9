//! The environment of a storage under test, and how a case is run.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;

use nexo_pairing_core::{Clock, RandomSource};
use nexo_pairing_engine::Storage;

/// The environment that a storage is opened in.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Environment {
    /// The clock of every transaction. It stands still until a case moves it.
    pub clock: Arc<dyn Clock>,
    /// The source of the storage's own randomness, if it needs any.
    pub random: Arc<dyn RandomSource>,
}

impl Environment {
    pub(crate) fn new(clock: Arc<dyn Clock>, random: Arc<dyn RandomSource>) -> Self {
        Self { clock, random }
    }
}

/// Capabilities that not every storage has. Cases adapt their expectations; none is skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether a transaction can begin, and wait for its locks, while another is in progress. Default:
    /// transactions run one after the other.
    pub overlapping_transactions: bool,
}

impl Capabilities {
    /// The capabilities of a storage whose transactions overlap.
    #[must_use]
    pub fn overlapping() -> Self {
        Self { overlapping_transactions: true }
    }
}

/// A new, empty storage.
#[derive(Debug)]
pub struct Opened<S> {
    pub(crate) storage: S,
    pub(crate) keeps: Box<dyn Any + Send + Sync>,
}

impl<S> Opened<S> {
    /// A storage.
    pub fn new(storage: S) -> Self {
        Self::with(storage, ())
    }

    /// A storage, and what must live as long as it does: a temporary folder, a server.
    pub fn with(storage: S, keeps: impl Any + Send + Sync) -> Self {
        Self { storage, keeps: Box::new(keeps) }
    }
}

pub(crate) type Future<T> = Pin<Box<dyn std::future::Future<Output = T> + Send>>;

/// The suite for one storage.
pub struct Suite<S> {
    open: Arc<dyn Fn(Environment) -> Future<Opened<S>> + Send + Sync>,
    capabilities: Capabilities,
}

impl<S> Clone for Suite<S> {
    fn clone(&self) -> Self {
        Self { open: Arc::clone(&self.open), capabilities: self.capabilities }
    }
}

impl<S> std::fmt::Debug for Suite<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suite").field("capabilities", &self.capabilities).finish_non_exhaustive()
    }
}

impl<S: Storage> Suite<S> {
    /// The suite for the storages that `open` makes, each new and empty.
    pub fn new<F, O>(open: F, capabilities: Capabilities) -> Self
    where
        F: Fn(Environment) -> O + Send + Sync + 'static,
        O: std::future::Future<Output = Opened<S>> + Send + 'static,
    {
        let open = move |environment| -> Future<Opened<S>> { Box::pin(open(environment)) };
        Self { open: Arc::new(open), capabilities }
    }

    pub(crate) async fn open(&self, environment: Environment) -> Opened<S> {
        (self.open)(environment).await
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
}

/// Runs a case in a runtime of its own.
#[doc(hidden)]
pub fn run(case: impl std::future::Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_time().build().unwrap().block_on(case);
}
