//! The contracts between a store and its users: gates, operators, and servers of sessions.

mod gate;
mod into;
mod mirror;
mod operator;
mod session;

pub use gate::{GateBackend, NewRequest};
pub use into::IntoBackend;
pub use mirror::{Mirror, Span, Standing};
pub use operator::{OperatorBackend, Target};
pub use session::SessionBackend;
