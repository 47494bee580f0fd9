//! The contracts between a store and its users: gates, operators and session servers.

mod gate;
mod into;
mod operator;
mod replica;
mod session;

pub use gate::{GateBackend, NewRequest};
pub use into::IntoBackend;
pub use operator::{OperatorBackend, Target};
pub use replica::{Replica, SenderState, Validity};
pub use session::SessionBackend;
