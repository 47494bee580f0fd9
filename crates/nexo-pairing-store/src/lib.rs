//! STUB of the store's public surface: signatures are final, bodies are being written.
#![allow(missing_docs, unused_variables, clippy::all)]
use std::{path::{Path, PathBuf}, sync::{Arc, Weak}, time::Duration};
use nexo_pairing_core::*;
use time::OffsetDateTime;

#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StoreOptions { pub clock: Arc<dyn Clock>, /// default 365
    pub audit_days: u32 }
impl Default for StoreOptions { fn default() -> Self { unimplemented!() } }
/// implements PairingBackend; Clone shares the handle
#[derive(Debug, Clone)]
pub struct PairingStore;
impl PairingStore {
    /// creates the file (and its 0700 folder) where there is none, upgrades an old one
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, PairingError> { unimplemented!() }
    pub async fn open_with(path: impl AsRef<Path>, options: StoreOptions) -> Result<Self, PairingError> { unimplemented!() }
    pub async fn open_memory() -> Result<Self, PairingError> { unimplemented!() }
    /// A private copy in memory: nothing done to it reaches the file, nothing is created; a missing file is an empty store
    pub async fn snapshot(path: impl AsRef<Path>, options: StoreOptions) -> Result<Self, PairingError> { unimplemented!() }
    /// a consistent copy, while in use; refuses a destination that exists
    pub async fn backup(&self, destination: impl AsRef<Path>) -> Result<(), PairingError> { unimplemented!() }
}
/// What can be said of a database file without changing it; for doctor.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection { /// 0: written by 0.1.8
    pub schema_version: u32, pub newest_schema: u32, /// empty: sound
    pub problems: Vec<String>, pub newest_row: Option<OffsetDateTime> }
impl Inspection { pub async fn of(path: impl AsRef<Path>) -> Result<Self, PairingError> { unimplemented!() } }
/// Boxed in PairingError::Backend
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError { #[error("x")] X }
impl StoreError { /// what the operator can do about it
    pub fn hint(&self) -> Option<String> { unimplemented!() } }
macro_rules! todo_backend { () => {} }
#[async_trait::async_trait]
impl PairingBackend for PairingStore {
    async fn upsert_pending(&self, request: NewRequest) -> Result<UpsertOutcome, PairingError> { unimplemented!() }
    async fn challenge_undelivered(&self, key: &SenderKey, cooldown: Duration, retry_after: Duration) -> Result<(), PairingError> { unimplemented!() }
    fn attach(&self, mirror: Weak<dyn Mirror>) { unimplemented!() }
    async fn refresh(&self) -> Result<(), PairingError> { unimplemented!() }
    async fn approve(&self, code: &str, actor: &Actor, grant: Grant) -> Result<ApprovedRequest, PairingError> { unimplemented!() }
    async fn reject(&self, code: &str, actor: &Actor) -> Result<RejectedRequest, PairingError> { unimplemented!() }
    async fn revoke(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError> { unimplemented!() }
    async fn block(&self, target: &Target, actor: &Actor, reason: Option<&str>) -> Result<Blocking, PairingError> { unimplemented!() }
    async fn unblock(&self, target: &Target, actor: &Actor) -> Result<bool, PairingError> { unimplemented!() }
    async fn seed(&self, channel: &ChannelId, account: &AccountId, senders: &[SenderId], actor: &Actor) -> Result<SeedReport, PairingError> { unimplemented!() }
    async fn forget(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError> { unimplemented!() }
    async fn unlock(&self, locked: &Actor, actor: &Actor) -> Result<bool, PairingError> { unimplemented!() }
    async fn is_allowed(&self, key: &SenderKey) -> Result<bool, PairingError> { unimplemented!() }
    async fn list_pending(&self, filter: &Filter) -> Result<Vec<PendingRequest>, PairingError> { unimplemented!() }
    async fn list_allow(&self, filter: &Filter, include_revoked: bool) -> Result<Vec<AllowedSender>, PairingError> { unimplemented!() }
    async fn list_blocked(&self, filter: &Filter) -> Result<Vec<BlockedSender>, PairingError> { unimplemented!() }
    async fn audit(&self, filter: &Filter, limit: u32) -> Result<Vec<AuditEvent>, PairingError> { unimplemented!() }
    async fn purge_expired(&self) -> Result<u64, PairingError> { unimplemented!() }
}
