//! A storage around another one, whose transactions can be watched, held back and changed.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use nexo_pairing_core::rules::{EndedRequest, RequestEnd};
use nexo_pairing_core::{
    AccountId, AccountKey, Actor, AllowedSender, AuditEvent, AuditQuery, BlockedSender, ChannelId,
    Filter, PairingCode, PairingError, Replica, SenderId, SenderKey, Session, SessionId, Target,
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

    /// What is kept up to date in place of a replica.
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
        F: Fn(&mut dyn WriteRows) -> PortResult<T> + Send + Sync + 'static,
    {
        self.hooks.asked();
        let operation = Arc::new(operation);
        if self.hooks.is_run_again() {
            let (first, hooks) = (Arc::clone(&operation), Arc::clone(&self.hooks));
            let in_vain = move |rows: &mut dyn WriteRows| {
                first(&mut Rows::new(rows, &*hooks))?;
                Err::<(), _>(PortError::new("the first run is taken back"))
            };
            assert!(self.storage.write(caller, in_vain).await.is_err());
        }
        let hooks = Arc::clone(&self.hooks);
        let hooked = move |rows: &mut dyn WriteRows| operation(&mut Rows::new(rows, &*hooks));
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

struct Rows<'a> {
    rows: &'a mut dyn WriteRows,
    hooks: &'a dyn Hooks,
    /// What was locked, in order.
    locked: Vec<LockKey>,
}

impl<'a> Rows<'a> {
    fn new(rows: &'a mut dyn WriteRows, hooks: &'a dyn Hooks) -> Self {
        Self { rows, hooks, locked: Vec::new() }
    }

    /// Fails unless the operation has locked all of these: what it does would depend on the luck of
    /// others who do it at the same time.
    fn needs(&self, keys: &[LockKey]) -> PortResult<()> {
        match keys.iter().find(|key| !self.locked.contains(key)) {
            None => Ok(()),
            Some(key) => Err(PortError::new(format!("{key:?} is not locked"))),
        }
    }
}

/// What an operation on a target locks.
fn of_target(target: &Target) -> [LockKey; 2] {
    let Target { channel, sender, .. } = target;
    [LockKey::Channel(channel.clone()), LockKey::Sender(channel.clone(), sender.clone())]
}

/// What an operation on a list of senders locks.
fn of_list(channel: &ChannelId, account: &AccountId) -> [LockKey; 2] {
    [LockKey::Channel(channel.clone()), LockKey::Account(channel.clone(), account.clone())]
}

/// Operations on rows that are passed on.
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
        self.needs(&[LockKey::Requests])?;
        self.hooks.before("count_requests")?;
        Ok(self.hooks.counted(self.rows.count_requests(channel, account, over)?))
    }

    fn redemption(&self, nonce: &str) -> PortResult<Option<RedemptionRow>> {
        self.needs(&[LockKey::Nonce(nonce.to_owned())])?;
        self.hooks.before("redemption")?;
        Ok(self.rows.redemption(nonce)?.filter(|_| self.hooks.knows_nonces()))
    }

    read! {
        fn request(&self, key: &SenderKey) -> Option<RequestRow>;
        fn request_by_code(&self, code: &PairingCode) -> Option<RequestRow>;
        fn visit_requests(&self, filter: &Filter, each: &mut dyn FnMut(RequestRow)) -> ();
        fn overdue_requests(&self, of: Option<&Target>, over: Over, limit: u64) -> Vec<RequestRow>;
        fn requests_of(&self, target: &Target) -> Vec<RequestRow>, under of_target(target);
        fn is_code_known(&self, code: &PairingCode) -> bool;
        fn last_outcome(&self, key: &SenderKey) -> Option<EndedRequest>;
        fn outcome_of_code(&self, code: &PairingCode, after: i64, until: i64) -> Option<OutcomeRow>,
            under [LockKey::Code(code.clone())];
        fn grant(&self, key: &SenderKey) -> Option<AllowedSender>, under [LockKey::sender(key)];
        fn visit_grants(&self, filter: &Filter, each: &mut dyn FnMut(AllowedSender)) -> ();
        fn is_blocked(&self, key: &SenderKey) -> bool, under [LockKey::sender(key)];
        fn has_blocks(&self, channel: &ChannelId) -> bool,
            under [LockKey::Channel(channel.clone())];
        fn blocked_on(&self, channel: &ChannelId, account: &AccountId) -> HashSet<SenderId>,
            under of_list(channel, account);
        fn visit_blocks(&self, filter: &Filter, each: &mut dyn FnMut(BlockedSender)) -> ();
        fn attempts(&self, actor: &Actor, after: i64) -> Vec<Attempt>,
            under [LockKey::Actor(actor.clone())];
        fn audit(&self, query: &AuditQuery) -> Vec<AuditEvent>;
        fn accounts(&self) -> Vec<AccountRow>, under [LockKey::Modes];
        fn adapters(&self) -> Vec<AdapterRow>, under [LockKey::Modes];
        fn unaudited_redemptions(&self) -> Vec<RedemptionRow>;
        fn session(&self, id: &SessionId) -> Option<SessionRow>;
        fn session_by_token(&self, token: &Sha256) -> Option<SessionRow>;
        fn visit_sessions(&self, each: &mut dyn FnMut(Session)) -> ();
    }
}

