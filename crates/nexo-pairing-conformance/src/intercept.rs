//! A storage that wraps another one and can watch, delay and change its transactions.

use std::sync::{Arc, Weak};

use nexo_pairing_core::rules::{EndedRequest, RequestEnd};
use nexo_pairing_core::{
    AccountKey, Actor, AllowedSender, AuditEvent, AuditQuery, BlockedSender, Filter, PairingCode,
    PairingError, Replica, SeedReport, SenderKey, Session, SessionId, Target,
};
use nexo_pairing_engine::{
    AccountRow, AdapterRow, Attempt, AttemptTable, AuditRow, AuditTable, AuditTrim, BlockTable,
    Caller, Erased, GrantEnd, GrantTable, LockKey, Maintenance, ModeTable, OutcomeRow,
    OutcomeTable, Overdue, PortError, PortResult, Progress, RedemptionRow, RedemptionTable,
    RequestCounts, RequestRow, RequestTable, Rows, Seed, SessionRow, SessionTable, Sha256, Storage,
    Trim,
};
use time::OffsetDateTime;

/// A post-commit effect.
pub(crate) type Effect = Box<dyn FnOnce() + Send>;

/// Hooks into the operations of an [`Intercepted`] storage. By default they change nothing.
pub(crate) trait Hooks: Send + Sync + 'static {
    /// Called before a write transaction begins.
    fn asked(&self) {}

    /// Whether an operation runs once and is rolled back before it runs for good.
    fn is_run_again(&self) -> bool {
        false
    }

    /// Called before each row operation of a write transaction.
    fn before(&self, _operation: &'static str) -> PortResult<()> {
        Ok(())
    }

    /// Called once a transaction has its locks.
    fn locked(&self) -> PortResult<()> {
        Ok(())
    }

    /// Replaces a post-commit effect.
    fn effect(&self, effect: Effect) -> Effect {
        effect
    }

    /// Whether an entry is written to the audit log.
    fn is_logged(&self) -> bool {
        true
    }

    /// Replaces the counts of requests.
    fn counted(&self, counts: RequestCounts) -> RequestCounts {
        counts
    }

    /// Whether a used setup code is reported as used.
    fn knows_nonces(&self) -> bool {
        true
    }

    /// Replaces a replica that subscribes.
    fn replica(&self, replica: Weak<dyn Replica>) -> Weak<dyn Replica> {
        replica
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
        F: Fn(&mut dyn Rows) -> PortResult<T> + Send + Sync + 'static,
    {
        self.hooks.asked();
        let operation = Arc::new(operation);
        if self.hooks.is_run_again() {
            let (first, hooks) = (Arc::clone(&operation), Arc::clone(&self.hooks));
            let in_vain = move |rows: &mut dyn Rows| {
                first(&mut HookedRows::new(rows, &*hooks))?;
                Err::<(), _>(PortError::new("the first run is rolled back"))
            };
            assert!(self.storage.write(caller, in_vain).await.is_err());
        }
        let hooks = Arc::clone(&self.hooks);
        let hooked = move |rows: &mut dyn Rows| operation(&mut HookedRows::new(rows, &*hooks));
        self.storage.write(caller, hooked).await
    }

    async fn read<T, F>(&self, caller: Caller, operation: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Rows) -> PortResult<T> + Send + 'static,
    {
        self.storage.read(caller, operation).await
    }

    async fn maintain(&self, maintenance: Maintenance) -> Result<Progress, PairingError> {
        self.storage.maintain(maintenance).await
    }

    fn subscribe(&self, replica: Weak<dyn Replica>) {
        self.storage.subscribe(self.hooks.replica(replica));
    }

    async fn refresh(&self) -> Result<(), PairingError> {
        self.storage.refresh().await
    }

    async fn probe(&self) -> Result<(), PairingError> {
        self.storage.probe().await
    }
}

struct HookedRows<'a> {
    rows: &'a mut dyn Rows,
    hooks: &'a dyn Hooks,
    /// The locked keys, in order.
    locked: Vec<LockKey>,
}

impl<'a> HookedRows<'a> {
    fn new(rows: &'a mut dyn Rows, hooks: &'a dyn Hooks) -> Self {
        Self { rows, hooks, locked: Vec::new() }
    }

    /// Fails unless the operation has locked all of these: its result would depend on the timing of
    /// concurrent operations.
    fn needs(&self, keys: &[LockKey]) -> PortResult<()> {
        match keys.iter().find(|key| !self.locked.contains(key)) {
            None => Ok(()),
            Some(key) => Err(PortError::new(format!("{key:?} is not locked"))),
        }
    }
}

/// The locks of an operation on the grants or blocks of a target.
fn of_target(target: &Target) -> [LockKey; 2] {
    let Target { channel, sender, .. } = target;
    [LockKey::Channel(channel.clone()), LockKey::Sender(channel.clone(), sender.clone())]
}

