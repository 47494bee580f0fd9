//! The tables, their transactions, and how rows are read.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use nexo_pairing_core::rules::EndedRequest;
use nexo_pairing_core::{
    AccountId, AccountKey, Actor, AllowedSender, AuditEvent, AuditQuery, BlockedSender, ChannelId,
    Filter, PairingCode, SenderId, SenderKey, SenderState, Session, SessionId, Target,
};
use nexo_pairing_engine::{
    AccountRow, AdapterRow, Attempt, OutcomeRow, Over, PortResult, ReadRows, RedemptionRow,
    RequestCounts, RequestRow, SessionRow, Sha256, sender_state,
};
use time::OffsetDateTime;

pub(crate) type Keyed<V> = BTreeMap<SenderKey, V>;

/// All that is stored, and the transaction in progress. What is not much, or only operators look for,
/// has no index. The number of a row is greater than that of any that was written before it.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) requests: Keyed<(i64, RequestRow)>,
    pub(crate) outcomes: BTreeMap<(SenderKey, i64), OutcomeRow>,
    pub(crate) grants: Keyed<AllowedSender>,
    /// The grants that have an end and are not revoked, by it.
    pub(crate) expiring: BTreeMap<(OffsetDateTime, SenderKey), ()>,
    /// A block for all accounts has the account `*`.
    pub(crate) blocks: Keyed<BlockedSender>,
    pub(crate) attempts: BTreeMap<(Actor, i64), Attempt>,
    pub(crate) audit: BTreeMap<i64, Entry>,
    pub(crate) accounts: BTreeMap<Option<AccountKey>, AccountRow>,
    pub(crate) adapters: BTreeMap<ChannelId, AdapterRow>,
    pub(crate) redemptions: BTreeMap<String, (i64, RedemptionRow)>,
    pub(crate) sessions: BTreeMap<SessionId, (i64, SessionRow)>,
    pub(crate) number: i64,
    now: Option<OffsetDateTime>,
    pub(crate) has_upkeep: bool,
    pub(crate) effects: Vec<Effect>,
    /// Of which keys replicas have to be told.
    pub(crate) changed: BTreeSet<SenderKey>,
    /// What takes back each change of the transaction.
    undo: Vec<Undo>,
}

/// What is done once a transaction is committed.
pub(crate) type Effect = Box<dyn FnOnce() + Send>;

type Undo = Box<dyn FnOnce(&mut State) + Send>;

/// An entry of the audit log, with its session and what the device of that is called.
pub(crate) type Entry = (AuditEvent, Option<String>, Option<String>);

impl State {
    /// Begins a transaction, on what the last one left that was committed.
    pub(crate) fn begin(&mut self, now: OffsetDateTime) {
        self.roll_back();
        self.now = Some(now);
        self.has_upkeep = false;
    }

    /// Ends a transaction. The keys that changed, and what follows.
    pub(crate) fn commit(&mut self) -> (BTreeSet<SenderKey>, Vec<Effect>) {
        self.undo.clear();
        (std::mem::take(&mut self.changed), std::mem::take(&mut self.effects))
    }

    /// Ends a transaction as if it had not been.
    pub(crate) fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            undo(self);
        }
        self.changed.clear();
        self.effects.clear();
    }

    /// Puts a row in place of the one that has its key; `None` deletes that. What was there before.
    pub(crate) fn put<K: Ord + Clone + Send + 'static, V: Clone + Send + 'static>(
        &mut self,
        table: fn(&mut Self) -> &mut BTreeMap<K, V>,
        key: K,
        row: Option<V>,
    ) -> Option<V> {
        let set = move |state: &mut Self, key: K, row: Option<V>| match row {
            Some(row) => table(state).insert(key, row),
            None => table(state).remove(&key),
        };
        let before = set(self, key.clone(), row);
        let old = before.clone();
        self.undo.push(Box::new(move |state| drop(set(state, key, old))));
        before
    }

    /// What a gate decides on a key by.
    pub(crate) fn sender_state(&self, key: &SenderKey) -> PortResult<SenderState> {
        sender_state(self, key, self.blocks.contains_key(key))
    }

    /// Every key of which there is something to know.
    pub(crate) fn keys(&self) -> BTreeSet<&SenderKey> {
        let keys = self.requests.keys().chain(self.grants.keys()).chain(self.blocks.keys());
        keys.chain(self.outcomes.keys().map(|(key, _)| key)).collect()
    }
}

/// The keys of a target that have a row, by account. Its accounts are few, so each is looked up.
pub(crate) fn keys_of<V>(table: &Keyed<V>, target: &Target) -> Vec<SenderKey> {
    let Target { channel, scope, sender, .. } = target;
    if scope.as_str() != "*" {
        let key = key_of(channel, scope.as_str(), sender);
        return Vec::from_iter(table.contains_key(&key).then_some(key));
    }
    let (mut keys, mut next) = (Vec::new(), first_key(channel, ""));
    while let Some((found, _)) = table.range(&next..).next().filter(|it| it.0.channel == *channel) {
        let key = key_of(channel, found.account_id.as_str(), sender);
        // Nothing comes between a text and the same with a zero byte.
        next = first_key(channel, &format!("{}\0", found.account_id));
        keys.extend(table.contains_key(&key).then_some(key));
    }
    keys
}

