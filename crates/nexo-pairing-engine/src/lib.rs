//! The operations of `nexo-pairing`, over the rows of any storage.
//!
//! [`PairingEngine`] implements the contracts of the core ([`GateBackend`], [`OperatorBackend`] and
//! [`SessionBackend`]) over a [`Storage`]: rules, limits, the audit log and metrics are here, and a
//! storage only reads and writes rows. Applications use `nexo-pairing-store`, the storage in a SQLite
//! file; this crate is for authors of other storages.
//!
//! [`GateBackend`]: nexo_pairing_core::GateBackend
//! [`OperatorBackend`]: nexo_pairing_core::OperatorBackend
//! [`SessionBackend`]: nexo_pairing_core::SessionBackend

mod adapters;
mod backend;
mod code;
mod engine;
mod grant;
mod list;
mod maintenance;
mod modes;
mod port;
mod redemption;
mod refusal;
mod repeat;
mod request;
mod session;
mod state;
mod storage;
mod tx;

pub use engine::{EngineOptions, PairingEngine};
pub use maintenance::{Maintenance, Progress};
pub use port::{
    AccountRow, AdapterRow, Attempt, AttemptKind, AttemptTable, AuditRow, AuditTable, AuditTrim,
    BlockTable, Erased, GrantEnd, GrantTable, LockKey, ModeTable, OutcomeRow, OutcomeTable,
    Overdue, PortError, PortResult, RedemptionRow, RedemptionTable, Repeats, RequestCounts,
    RequestRow, RequestTable, Rows, Seed, SessionRow, SessionTable, Sha256, Trim, at,
};
pub use state::sender_state;
pub use storage::{Caller, Storage};
