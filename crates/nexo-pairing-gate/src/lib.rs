//! Decides, for each message that comes in, whether its sender may talk to the agent.
//!
//! [`PairingGate`] keeps the operator's lists in memory, so that a sender who is known, and a
//! stranger who gets no code, cost no disk access; it asks its store only to make or repeat a
//! request. Call it within a Tokio runtime that has its timers enabled.
//!
//! ```
//! use nexo_pairing_core::{Actor, Decision, Grant, Mode, GateBackend, PairingPolicy};
//! use nexo_pairing_gate::PairingGate;
//! use nexo_pairing_store::PairingStore;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = PairingStore::open_memory().await?;
//! let gate = PairingGate::new(store.clone());
//! let policy = PairingPolicy::new(Mode::Pairing);
//!
//! let first = gate.should_admit("whatsapp", "personal", "+14155550100", &policy, None).await?;
//! let Decision::Challenge { code } = first else { panic!("a stranger is challenged") };
//! store.approve(code.as_str(), &Actor::cli(), Grant::unlimited()).await?;
//!
//! let second = gate.should_admit("whatsapp", "personal", "+14155550100", &policy, None).await?;
//! assert_eq!(second, Decision::Admit);
//! # Ok(())
//! # }
//! ```

mod clock;
mod deliver;
mod event;
mod gate;
mod message;
mod replica;
mod snapshot;
mod telemetry;

pub use deliver::Delivery;
pub use event::{EventError, InboundEvent, Notice};
pub use gate::{Explanation, GateOptions, PairingGate, Screened, ScreenedNotice};
pub use snapshot::Listing;
