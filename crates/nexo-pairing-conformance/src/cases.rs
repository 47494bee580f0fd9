//! The cases, by subject.

pub mod account;
pub mod adapter;
pub mod again;
pub mod audit;
pub mod bytes;
pub mod clock;
pub mod code;
pub mod concurrency;
pub mod forget;
pub mod grant;
pub mod import;
pub mod order;
pub mod redeem;
pub mod repeated;
pub mod replica;
pub mod request;
pub mod search;
pub mod session;
pub mod trim;

use std::panic::{AssertUnwindSafe, catch_unwind};

use nexo_pairing_engine::Storage;

use crate::suite::{Future, Suite, run};

macro_rules! list {
    ($($module:ident: $($case:ident),* $(,)?;)*) => {
        vec![$($((
            concat!(stringify!($module), "::", stringify!($case)),
            |suite| Box::pin(async move { $module::$case(&suite).await }),
        )),*),*]
    };
}

fn all<S: Storage>() -> Vec<Case<S>> {
    for_each_case!(list)
}

/// A case of the suite, with its name.
type Case<S> = (&'static str, fn(Suite<S>) -> Future<()>);

impl<S: Storage> Suite<S> {
    /// Runs every case and returns the names of those that failed. For tests of the suite itself. Use
    /// [`conformance_tests!`](crate::conformance_tests) otherwise.
    #[must_use]
    pub fn failures(&self) -> Vec<&'static str> {
        let cases = all::<S>().into_iter();
        let failed = cases.filter(|(_, case)| {
            catch_unwind(AssertUnwindSafe(|| run(case(self.clone())))).is_err()
        });
        failed.map(|(name, _)| name).collect()
    }
}