/// The locks of an operation on a list of senders.
fn of_list((channel, account): &AccountKey) -> [LockKey; 2] {
    [LockKey::Channel(channel.clone()), LockKey::Account(channel.clone(), account.clone())]
}

/// The locks of an operation on the rows of a filter: the sender, or the whole list.
fn of_filter(filter: &Filter) -> Vec<LockKey> {
    let Some(channel) = filter.channel.clone() else { return Vec::new() };
    match (filter.account.clone(), filter.sender.clone()) {
        (_, Some(sender)) => vec![LockKey::Sender(channel, sender)],
        (Some(account), None) => of_list(&(channel, account)).into(),
        (None, None) => vec![LockKey::Channel(channel)],
    }
}

/// Row operations that are passed through.
macro_rules! read {
    ($(fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty $(, under $keys:expr)?;)*) => {
        $(fn $name(&self $(, $argument: $type)*) -> PortResult<$result> {
            $(self.needs(&$keys)?;)?
            self.hooks.before(stringify!($name))?;
            self.rows.$name($($argument),*)
        })*
    };
}

macro_rules! write {
    ($(fn $name:ident(&mut self $(, $argument:ident: $type:ty)*) -> $result:ty $(, under $keys:expr)?;)*) => {
        $(fn $name(&mut self $(, $argument: $type)*) -> PortResult<$result> {
            $(self.needs(&$keys)?;)?
            self.hooks.before(stringify!($name))?;
            self.rows.$name($($argument),*)
        })*
    };
}

impl Rows for HookedRows<'_> {
    fn now(&self) -> OffsetDateTime {
        self.rows.now()
    }

    fn lock(&mut self, keys: &[LockKey]) -> PortResult<bool> {
        let order: Vec<&LockKey> = self.locked.iter().chain(keys).collect();
        let is_in_order = order.is_sorted_by(|one, next| one < next);
        assert!(is_in_order, "locks out of order, or a key locked twice: {order:?}");
        self.hooks.before("lock")?;
        let is_stale = self.rows.lock(keys)?;
        self.locked.extend_from_slice(keys);
        self.hooks.locked()?;
        Ok(is_stale)
    }

    fn after_commit(&mut self, effect: Effect) {
        self.rows.after_commit(self.hooks.effect(effect));
    }

    fn claim_maintenance(&mut self) -> bool {
        self.rows.claim_maintenance()
    }

    write! {
        fn erase(&mut self, target: &Target, pseudonym: &str) -> Erased, under of_target(target);
        fn trim(&mut self, what: Trim, limit: u64) -> u64;
    }
}

impl RequestTable for HookedRows<'_> {
    fn count_requests(&self, on: &AccountKey, overdue: Overdue) -> PortResult<RequestCounts> {
        self.needs(&[LockKey::Requests])?;
        self.hooks.before("count_requests")?;
        Ok(self.hooks.counted(self.rows.count_requests(on, overdue)?))
    }

    read! {
        fn requests(&self, filter: &Filter) -> Vec<RequestRow>, under of_filter(filter);
        fn request_by_code(&self, code: &PairingCode) -> Option<RequestRow>;
        fn overdue_requests(&self, overdue: Overdue, limit: u64) -> Vec<RequestRow>;
    }

    write! {
        fn insert_request(&mut self, request: &RequestRow) -> bool,
            under [LockKey::sender(&request.key), LockKey::Requests];
        fn set_challenged_at(&mut self, key: &SenderKey, at: i64) -> (),
            under [LockKey::sender(key)];
        // Overdue requests are ended by any operation: see `insert_outcome`.
        fn delete_request(&mut self, key: &SenderKey, code: &PairingCode) -> bool;
    }
}

impl OutcomeTable for HookedRows<'_> {
    fn outcomes_of_code(&self, code: &PairingCode) -> PortResult<Vec<OutcomeRow>> {
        // A new code is drawn under the lock on all requests.
        if !self.locked.contains(&LockKey::Requests) {
            self.needs(&[LockKey::Code(code.clone())])?;
        }
        self.hooks.before("outcomes_of_code")?;
        self.rows.outcomes_of_code(code)
    }

    fn insert_outcome(&mut self, outcome: &OutcomeRow) -> PortResult<()> {
        let SenderKey { channel, account_id, .. } = &outcome.key;
        let account = LockKey::Account(channel.clone(), account_id.clone());
        if outcome.ended.end != RequestEnd::Expired && !self.locked.contains(&account) {
            self.needs(&[LockKey::sender(&outcome.key)])?;
        }
        self.hooks.before("insert_outcome")?;
        self.rows.insert_outcome(outcome)
    }

    read! {
        fn last_outcome(&self, key: &SenderKey) -> Option<EndedRequest>;
    }
}

