//! The suite that every storage of `nexo-pairing` passes, including third-party ones.
//!
//! [`conformance_tests!`] generates a test for each case. A function opens the storage, given the
//! clock and the randomness of the case:
//!
//! ```
//! # use nexo_pairing_memory::MemoryStorage;
//! use nexo_pairing_conformance::{Capabilities, Environment, Opened, conformance_tests};
//!
//! async fn open(environment: Environment) -> Opened<MemoryStorage> {
//!     Opened::new(MemoryStorage::new(environment.clock))
//! }
//!
//! conformance_tests!(open, Capabilities::default());
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a panic fails the case"
)]

#[macro_use]
mod list;
#[doc(hidden)]
pub mod cases;
mod intercept;
mod prelude;
mod replica;
mod suite;
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;
mod world;

#[doc(hidden)]
pub use suite::run;
pub use suite::{Capabilities, Environment, Opened, Suite};

/// Generates a test for each case of the suite, in modules named by subject.
///
/// The first argument is a function that makes a new, empty storage of an [`Environment`]: it returns
/// a future of [`Opened`]. The second states the capabilities of the storage.
#[macro_export]
macro_rules! conformance_tests {
    ($open:expr, $capabilities:expr $(,)?) => {
        use $crate::__conformance_tests;
        $crate::for_each_case!(__conformance_tests, $open, $capabilities);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ($open:expr, $capabilities:expr, $($module:ident: $($case:ident),* $(,)?;)*) => {
        $(mod $module {
            use super::*;

            $crate::__conformance_tests!(@ $open, $capabilities, $module, $($case),*);
        })*
    };
    (@ $open:expr, $capabilities:expr, $module:ident, $($case:ident),*) => {
        $(#[test]
        fn $case() {
            let suite = $crate::Suite::new($open, $capabilities);
            $crate::run($crate::cases::$module::$case(&suite));
        })*
    };
}
