//! The contracts of the core, by the operations of the engine.

mod gate;
mod operator;
mod session;
