//! A storage around another one, whose transactions can be watched, held back and changed.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use nexo_pairing_core::rules::EndedRequest;
use nexo_pairing_core::{
    AccountId, AccountKey, Actor, AllowedSender, AuditEvent, AuditQuery, BlockedSender, ChannelId,
    Filter, Mirror, PairingCode, PairingError, SenderId, SenderKey, Session, SessionId, Target,
};
use nexo_pairing_engine::{
    AccountRow, AdapterRow, Attempt, AuditRow, Caller, Erased, LockKey, OutcomeRow, Over,
    PortError, PortResult, Progress, ReadRows, RedemptionRow, RepeatKind, Repeats, RequestCounts,
    RequestRow, Seeded, SessionRow, Sha256, Storage, Trim, Upkeep, WriteRows,
};
use time::OffsetDateTime;

/// What is done once a transaction is committed.
pub(crate) type Effect = Box<dyn FnOnce() + Send>;

/// What becomes of the operations of an [`Intercepted`] storage. By default nothing is changed.
pub(crate) trait Hooks: Send + Sync + 'static {
    /// A transaction that may write is asked for.
    fn asked(&self) {}

    /// Whether an operation is run in vain first: what it did is taken back.
    fn is_run_again(&self) -> bool {
        false
    }

    /// A row operation of a transaction that may write is about to be done.
    fn before(&self, _operation: &'static str) -> PortResult<()> {
        Ok(())
    }

    /// A transaction has its locks.
    fn locked(&self) -> PortResult<()> {
        Ok(())
    }

    /// What is done after the commit in place of `effect`.
    fn effect(&self, effect: Effect) -> Effect {
        effect
    }

    /// Whether an entry gets into the audit log.
    fn is_logged(&self) -> bool {
        true
    }

    /// What is told of the number of requests.
    fn counted(&self, counts: RequestCounts) -> RequestCounts {
        counts
    }

    /// Whether it is known that a setup code was used.
    fn knows_nonces(&self) -> bool {
        true
    }

    /// What is kept up to date in place of a mirror.
    fn mirror(&self, mirror: Weak<dyn Mirror>) -> Weak<dyn Mirror> {
        mirror
    }
}

/// A storage whose operations go through [`Hooks`].
pub(crate) struct Intercepted<S> {
    storage: S,
    hooks: Arc<dyn Hooks>,
}

impl<S> Intercepted<S> {
    pub(crate) fn new(storage: S, hooks: Arc<dyn Hooks>) -> Self {
        Self { storage, hooks }
    }
}

impl<S: Storage> Storage for Intercepted<S> {
    async fn write<T, F>(&self, caller: Caller, operation: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: Fn(&mut dyn WriteRows) -> PortResult<T> + Send + Sync + 'static,
    {
        self.hooks.asked();
        let operation = Arc::new(operation);
        if self.hooks.is_run_again() {
            let (first, hooks) = (Arc::clone(&operation), Arc::clone(&self.hooks));
            let in_vain = move |rows: &mut dyn WriteRows| {
                first(&mut Rows { rows, hooks: &*hooks })?;
                Err::<(), _>(PortError::new("the first run is taken back"))
            };
            assert!(self.storage.write(caller, in_vain).await.is_err());
        }
        let hooks = Arc::clone(&self.hooks);
        let hooked = move |rows: &mut dyn WriteRows| operation(&mut Rows { rows, hooks: &*hooks });
        self.storage.write(caller, hooked).await
    }

    async fn read<T, F>(&self, caller: Caller, operation: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn ReadRows) -> PortResult<T> + Send + 'static,
    {
        self.storage.read(caller, operation).await
    }

    async fn purge(&self, upkeep: Upkeep) -> Result<Progress, PairingError> {
        self.storage.purge(upkeep).await
    }

    fn subscribe(&self, mirror: Weak<dyn Mirror>) {
        self.storage.subscribe(self.hooks.mirror(mirror));
    }

    async fn refresh(&self) -> Result<(), PairingError> {
        self.storage.refresh().await
    }

    async fn probe(&self) -> Result<(), PairingError> {
        self.storage.probe().await
    }
}

struct Rows<'a> {
    rows: &'a mut dyn WriteRows,
    hooks: &'a dyn Hooks,
}

