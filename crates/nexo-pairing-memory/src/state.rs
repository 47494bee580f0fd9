//! The tables in memory, and their transactions.

use std::collections::{BTreeMap, BTreeSet};

use nexo_pairing_core::{
    AccountId, AccountScope, Actor, AllowedSender, AuditAction, AuditQuery, BlockedSender,
    ChannelId, Filter, SenderId, SenderKey, SenderState, SessionId, Target,
};
use nexo_pairing_engine::{
    AccountRow, AdapterRow, Attempt, AuditRow, Erased, LockKey, OutcomeRow, PortResult,
    RedemptionRow, RequestRow, Rows, SessionRow, SessionTable, Trim, sender_state,
};
use serde_json::Value;
use time::OffsetDateTime;

pub(crate) type Keyed<V> = BTreeMap<SenderKey, V>;

/// Reverts one change of a transaction.
type Undo = Box<dyn FnOnce(&mut State) + Send>;

/// All tables, and the transaction in progress. Rows are found by their keys, and by nothing else without
/// a scan. The number of a row is greater than that of any row that was added before it.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) requests: Keyed<(i64, RequestRow)>,
    pub(crate) outcomes: BTreeMap<(SenderKey, i64), OutcomeRow>,
    pub(crate) grants: Keyed<AllowedSender>,
    /// A block on all accounts has the account `*`.
    pub(crate) blocks: Keyed<BlockedSender>,
    pub(crate) attempts: BTreeMap<(Actor, i64), Attempt>,
    pub(crate) audit: BTreeMap<i64, AuditRow>,
    pub(crate) accounts: BTreeMap<(), Vec<AccountRow>>,
    pub(crate) adapters: BTreeMap<(), Vec<AdapterRow>>,
    pub(crate) redemptions: BTreeMap<String, (i64, RedemptionRow)>,
    pub(crate) sessions: BTreeMap<SessionId, (i64, SessionRow)>,
    number: i64,
    now: Option<OffsetDateTime>,
    has_maintenance: bool,
    effects: Vec<Effect>,
    /// The keys that changed for replicas.
    changed: BTreeSet<SenderKey>,
    /// Reverts each change of the transaction.
    undo: Vec<Undo>,
}

/// Runs after a commit.
type Effect = Box<dyn FnOnce() + Send>;

impl State {
    /// Begins a transaction.
    pub(crate) fn begin(&mut self, now: OffsetDateTime) {
        self.roll_back();
        self.now = Some(now);
        self.has_maintenance = false;
    }

    /// Commits a transaction. Returns the keys that changed, and the effects.
    pub(crate) fn commit(&mut self) -> (BTreeSet<SenderKey>, Vec<Effect>) {
        self.undo.clear();
        (std::mem::take(&mut self.changed), std::mem::take(&mut self.effects))
    }

    /// Reverts a transaction.
    pub(crate) fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            undo(self);
        }
        self.changed.clear();
        self.effects.clear();
    }

    pub(crate) fn next_number(&mut self) -> i64 {
        self.number += 1;
        self.number
    }

    /// Replaces the row that has a key; `None` deletes it. Returns what was there before.
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

    /// [`put`](Self::put) of a row that replicas see.
    pub(crate) fn put_keyed<V: Clone + Send + 'static>(
        &mut self,
        table: fn(&mut Self) -> &mut Keyed<V>,
        key: &SenderKey,
        row: Option<V>,
    ) -> Option<V> {
        let is_there = row.is_some();
        let before = self.put(table, key.clone(), row);
        self.changed.extend((is_there || before.is_some()).then(|| key.clone()));
        before
    }

    /// Deletes at most `limit` rows that match; returns their keys.
    pub(crate) fn delete_where<K: Ord + Clone + Send + 'static, V: Clone + Send + 'static>(
        &mut self,
        table: fn(&mut Self) -> &mut BTreeMap<K, V>,
        limit: u64,
        is: impl Fn(&K, &V) -> bool,
    ) -> Vec<K> {
        let matching = table(self).iter().filter(|(key, row)| is(key, row));
        let keys: Vec<K> = matching.map(|(key, _)| key.clone()).take(size(limit)).collect();
        keys.iter().for_each(|key| drop(self.put(table, key.clone(), None)));
        keys
    }

    /// The state of a sender for replicas.
    pub(crate) fn sender_state(&self, key: &SenderKey) -> PortResult<SenderState> {
        sender_state(self, key, self.blocks.contains_key(key))
    }

    /// Every key that has a row.
    pub(crate) fn keys(&self) -> BTreeSet<&SenderKey> {
        let keys = self.requests.keys().chain(self.grants.keys()).chain(self.blocks.keys());
        keys.chain(self.outcomes.keys().map(|(key, _)| key)).collect()
    }
}