impl GrantTable for HookedRows<'_> {
    fn end_grants(&mut self, filter: &Filter, end: GrantEnd<'_>) -> PortResult<Vec<SenderKey>> {
        if let GrantEnd::Revoked { .. } = end {
            self.needs(&of_filter(filter))?;
            self.needs(&Vec::from_iter(filter.channel.clone().map(LockKey::Channel)))?;
        }
        self.hooks.before("end_grants")?;
        self.rows.end_grants(filter, end)
    }

    read! {
        fn grant(&self, key: &SenderKey) -> Option<AllowedSender>, under [LockKey::sender(key)];
        fn visit_grants(&self, filter: &Filter, each: &mut dyn FnMut(AllowedSender)) -> ();
    }

    write! {
        fn put_grant(&mut self, grant: &AllowedSender) -> (), under [LockKey::sender(&grant.key())];
        fn seed_grants(&mut self, seed: &Seed<'_>) -> SeedReport, under of_list(seed.account);
    }
}

impl BlockTable for HookedRows<'_> {
    read! {
        fn has_block(&self, filter: &Filter) -> bool, under of_filter(filter);
        fn visit_blocks(&self, filter: &Filter, each: &mut dyn FnMut(BlockedSender)) -> (),
            under of_filter(filter);
    }

    write! {
        fn put_block(&mut self, block: &BlockedSender) -> (),
            under [
                LockKey::Channel(block.channel.clone()),
                LockKey::Sender(block.channel.clone(), block.sender_id.clone()),
            ];
        fn delete_block(&mut self, target: &Target) -> bool, under of_target(target);
    }
}

impl AttemptTable for HookedRows<'_> {
    read! {
        fn attempts(&self, actor: &Actor, after: i64) -> Vec<Attempt>,
            under [LockKey::Actor(actor.clone())];
    }

    write! {
        fn insert_attempt(&mut self, actor: &Actor, attempt: Attempt) -> (),
            under [LockKey::Actor(actor.clone())];
        fn delete_attempts(&mut self, actor: &Actor) -> Vec<Attempt>,
            under [LockKey::Actor(actor.clone())];
    }
}

impl AuditTable for HookedRows<'_> {
    fn append_audit(&mut self, entry: &AuditRow) -> PortResult<()> {
        self.hooks.before("append_audit")?;
        if self.hooks.is_logged() { self.rows.append_audit(entry) } else { Ok(()) }
    }

    read! {
        fn audit(&self, query: &AuditQuery) -> Vec<AuditEvent>;
    }

    write! {
        fn trim_audit(&mut self, trim: AuditTrim, limit: u64) -> Option<i64>;
    }
}

impl ModeTable for HookedRows<'_> {
    read! {
        fn accounts(&self) -> Vec<AccountRow>, under [LockKey::Modes];
        fn adapters(&self) -> Vec<AdapterRow>, under [LockKey::Modes];
    }

    write! {
        fn replace_accounts(&mut self, accounts: &[AccountRow]) -> (), under [LockKey::Modes];
        fn replace_adapters(&mut self, adapters: &[AdapterRow]) -> (), under [LockKey::Modes];
    }
}

impl RedemptionTable for HookedRows<'_> {
    fn redemption(&self, nonce: &str) -> PortResult<Option<RedemptionRow>> {
        self.needs(&[LockKey::Nonce(nonce.to_owned())])?;
        self.hooks.before("redemption")?;
        Ok(self.rows.redemption(nonce)?.filter(|_| self.hooks.knows_nonces()))
    }

    fn insert_redemption(&mut self, redemption: &RedemptionRow) -> PortResult<bool> {
        self.needs(&[LockKey::Nonce(redemption.nonce.clone())])?;
        self.hooks.before("insert_redemption")?;
        Ok(self.rows.insert_redemption(redemption)? || !self.hooks.knows_nonces())
    }

    read! {
        fn unaudited_redemptions(&self) -> Vec<RedemptionRow>;
    }

    write! {
        fn put_repeats(&mut self, redemption: &RedemptionRow) -> (),
            under [LockKey::Nonce(redemption.nonce.clone())];
    }
}

impl SessionTable for HookedRows<'_> {
    fn put_session(&mut self, session: &SessionRow) -> PortResult<()> {
        let id = &session.session.id;
        if self.rows.session(id)?.is_some() {
            self.needs(&[LockKey::Session(id.clone())])?;
        }
        self.hooks.before("put_session")?;
        self.rows.put_session(session)
    }

    read! {
        fn session(&self, id: &SessionId) -> Option<SessionRow>;
        fn session_by_token(&self, token: &Sha256) -> Option<SessionRow>;
        fn sessions(&self) -> Vec<Session>;
    }
}
