//! The types and traits that everything in `nexo-pairing` is built on.
//!
//! This crate is for the authors of **channel adapters** and of **stores**: depend on it, and on
//! nothing else of ours. Applications want the facade, `nexo-pairing`. It does no I/O, starts no
//! thread and stays small on purpose: a type that only one crate needs lives in that crate.
//!
//! * An adapter implements [`PairingChannelAdapter`] and hands what it sends to an [`Outbound`].
//! * A store implements [`PairingBackend`] and keeps every attached [`Mirror`] up to date.

mod adapter;
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
mod policy;
mod record;
mod registry;
pub mod rules;
mod secret;
pub mod setup_code;
pub mod text;
mod warning;

pub use adapter::{DeliveryRoute, Outbound, PairingChannelAdapter, outbound_topic};
pub use backend::{Filter, Mirror, NewRequest, PairingBackend, Span, Standing, Target};
pub use challenge::{Challenge, Language, Piece};
pub use clock::{Clock, ManualClock, SystemClock};
pub use code::{CodeError, PairingCode};
pub use decision::{Decision, Verdict};
pub use error::PairingError;
pub use id::{AccountId, AccountScope, Actor, ChannelId, IdError, SenderId, SenderKey};
pub use inbound::Inbound;
pub use modes::{
    AccountKey, KeptModes, ModeWords, ModesError, ModesInForce, RememberedModes, SaidMode,
};
pub use policy::{Mode, OnReplay, PairingPolicy, PolicyError, PolicyOptions};
pub use record::{
    AllowedSender, ApprovedRequest, AuditEvent, BlockedSender, Blocking, Grant, PendingRequest,
    RejectedRequest, SeedReport, UpsertOutcome,
};
pub use registry::PairingAdapterRegistry;
pub use rules::{DropReason, Rule};
pub use secret::{ClaimId, SecretError, SessionToken};
pub use setup_code::{SetupCode, SetupCodeError, SetupCodeFormat, TokenClaims};
pub use warning::WarningLimiter;