impl Rows for State {
    fn now(&self) -> OffsetDateTime {
        self.now.unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    fn lock(&mut self, _: &[LockKey]) -> PortResult<bool> {
        // Transactions run one after the other.
        Ok(false)
    }

    fn after_commit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn claim_maintenance(&mut self) -> bool {
        !std::mem::replace(&mut self.has_maintenance, true)
    }

    fn erase(&mut self, target: &Target, pseudonym: &str) -> PortResult<Erased> {
        let filter = Filter::from(target);
        let mut keys: BTreeSet<SenderKey> =
            self.keys().into_iter().filter(|key| filter.matches(key)).cloned().collect();
        self.delete_where(|it| &mut it.outcomes, u64::MAX, |(key, _), _| filter.matches(key));
        for key in &keys {
            self.put_keyed(|it| &mut it.requests, key, None);
            self.put_keyed(|it| &mut it.grants, key, None);
            self.put_keyed(|it| &mut it.blocks, key, None);
        }
        let named = AuditQuery::newest(0).with_filter(filter);
        let entries = self.audit.values().filter(|entry| named.matches(&entry.event));
        let entries: Vec<_> = entries.cloned().collect();
        let changed = !keys.is_empty() || !entries.is_empty();
        for mut entry in entries {
            entry.event.sender_id = Some(SenderId::from_stored(pseudonym.to_owned()));
            if entry.event.action == AuditAction::Block {
                entry.event.detail = Value::Null;
            }
            self.put(|it| &mut it.audit, entry.event.seq, Some(entry));
        }
        let accounts = keys.iter().map(|key| key.account_id.to_string()).collect();
        self.changed.append(&mut keys);
        Ok(Erased { accounts, changed })
    }

    fn trim(&mut self, what: Trim, limit: u64) -> PortResult<u64> {
        Ok(match what {
            Trim::Outcomes { keep, .. } => {
                let last = beyond(self.outcomes.keys().map(|(_, number)| *number), keep);
                let is_old = |(_, number): &(SenderKey, i64), row: &OutcomeRow| {
                    *number <= last || what.is_old_outcome(row)
                };
                let deleted = self.delete_where(|it| &mut it.outcomes, limit, is_old);
                self.changed.extend(deleted.iter().map(|(key, _)| key.clone()));
                deleted.len()
            }
            Trim::Attempts(until) => {
                self.delete_where(|it| &mut it.attempts, limit, |_, row| row.at <= until).len()
            }
            Trim::ExpiredSessions(_) => {
                let rows = self.sessions.values().map(|(_, row)| row);
                let expired = rows.filter(|row| what.is_old_session(&row.session)).cloned();
                let expired: Vec<_> = expired.take(size(limit)).collect();
                for mut row in expired.iter().cloned() {
                    row.session.revoked_at = Some(row.session.expires_at);
                    row.revoked_via = Some("expiry".to_owned());
                    self.put_session(&row)?;
                }
                expired.len()
            }
            Trim::Sessions { .. } => {
                let is_old = |_: &_, (_, row): &(_, SessionRow)| what.is_old_session(&row.session);
                self.delete_where(|it| &mut it.sessions, limit, is_old).len()
            }
            Trim::Redemptions { expired_until, keep } => {
                let last = beyond(self.redemptions.values().map(|(number, _)| *number), keep);
                let is_old = |_: &_, (number, row): &(i64, RedemptionRow)| {
                    *number <= last && row.expires_at <= expired_until
                };
                self.delete_where(|it| &mut it.redemptions, limit, is_old).len()
            }
            Trim::Own => 0,
        } as u64)
    }
}

/// The rows that match: a complete key is looked up, everything else is a scan.
pub(crate) fn matching<'a, V>(table: &'a Keyed<V>, filter: &Filter) -> Vec<(&'a SenderKey, &'a V)> {
    match filter.clone() {
        Filter { channel: Some(channel), account: Some(account), sender: Some(sender), .. } => {
            let key = SenderKey::new(channel, account, sender);
            table.get_key_value(&key).into_iter().collect()
        }
        _ => table.iter().filter(|(key, _)| filter.matches(key)).collect(),
    }
}

/// The key of a block.
pub(crate) fn block_key(channel: &ChannelId, scope: &AccountScope, sender: &SenderId) -> SenderKey {
    let account = AccountId::from_stored(scope.to_string());
    SenderKey::new(channel.clone(), account, sender.clone())
}

/// The greatest of these numbers that is not among the greatest `keep`.
fn beyond(numbers: impl Iterator<Item = i64>, keep: u64) -> i64 {
    let mut numbers: Vec<i64> = numbers.collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.get(size(keep)).copied().unwrap_or(i64::MIN)
}

/// A limit for iterators.
pub(crate) fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