/// Operations on rows that are passed on.
macro_rules! read {
    ($(fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => {
        $(fn $name(&self $(, $argument: $type)*) -> PortResult<$result> {
            self.hooks.before(stringify!($name))?;
            self.rows.$name($($argument),*)
        })*
    };
}

macro_rules! write {
    ($(fn $name:ident(&mut self $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => {
        $(fn $name(&mut self $(, $argument: $type)*) -> PortResult<$result> {
            self.hooks.before(stringify!($name))?;
            self.rows.$name($($argument),*)
        })*
    };
}

impl ReadRows for Rows<'_> {
    fn now(&self) -> OffsetDateTime {
        self.rows.now()
    }

    fn count_requests(
        &self,
        channel: &ChannelId,
        account: &AccountId,
        over: Over,
    ) -> PortResult<RequestCounts> {
        self.hooks.before("count_requests")?;
        Ok(self.hooks.counted(self.rows.count_requests(channel, account, over)?))
    }

    fn redemption(&self, nonce: &str) -> PortResult<Option<RedemptionRow>> {
        self.hooks.before("redemption")?;
        Ok(self.rows.redemption(nonce)?.filter(|_| self.hooks.knows_nonces()))
    }

    read! {
        fn request(&self, key: &SenderKey) -> Option<RequestRow>;
        fn request_by_code(&self, code: &PairingCode) -> Option<RequestRow>;
        fn visit_requests(&self, filter: &Filter, each: &mut dyn FnMut(RequestRow)) -> ();
        fn overdue_requests(&self, of: Option<&Target>, over: Over, limit: u64) -> Vec<RequestRow>;
        fn requests_of(&self, target: &Target) -> Vec<RequestRow>;
        fn is_code_known(&self, code: &PairingCode) -> bool;
        fn last_outcome(&self, key: &SenderKey) -> Option<EndedRequest>;
        fn outcome_of_code(&self, code: &PairingCode, after: i64, until: i64) -> Option<OutcomeRow>;
        fn grant(&self, key: &SenderKey) -> Option<AllowedSender>;
        fn visit_grants(&self, filter: &Filter, each: &mut dyn FnMut(AllowedSender)) -> ();
        fn is_blocked(&self, key: &SenderKey) -> bool;
        fn has_blocks(&self, channel: &ChannelId) -> bool;
        fn blocked_on(&self, channel: &ChannelId, account: &AccountId) -> HashSet<SenderId>;
        fn visit_blocks(&self, filter: &Filter, each: &mut dyn FnMut(BlockedSender)) -> ();
        fn attempts(&self, actor: &Actor, after: i64) -> Vec<Attempt>;
        fn audit(&self, query: &AuditQuery) -> Vec<AuditEvent>;
        fn accounts(&self) -> Vec<AccountRow>;
        fn adapters(&self) -> Vec<AdapterRow>;
        fn unaudited_redemptions(&self) -> Vec<RedemptionRow>;
        fn session(&self, id: &SessionId) -> Option<SessionRow>;
        fn session_by_token(&self, token: &Sha256) -> Option<SessionRow>;
        fn visit_sessions(&self, each: &mut dyn FnMut(Session)) -> ();
    }
}

impl WriteRows for Rows<'_> {
    fn lock(&mut self, keys: &[LockKey]) -> PortResult<()> {
        assert!(keys.is_sorted(), "everybody locks in the same order: {keys:?}");
        self.hooks.before("lock")?;
        self.rows.lock(keys)?;
        self.hooks.locked()
    }

    fn after_commit(&mut self, effect: Effect) {
        self.rows.after_commit(self.hooks.effect(effect));
    }

    fn takes_upkeep(&mut self) -> bool {
        self.rows.takes_upkeep()
    }

    fn append_audit(&mut self, entry: &AuditRow<'_>) -> PortResult<()> {
        self.hooks.before("append_audit")?;
        if self.hooks.is_logged() { self.rows.append_audit(entry) } else { Ok(()) }
    }

    fn insert_redemption(&mut self, redemption: &RedemptionRow) -> PortResult<bool> {
        self.hooks.before("insert_redemption")?;
        Ok(self.rows.insert_redemption(redemption)? || !self.hooks.knows_nonces())
    }

    write! {
        fn insert_request(&mut self, request: &RequestRow) -> bool;
        fn set_challenged_at(&mut self, key: &SenderKey, at: i64) -> ();
        fn close_request(&mut self, outcome: &OutcomeRow) -> ();
        fn put_grant(&mut self, grant: &AllowedSender) -> ();
        fn seed_grants(
            &mut self, channel: &ChannelId, account: &AccountId, senders: &[SenderId], at: i64,
            via: &Actor
        ) -> Seeded;
        fn revoke_grants(&mut self, target: &Target, at: i64, via: &Actor) -> Vec<SenderKey>;
        fn expire_grants(&mut self, of: Option<&Target>, until: i64, limit: u64) -> u64;
        fn put_block(&mut self, block: &BlockedSender) -> ();
        fn delete_block(&mut self, target: &Target) -> bool;
        fn erase(&mut self, target: &Target, pseudonym: &str) -> Erased;
        fn insert_attempt(&mut self, actor: &Actor, attempt: Attempt) -> ();
        fn delete_attempts(&mut self, actor: &Actor) -> Vec<Attempt>;
        fn put_account(&mut self, account: &AccountRow) -> ();
        fn delete_account(&mut self, account: &AccountKey) -> ();
        fn put_adapter(&mut self, adapter: &AdapterRow) -> ();
        fn delete_adapter(&mut self, channel: &ChannelId) -> bool;
        fn put_repeats(&mut self, nonce: &str, kind: RepeatKind, repeats: &Repeats) -> ();
        fn put_session(&mut self, session: &SessionRow) -> ();
        fn trim(&mut self, what: Trim, limit: u64) -> u64;
        fn trim_audit(&mut self, after: i64, oldest: i64, newest: i64, limit: u64) -> Option<i64>;
    }
}
