//! The storage of `nexo-pairing` in memory: for tests, examples and programs that persist nothing.
//!
//! [`MemoryStore`] has the operations of the store in a SQLite file, by the same engine. Its contents are
//! dropped with the last handle.
//!
//! ```
//! use nexo_pairing_core::{AccountId, Actor, ChannelId, OperatorBackend, SenderId, SenderKey};
//! use nexo_pairing_engine::EngineOptions;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The options have a clock and a source of randomness, which tests replace.
//! let store = nexo_pairing_memory::open_memory(EngineOptions::default());
//! let (channel, account) = (ChannelId::parse("telegram")?, AccountId::default_account());
//! let sender = SenderId::parse("1001")?;
//! store.seed(&channel, &account, &[sender.clone()], &Actor::seed()).await?;
//! assert!(store.is_allowed(&SenderKey::new(channel, account, sender)).await?);
//! # Ok(())
//! # }
//! ```
//!
//! Operations expire overdue rows as they meet them; the audit log and other growing tables are trimmed
//! by [`purge_expired`](nexo_pairing_core::OperatorBackend::purge_expired). A program that runs for weeks
//! calls it periodically.

mod state;
mod storage;
mod tables;

use std::sync::Arc;

use nexo_pairing_engine::{EngineOptions, PairingEngine};

pub use storage::MemoryStorage;

/// The operations of pairing on a storage in memory.
pub type MemoryStore = PairingEngine<MemoryStorage>;

/// A new, empty store in memory, with its clock and its randomness.
#[must_use]
pub fn open_memory(options: EngineOptions) -> MemoryStore {
    PairingEngine::new(MemoryStorage::new(Arc::clone(&options.clock)), options)
}
