//! The suite that every storage of `nexo-pairing` passes, ours and those of others.
//!
//! [`conformance_tests!`] makes a test of each case. A storage is made by a function that takes the
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
    reason = "a case that cannot go on has failed"
)]

#[macro_use]
mod list;
#[doc(hidden)]
pub mod cases;
mod intercept;
mod picture;
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

/// Makes a test of each case of the suite, in modules named by what they are about.
///
/// The first argument is a function that makes a new, empty storage of an [`Environment`]: it returns
/// a future of [`Opened`]. The second says what the storage can do.
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
