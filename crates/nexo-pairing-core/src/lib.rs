//! The types and traits that all crates of `nexo-pairing` share.
//!
//! This crate is for authors of **channel adapters** and **stores**, who need no other crate of
//! `nexo-pairing`. Applications use the facade, `nexo-pairing`. It does no I/O, starts no threads, and
//! is deliberately small: a type that only one crate needs lives in that crate.
//!
//! * An adapter implements [`PairingChannelAdapter`] and publishes its messages on an [`Outbound`].
//! * A gate uses a [`GateBackend`], commands and consoles an [`OperatorBackend`], a server a
//!   [`SessionBackend`]. `nexo-pairing-engine` implements all three on the row operations of a storage.
//! * [`rules::evaluate`] has the rules of admission, [`limits`] all bounds and defaults.

#[macro_use]
mod macros;

mod adapter;
mod audit;
mod backend;
mod challenge;
mod clock;
mod code;
mod decision;
mod error;
mod id;
mod inbound;
pub mod limits;
pub mod metric;
mod modes;
mod network;
mod policy;
mod query;
mod random;
mod record;
mod registry;
mod remote;
pub mod rules;
mod secret;
mod session;
pub mod setup_code;
pub mod text;
pub mod timestamp;
mod warning;

pub use adapter::{DeliveryRoute, Outbound, PairingChannelAdapter, outbound_topic};
pub use audit::{AuditAction, AuditEvent};
pub use backend::{
    GateBackend, IntoBackend, NewRequest, OperatorBackend, Replica, SenderState, SessionBackend,
    Target, Validity,
};
pub use challenge::{Challenge, Language, Segment};
pub use clock::{Clock, ManualClock, SystemClock};
pub use code::{CodeError, PairingCode};
pub use decision::Decision;
pub use error::PairingError;
pub use id::{AccountId, AccountScope, Actor, ChannelId, IdError, SenderId, SenderKey, SessionId};
pub use inbound::Inbound;
pub use modes::{
    AccountKey, ConfiguredModes, ModeSetting, ModesError, ModesInForce, RememberedModes,
    RetainedModes,
};
pub use network::{Network, NetworkError};
pub use policy::{Mode, OnReplay, PairingPolicy, PolicyError, PolicyOptions};
pub use query::{AuditQuery, Filter};
pub use random::{OsRandom, RandomError, RandomSource};
pub use record::{
    AllowedSender, ApprovedRequest, BlockOutcome, BlockedSender, Grant, PendingRequest,
    RejectedRequest, SeedReport, UpsertOutcome,
};
pub use registry::PairingAdapterRegistry;
pub use remote::{AdaptersError, ConfiguredAdapters, RememberedAdapters};
pub use rules::{DecisionKind, DropReason, Rule};
pub use secret::{ClaimId, SecretError, SessionToken};
pub use session::{
    Cancellation, ImportReport, ImportedSession, IssuedSession, PeerAddress, RedeemError,
    Redemption, RedemptionState, Session, SetupEvent,
};
pub use setup_code::{SetupCode, SetupCodeError, SetupCodeFormat, TokenClaims};
pub use warning::WarningLimiter;
