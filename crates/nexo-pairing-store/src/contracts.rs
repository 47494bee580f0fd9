//! The contracts of the core, by the operations of the store.

use std::sync::Weak;
use std::time::Duration;

use async_trait::async_trait;
use nexo_pairing_core::{
    AccountId, AccountKey, Actor, AllowedSender, ApprovedRequest, AuditEvent, AuditQuery,
    BlockedSender, Blocking, Cancellation, ChannelId, Filter, GateBackend, Grant, ImportReport,
    ImportedSession, IssuedSession, Mirror, ModeWords, ModesError, ModesInForce, NewRequest,
    OperatorBackend, PairingError, PeerAddress, PendingRequest, RedeemError, Redemption,
    RedemptionState, RejectedRequest, RememberedModes, SaidMode, SeedReport, SenderId, SenderKey,
    Session, SessionBackend, SessionId, SessionToken, SetupEvent, Target, TokenClaims,
    UpsertOutcome,
};

use crate::PairingStore;

/// Implements a contract by the operations of the same names.
macro_rules! forward {
    ($contract:ident { $($sync:item)* } $(fn $name:ident(&self $(, $arg:ident: $ty:ty)*) -> $answer:ty;)*) => {
        #[async_trait]
        impl $contract for PairingStore {
            $(async fn $name(&self $(, $arg: $ty)*) -> $answer {
                PairingStore::$name(self $(, $arg)*).await
            })*
            $($sync)*
        }
    };
}

forward! {
    GateBackend {
        fn attach(&self, mirror: Weak<dyn Mirror>) {
            self.add_mirror(mirror);
        }
    }
    fn upsert_pending(&self, request: NewRequest) -> Result<UpsertOutcome, PairingError>;
    fn challenge_undelivered(&self, key: &SenderKey, cooldown: Duration, retry_after: Duration) -> Result<(), PairingError>;
    fn refresh(&self) -> Result<(), PairingError>;
}

forward! {
    OperatorBackend {}
    fn approve(&self, code: &str, actor: &Actor, grant: Grant) -> Result<ApprovedRequest, PairingError>;
    fn reject(&self, code: &str, actor: &Actor) -> Result<RejectedRequest, PairingError>;
    fn revoke(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError>;
    fn block(&self, target: &Target, actor: &Actor, reason: Option<&str>) -> Result<Blocking, PairingError>;
    fn unblock(&self, target: &Target, actor: &Actor) -> Result<bool, PairingError>;
    fn seed(&self, channel: &ChannelId, account: &AccountId, senders: &[SenderId], actor: &Actor) -> Result<SeedReport, PairingError>;
    fn forget(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError>;
    fn unlock(&self, locked: &Actor, actor: &Actor) -> Result<bool, PairingError>;
    fn is_allowed(&self, key: &SenderKey) -> Result<bool, PairingError>;
    fn list_pending(&self, filter: &Filter) -> Result<Vec<PendingRequest>, PairingError>;
    fn list_allow(&self, filter: &Filter, include_revoked: bool) -> Result<Vec<AllowedSender>, PairingError>;
    fn list_blocked(&self, filter: &Filter) -> Result<Vec<BlockedSender>, PairingError>;
    fn audit(&self, filter: &Filter, limit: u32) -> Result<Vec<AuditEvent>, PairingError>;
    fn purge_expired(&self) -> Result<u64, PairingError>;
    fn visit_allow(&self, filter: &Filter, include_revoked: bool, each: Box<dyn FnMut(AllowedSender) + Send>) -> Result<(), PairingError>;
    fn visit_blocked(&self, filter: &Filter, each: Box<dyn FnMut(BlockedSender) + Send>) -> Result<(), PairingError>;
    fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditEvent>, PairingError>;
    fn remembered_modes(&self) -> Result<RememberedModes, PairingError>;
    fn put_modes_in_force(&self, words: &ModeWords, fallback: Option<SaidMode>, own: Option<&RememberedModes>) -> Result<Result<ModesInForce, ModesError>, PairingError>;
    fn forget_mode(&self, account: Option<&AccountKey>, actor: &Actor) -> Result<Vec<(Option<AccountKey>, SaidMode)>, PairingError>;
}

forward! {
    SessionBackend {}
    fn redeem(&self, redemption: Redemption) -> Result<IssuedSession, RedeemError>;
    fn cancel(&self, claims: &TokenClaims, actor: &Actor) -> Result<Cancellation, PairingError>;
    fn redemption(&self, nonce: &str) -> Result<Option<RedemptionState>, PairingError>;
    fn session(&self, token: &SessionToken) -> Result<Option<Session>, PairingError>;
    fn touch(&self, id: &SessionId, peer: Option<PeerAddress>) -> Result<(), PairingError>;
    fn renew_session(&self, token: &SessionToken, ttl: Duration) -> Result<Option<Session>, PairingError>;
    fn end_session(&self, token: &SessionToken) -> Result<bool, PairingError>;
    fn list_sessions(&self, include_ended: bool) -> Result<Vec<Session>, PairingError>;
    fn revoke_session(&self, id: &SessionId, actor: &Actor) -> Result<Option<Session>, PairingError>;
    fn import_sessions(&self, sessions: Vec<ImportedSession>, actor: &Actor) -> Result<ImportReport, PairingError>;
    fn purge_sessions(&self) -> Result<u64, PairingError>;
    fn record(&self, actor: &Actor, event: SetupEvent) -> Result<(), PairingError>;
    fn probe(&self) -> Result<(), PairingError>;
}
