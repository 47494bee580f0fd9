//! A conversion for functions that share a store with their caller.

use std::sync::Arc;

use super::{GateBackend, OperatorBackend, SessionBackend};

/// A store that implements the contract `B`, or an `Arc` of one: constructors accept either.
///
/// Implemented for all of these, where `B` is `dyn GateBackend`, `dyn OperatorBackend` or
/// `dyn SessionBackend`:
///
/// ```
/// # use std::sync::Arc;
/// use nexo_pairing_core::{GateBackend, IntoBackend};
///
/// fn take(backend: impl IntoBackend<dyn GateBackend>) -> Arc<dyn GateBackend> {
///     backend.into_backend()
/// }
///
/// # fn example<Store: GateBackend + Clone + 'static>(store: Store) {
/// let shared = Arc::new(store.clone());
/// take(store);
/// let erased: Arc<dyn GateBackend> = take(shared);
/// take(erased);
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a store that implements `{B}` nor an `Arc` of one"
)]
pub trait IntoBackend<B: ?Sized> {
    /// The store, shared.
    fn into_backend(self) -> Arc<B>;
}

macro_rules! into_backend {
    ($($contract:ident),*) => {$(
        impl<T: $contract + 'static> IntoBackend<dyn $contract> for T {
            fn into_backend(self) -> Arc<dyn $contract> {
                Arc::new(self)
            }
        }

        impl<T: $contract + 'static> IntoBackend<dyn $contract> for Arc<T> {
            fn into_backend(self) -> Arc<dyn $contract> {
                self
            }
        }

        impl IntoBackend<dyn $contract> for Arc<dyn $contract> {
            fn into_backend(self) -> Self {
                self
            }
        }
    )*};
}

into_backend!(GateBackend, OperatorBackend, SessionBackend);
