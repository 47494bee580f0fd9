//! Imports of every case.

pub(crate) use nexo_pairing_core::{GateBackend, OperatorBackend, SessionBackend};
pub(crate) use nexo_pairing_engine::Storage;

pub(crate) use crate::suite::Suite;
pub(crate) use crate::world::World;