/// The first key that an account of a channel may have.
fn first_key(channel: &ChannelId, account: &str) -> SenderKey {
    key_of(channel, account, &SenderId::from_stored(String::new()))
}

/// A key on an account, or on all (`*`).
pub(crate) fn key_of(channel: &ChannelId, account: &str, sender: &SenderId) -> SenderKey {
    SenderKey::new(channel.clone(), AccountId::from_stored(account.to_owned()), sender.clone())
}

impl ReadRows for State {
    fn now(&self) -> OffsetDateTime {
        self.now.unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    fn request(&self, key: &SenderKey) -> PortResult<Option<RequestRow>> {
        Ok(self.requests.get(key).map(|(_, request)| request.clone()))
    }

    fn request_by_code(&self, code: &PairingCode) -> PortResult<Option<RequestRow>> {
        let mut requests = self.requests.values().map(|(_, request)| request);
        Ok(requests.find(|request| request.code == *code).cloned())
    }

    fn visit_requests(&self, filter: &Filter, each: &mut dyn FnMut(RequestRow)) -> PortResult<()> {
        let mut rows: Vec<_> =
            self.requests.values().filter(|(_, row)| is_of(filter, &row.key)).collect();
        rows.sort_unstable_by_key(|(number, row)| (row.created_at, *number));
        rows.into_iter().for_each(|(_, row)| each(row.clone()));
        Ok(())
    }

    fn count_requests(
        &self,
        on: &ChannelId,
        of: &AccountId,
        at: Over,
    ) -> PortResult<RequestCounts> {
        let live = self.requests.values().filter(|(_, row)| !at.is(row)).map(|(_, row)| &row.key);
        let own = live.clone().filter(|key| key.channel == *on && key.account_id == *of);
        let (of_account, live) = (own.count() as u64, live.count() as u64);
        Ok(RequestCounts { of_account, live, stored: self.requests.len() as u64 })
    }

    fn overdue_requests(
        &self,
        of: Option<&Target>,
        over: Over,
        limit: u64,
    ) -> PortResult<Vec<RequestRow>> {
        let keys = of.map(|target| keys_of(&self.requests, target));
        let mut rows: Vec<_> = match &keys {
            Some(keys) => keys.iter().filter_map(|key| self.requests.get(key)).collect(),
            None => self.requests.values().collect(),
        };
        rows.retain(|(_, row)| over.is(row));
        rows.sort_unstable_by_key(|(number, _)| *number);
        rows.truncate(size(limit));
        Ok(rows.into_iter().map(|(_, row)| row.clone()).collect())
    }

    fn requests_of(&self, target: &Target) -> PortResult<Vec<RequestRow>> {
        let keys = keys_of(&self.requests, target);
        Ok(keys.iter().filter_map(|key| Some(self.requests.get(key)?.1.clone())).collect())
    }

    fn is_code_known(&self, code: &PairingCode) -> PortResult<bool> {
        let is_of_outcome = self.outcomes.values().any(|outcome| outcome.code == *code);
        Ok(is_of_outcome || self.request_by_code(code)?.is_some())
    }

    fn last_outcome(&self, key: &SenderKey) -> PortResult<Option<EndedRequest>> {
        let all = (key.clone(), i64::MIN)..=(key.clone(), i64::MAX);
        Ok(self.outcomes.range(all).next_back().map(|(_, outcome)| outcome.ended))
    }

    fn outcome_of_code(
        &self,
        code: &PairingCode,
        after: i64,
        until: i64,
    ) -> PortResult<Option<OutcomeRow>> {
        let found = self.outcomes.iter().filter(|(_, outcome)| {
            let at = outcome.ended.at.unix_timestamp();
            outcome.code == *code && after < at && at <= until
        });
        let newest = found.max_by_key(|((_, number), _)| *number);
        Ok(newest.map(|(_, outcome)| outcome.clone()))
    }

    fn grant(&self, key: &SenderKey) -> PortResult<Option<AllowedSender>> {
        Ok(self.grants.get(key).cloned())
    }

    fn visit_grants(&self, filter: &Filter, each: &mut dyn FnMut(AllowedSender)) -> PortResult<()> {
        let rows = self.grants.iter().filter(|(key, _)| is_of(filter, key));
        rows.for_each(|(_, grant)| each(grant.clone()));
        Ok(())
    }

    fn is_blocked(&self, key: &SenderKey) -> PortResult<bool> {
        let on_all = key_of(&key.channel, "*", &key.sender_id);
        Ok(self.blocks.contains_key(key) || self.blocks.contains_key(&on_all))
    }

    fn has_blocks(&self, channel: &ChannelId) -> PortResult<bool> {
        let first = self.blocks.range(first_key(channel, "")..).next();
        Ok(first.is_some_and(|(key, _)| key.channel == *channel))
    }

    fn blocked_on(&self, channel: &ChannelId, one: &AccountId) -> PortResult<HashSet<SenderId>> {
        let on = |account| {
            let keys = self.blocks.range(first_key(channel, account)..).map(|(key, _)| key);
            keys.take_while(move |key| *key == &key_of(channel, account, &key.sender_id))
        };
        Ok(on(one.as_str()).chain(on("*")).map(|key| key.sender_id.clone()).collect())
    }

    fn visit_blocks(&self, filter: &Filter, each: &mut dyn FnMut(BlockedSender)) -> PortResult<()> {
        let mut of_all = filter.clone();
        of_all.account = None;
        let rows = self.blocks.iter().filter(|(key, _)| {
            is_of(filter, key) || key.account_id.as_str() == "*" && is_of(&of_all, key)
        });
        rows.for_each(|(_, block)| each(block.clone()));
        Ok(())
    }

    fn attempts(&self, actor: &Actor, after: i64) -> PortResult<Vec<Attempt>> {
        let all = (actor.clone(), i64::MIN)..=(actor.clone(), i64::MAX);
        let attempts = self.attempts.range(all).map(|(_, attempt)| *attempt);
        Ok(attempts.filter(|attempt| attempt.at > after).collect())
    }

    fn audit(&self, query: &AuditQuery) -> PortResult<Vec<AuditEvent>> {
        let sessions = query.device.as_ref().map(|device| self.sessions_of(device));
        let entries = self.audit.range(..query.before.unwrap_or(i64::MAX)).rev();
        let entries = entries.filter(|(_, (event, session, _))| {
            let is_of =
                |ids: &HashSet<&str>| session.as_ref().is_some_and(|id| ids.contains(&**id));
            is_found(query, event) && sessions.as_ref().is_none_or(is_of)
        });
        let entries = entries.take(size(query.limit.into()));
        let mut events: Vec<_> = entries.map(|(_, (event, ..))| event.clone()).collect();
        events.reverse();
        Ok(events)
    }

    fn accounts(&self) -> PortResult<Vec<AccountRow>> {
        Ok(self.accounts.values().cloned().collect())
    }

    fn adapters(&self) -> PortResult<Vec<AdapterRow>> {
        Ok(self.adapters.values().cloned().collect())
    }

    fn redemption(&self, nonce: &str) -> PortResult<Option<RedemptionRow>> {
        Ok(self.redemptions.get(nonce).map(|(_, redemption)| redemption.clone()))
    }

    fn unaudited_redemptions(&self) -> PortResult<Vec<RedemptionRow>> {
        let rows = self.redemptions.values().map(|(_, row)| row).filter(|row| {
            row.replays.total > row.replays.audited || row.reissues.total > row.reissues.audited
        });
        Ok(rows.cloned().collect())
    }

    fn session(&self, id: &SessionId) -> PortResult<Option<SessionRow>> {
        Ok(self.sessions.get(id).map(|(_, row)| row.clone()))
    }

    fn session_by_token(&self, token: &Sha256) -> PortResult<Option<SessionRow>> {
        let mut sessions = self.sessions.values().map(|(_, row)| row);
        Ok(sessions.find(|row| row.token == *token).cloned())
    }

    fn visit_sessions(&self, each: &mut dyn FnMut(Session)) -> PortResult<()> {
        let mut rows: Vec<_> = self.sessions.values().collect();
        rows.sort_unstable_by_key(|(number, row)| (row.session.issued_at, *number));
        rows.into_iter().for_each(|(_, row)| each(row.session.clone()));
        Ok(())
    }
}

impl State {
    /// The sessions of a device: the one with this id, and all that ever had this label.
    fn sessions_of<'a>(&'a self, device: &'a str) -> HashSet<&'a str> {
        let sessions = self.sessions.values().map(|(_, row)| &row.session);
        let now = sessions.map(|it| (Some(it.id.as_str()), it.device_label.as_deref()));
        let before = self.audit.values().map(|(_, id, label)| (id.as_deref(), label.as_deref()));
        let labelled = now.chain(before).filter(|(_, label)| *label == Some(device));
        labelled.filter_map(|(id, _)| id).chain([device]).collect()
    }
}

fn is_of(filter: &Filter, key: &SenderKey) -> bool {
    let Filter { channel, account, sender, .. } = filter;
    channel.as_ref().is_none_or(|channel| *channel == key.channel)
        && account.as_ref().is_none_or(|account| *account == key.account_id)
        && sender.as_ref().is_none_or(|sender| *sender == key.sender_id)
}

/// Whether a query asks for an entry, apart from its device.
fn is_found(query: &AuditQuery, event: &AuditEvent) -> bool {
    fn is<T: AsRef<str>>(wanted: &Option<T>, found: Option<&str>) -> bool {
        wanted.as_ref().is_none_or(|wanted| Some(wanted.as_ref()) == found)
    }
    is(&query.filter.channel, event.channel.as_deref())
        && is(&query.filter.account, event.account_id.as_deref())
        && is(&query.filter.sender, event.sender_id.as_deref())
        && is(&query.action, Some(&event.action))
        && query.since.is_none_or(|since| event.at >= since)
        && query.until.is_none_or(|until| event.at < until)
}

/// A limit as collections have it.
pub(crate) fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
