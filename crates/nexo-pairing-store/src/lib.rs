//! Keeps grants, blocks, requests, sessions and the audit log in one SQLite file.
//!
//! [`PairingStore`] is the store of `nexo-pairing`: several processes may use one file at once, an
//! operation that has returned `Ok` survives a crash, and no SQLite call runs on an async worker thread.
//!
//! ```
//! use nexo_pairing_core::{AccountId, Actor, ChannelId, SenderId, SenderKey};
//! use nexo_pairing_store::PairingStore;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let store = PairingStore::open(folder.path().join("pairing.db")).await?;
//!
//! let (channel, account) = (ChannelId::parse("whatsapp")?, AccountId::parse("personal")?);
//! let ana = SenderId::parse("+14155550100")?;
//! store.seed(&channel, &account, &[ana.clone()], &Actor::seed()).await?;
//! assert!(store.is_allowed(&SenderKey::new(channel, account, ana)).await?);
//! # Ok(())
//! # }
//! ```

mod batch;
#[cfg(test)]
mod conformance;
mod connection;
mod error;
mod feed;
mod inspect;
mod integrity;
mod legacy;
mod open;
mod options;
mod rows;
mod space;
#[cfg(test)]
mod statements;
mod storage;
mod store;
mod watch;
mod worker;

pub use error::{StoreError, StoreErrorKind};
pub use inspect::Inspection;
pub use legacy::read_legacy_sessions;
#[doc(no_inline)]
pub use nexo_pairing_core::{OsRandom, RandomError, RandomSource};
pub use options::StoreOptions;
pub use store::PairingStore;