impl WriteRows for Rows<'_> {
    fn lock(&mut self, keys: &[LockKey]) -> PortResult<()> {
        let order: Vec<&LockKey> = self.locked.iter().chain(keys).collect();
        let is_in_order = order.is_sorted_by(|one, next| one < next);
        assert!(is_in_order, "everybody locks in the same order, each key once: {order:?}");
        self.hooks.before("lock")?;
        self.rows.lock(keys)?;
        self.locked.extend_from_slice(keys);
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
        self.needs(&[LockKey::Nonce(redemption.nonce.clone())])?;
        self.hooks.before("insert_redemption")?;
        Ok(self.rows.insert_redemption(redemption)? || !self.hooks.knows_nonces())
    }

    fn close_request(&mut self, outcome: &OutcomeRow) -> PortResult<bool> {
        let SenderKey { channel, account_id, .. } = &outcome.key;
        let account = LockKey::Account(channel.clone(), account_id.clone());
        // What is over is ended by anybody.
        if outcome.ended.end != RequestEnd::Expired && !self.locked.contains(&account) {
            self.needs(&[LockKey::sender(&outcome.key)])?;
        }
        self.hooks.before("close_request")?;
        self.rows.close_request(outcome)
    }

    fn put_session(&mut self, session: &SessionRow) -> PortResult<()> {
        let id = &session.session.id;
        if self.rows.session(id)?.is_some() {
            self.needs(&[LockKey::Session(id.clone())])?;
        }
        self.hooks.before("put_session")?;
        self.rows.put_session(session)
    }

    write! {
        fn insert_request(&mut self, request: &RequestRow) -> bool,
            under [LockKey::sender(&request.key), LockKey::Requests];
        fn set_challenged_at(&mut self, key: &SenderKey, at: i64) -> (),
            under [LockKey::sender(key)];
        fn put_grant(&mut self, grant: &AllowedSender) -> (),
            under [LockKey::Sender(grant.channel.clone(), grant.sender_id.clone())];
        fn seed_grants(
            &mut self, channel: &ChannelId, account: &AccountId, senders: &[SenderId], at: i64,
            via: &Actor
        ) -> Seeded, under of_list(channel, account);
        fn revoke_grants(&mut self, target: &Target, at: i64, via: &Actor) -> Vec<SenderKey>,
            under of_target(target);
        fn expire_grants(&mut self, of: Option<&Target>, until: i64, limit: u64) -> u64;
        fn put_block(&mut self, block: &BlockedSender) -> (),
            under [
                LockKey::Channel(block.channel.clone()),
                LockKey::Sender(block.channel.clone(), block.sender_id.clone()),
            ];
        fn delete_block(&mut self, target: &Target) -> bool, under of_target(target);
        fn erase(&mut self, target: &Target, pseudonym: &str) -> Erased, under of_target(target);
        fn insert_attempt(&mut self, actor: &Actor, attempt: Attempt) -> (),
            under [LockKey::Actor(actor.clone())];
        fn delete_attempts(&mut self, actor: &Actor) -> Vec<Attempt>,
            under [LockKey::Actor(actor.clone())];
        fn put_account(&mut self, account: &AccountRow) -> (), under [LockKey::Modes];
        fn delete_account(&mut self, account: &AccountKey) -> (), under [LockKey::Modes];
        fn put_adapter(&mut self, adapter: &AdapterRow) -> (), under [LockKey::Modes];
        fn delete_adapter(&mut self, channel: &ChannelId) -> bool, under [LockKey::Modes];
        fn put_repeats(&mut self, nonce: &str, kind: RepeatKind, repeats: &Repeats) -> (),
            under [LockKey::Nonce(nonce.to_owned())];
        fn trim(&mut self, what: Trim, limit: u64) -> u64;
        fn trim_audit(&mut self, after: i64, oldest: i64, newest: i64, limit: u64) -> Option<i64>;
    }
}
