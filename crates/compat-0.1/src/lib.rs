#![doc = include_str!("../README.md")]

pub mod adapter;
pub mod code;
mod convert;
pub mod gate;
pub mod generic_adapter;
pub mod plugin_admin;
pub mod qr;
pub mod registry;
pub mod session_store;
pub mod setup_code;
pub mod store;
pub mod telemetry;
pub mod types;
pub mod url_resolver;

pub use adapter::PairingChannelAdapter;
pub use gate::PairingGate;
pub use registry::PairingAdapterRegistry;
pub use session_store::{PairingSessionStore, SessionRow};
pub use setup_code::SetupCodeIssuer;
pub use store::PairingStore;
pub use types::{
    AllowedSender, ApprovedRequest, Decision, PairingError, PairingPolicy, PendingRequest,
    SetupCode, TokenClaims, UpsertOutcome,
};
