//! Pairing for chat agents: who may talk to an agent, and which device may join it.
//!
//! This crate only re-exports: each piece is a crate of its own, and a feature here.

#[doc(inline)]
pub use nexo_pairing_core::*;

#[cfg(feature = "config")]
#[doc(inline)]
pub use nexo_pairing_config as config;

#[cfg(feature = "gate")]
#[doc(inline)]
pub use nexo_pairing_gate::{
    Delivery, EventError, Explanation, GateOptions, InboundEvent, PairingGate, Screened,
};

#[cfg(feature = "store")]
#[doc(inline)]
pub use nexo_pairing_store::{Inspection, PairingStore, StoreError, StoreOptions};

#[cfg(feature = "telegram")]
#[doc(inline)]
pub use nexo_pairing_telegram as telegram;

#[cfg(feature = "whatsapp")]
#[doc(inline)]
pub use nexo_pairing_whatsapp as whatsapp;
