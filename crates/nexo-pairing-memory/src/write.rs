//! How rows are written.

use std::collections::{BTreeMap, BTreeSet};

use nexo_pairing_core::rules::{EndedRequest, RequestEnd};
use nexo_pairing_core::{
    AccountId, AccountKey, Actor, AllowedSender, AuditEvent, BlockedSender, ChannelId, SenderId,
    SenderKey, Target,
};
use nexo_pairing_engine::{
    AccountRow, AdapterRow, Attempt, AuditRow, Erased, LockKey, OutcomeRow, PortResult, ReadRows,
    RedemptionRow, RepeatKind, Repeats, RequestRow, Seeded, SessionRow, Trim, WriteRows,
    at as moment,
};
use serde_json::Value;
use time::OffsetDateTime;

use crate::state::{Effect, Keyed, State, key_of, keys_of, size};

impl WriteRows for State {
    fn lock(&mut self, _: &[LockKey]) -> PortResult<()> {
        // Transactions run one after the other.
        Ok(())
    }

    fn after_commit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn takes_upkeep(&mut self) -> bool {
        !std::mem::replace(&mut self.has_upkeep, true)
    }

    fn insert_request(&mut self, request: &RequestRow) -> PortResult<bool> {
        let is_new = !self.requests.contains_key(&request.key)
            && self.request_by_code(&request.code)?.is_none();
        if is_new {
            let row = (self.next_number(), request.clone());
            self.set(|state| &mut state.requests, &request.key, Some(row));
        }
        Ok(is_new)
    }

    fn set_challenged_at(&mut self, key: &SenderKey, at: i64) -> PortResult<()> {
        if let Some((number, mut request)) = self.requests.get(key).cloned() {
            request.challenged_at = at;
            self.set(|state| &mut state.requests, key, Some((number, request)));
        }
        Ok(())
    }

    fn close_request(&mut self, outcome: &OutcomeRow) -> PortResult<bool> {
        let found = self.requests.get(&outcome.key);
        if found.is_none_or(|(_, request)| request.code != outcome.code) {
            return Ok(false);
        }
        self.set(|state| &mut state.requests, &outcome.key, None);
        let key = (outcome.key.clone(), self.next_number());
        self.changed.insert(outcome.key.clone());
        self.put(|state| &mut state.outcomes, key, Some(outcome.clone()));
        Ok(true)
    }

    fn put_grant(&mut self, grant: &AllowedSender) -> PortResult<()> {
        let AllowedSender { channel, account_id, sender_id, expires_at, revoked_at, .. } = grant;
        let key = SenderKey::new(channel.clone(), account_id.clone(), sender_id.clone());
        self.delete_grant(&key);
        if let (Some(end), None) = (expires_at, revoked_at) {
            self.put(|state| &mut state.expiring, (*end, key.clone()), Some(()));
        }
        self.set(|state| &mut state.grants, &key, Some(grant.clone()));
        Ok(())
    }

    fn seed_grants(
        &mut self,
        channel: &ChannelId,
        account: &AccountId,
        senders: &[SenderId],
        at: i64,
        via: &Actor,
    ) -> PortResult<Seeded> {
        let mut seeded = Seeded::default();
        for sender in senders {
            let key = SenderKey::new(channel.clone(), account.clone(), sender.clone());
            let mut grant = AllowedSender::new(key.clone(), moment(at), via.to_string());
            match self.grants.get(&key) {
                None => seeded.inserted += 1,
                Some(old) if old.revoked_at.or(old.expires_at).is_none() => continue,
                Some(old) => {
                    grant.note.clone_from(&old.note);
                    seeded.renewed += 1;
                }
            }
            self.put_grant(&grant)?;
        }
        Ok(seeded)
    }

    fn revoke_grants(&mut self, target: &Target, at: i64, _: &Actor) -> PortResult<Vec<SenderKey>> {
        let mut keys = keys_of(&self.grants, target);
        keys.retain(|key| self.grants.get(key).is_some_and(|grant| grant.revoked_at.is_none()));
        keys.iter().try_for_each(|key| self.end_grant(key, moment(at)))?;
        Ok(keys)
    }

    fn expire_grants(&mut self, of: Option<&Target>, until: i64, limit: u64) -> PortResult<u64> {
        let keys = of.map(|target| keys_of(&self.grants, target));
        let due = self.expiring.keys().take_while(|(end, _)| end.unix_timestamp() <= until);
        let due = due.filter(|(_, key)| keys.as_ref().is_none_or(|keys| keys.contains(key)));
        let due: Vec<_> = due.take(size(limit)).cloned().collect();
        due.iter().try_for_each(|(end, key)| self.end_grant(key, *end))?;
        Ok(due.len() as u64)
    }

    fn put_block(&mut self, block: &BlockedSender) -> PortResult<()> {
        let key = key_of(&block.channel, block.account_id.as_str(), &block.sender_id);
        let mut row = self.blocks.get(&key).unwrap_or(block).clone();
        row.reason = block.reason.clone().or(row.reason);
        self.set(|state| &mut state.blocks, &key, Some(row));
        Ok(())
    }

    fn delete_block(&mut self, target: &Target) -> PortResult<bool> {
        let key = key_of(&target.channel, target.scope.as_str(), &target.sender);
        Ok(self.set(|state| &mut state.blocks, &key, None).is_some())
    }

    fn erase(&mut self, target: &Target, pseudonym: &str) -> PortResult<Erased> {
        let Target { channel, scope, sender, .. } = target;
        let is_meant = |on: &str, account: &str, who: &str| {
            let is_on = scope.as_str() == "*" || scope.as_str() == account;
            is_on && on == channel.as_str() && who == sender.as_str()
        };
        let is_meant_key = |key: &SenderKey| {
            is_meant(key.channel.as_str(), key.account_id.as_str(), key.sender_id.as_str())
        };
        let outcomes = self.delete_where(
            |state| &mut state.outcomes,
            u64::MAX,
            |(key, _), _| is_meant_key(key),
        );
        let mut keys: BTreeSet<SenderKey> = outcomes.into_iter().map(|(key, _)| key).collect();
        keys.extend(keys_of(&self.requests, target));
        keys.extend(keys_of(&self.grants, target));
        keys.extend(keys_of(&self.blocks, target));
        for key in &keys {
            self.set(|state| &mut state.requests, key, None);
            self.delete_grant(key);
            self.set(|state| &mut state.blocks, key, None);
        }
        let named = self.audit.iter().filter(|(_, (event, ..))| {
            let AuditEvent { channel, account_id, sender_id, .. } = event;
            let key = channel.as_deref().zip(account_id.as_deref()).zip(sender_id.as_deref());
            key.is_some_and(|((channel, account), sender)| is_meant(channel, account, sender))
        });
        let named: Vec<_> = named.map(|(number, entry)| (*number, entry.clone())).collect();
        let changed = !keys.is_empty() || !named.is_empty();
        for (number, mut entry) in named {
            entry.0.sender_id = Some(pseudonym.to_owned());
            if entry.0.action == "block" {
                entry.0.detail = Value::Null;
            }
            self.put(|state| &mut state.audit, number, Some(entry));
        }
        let accounts = keys.iter().map(|key| key.account_id.to_string()).collect();
        self.changed.extend(keys);
        Ok(Erased { accounts, changed })
    }

    fn insert_attempt(&mut self, actor: &Actor, attempt: Attempt) -> PortResult<()> {
        let key = (actor.clone(), self.next_number());
        self.put(|state| &mut state.attempts, key, Some(attempt));
        Ok(())
    }

    fn delete_attempts(&mut self, actor: &Actor) -> PortResult<Vec<Attempt>> {
        let attempts = self.attempts(actor, i64::MIN)?;
        let is_own = |(found, _): &(Actor, i64), _: &Attempt| found == actor;
        self.delete_where(|state| &mut state.attempts, u64::MAX, is_own);
        Ok(attempts)
    }

    fn append_audit(&mut self, entry: &AuditRow<'_>) -> PortResult<()> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (actor, action) = (entry.actor.to_owned(), entry.action.to_owned());
        let (number, at) = (self.next_number(), moment(entry.at));
        let mut event = AuditEvent::new(number, at, actor, action, entry.detail.clone());
        event.channel = owned(entry.channel);
        event.account_id = owned(entry.account);
        event.sender_id = owned(entry.sender);
        let entry = (event, owned(entry.session), owned(entry.device_label));
        self.put(|state| &mut state.audit, number, Some(entry));
        Ok(())
    }

    fn put_account(&mut self, account: &AccountRow) -> PortResult<()> {
        self.put(|state| &mut state.accounts, account.account.clone(), Some(account.clone()));
        Ok(())
    }

    fn delete_account(&mut self, account: &AccountKey) -> PortResult<()> {
        self.put(|state| &mut state.accounts, Some(account.clone()), None);
        Ok(())
    }

    fn put_adapter(&mut self, adapter: &AdapterRow) -> PortResult<()> {
        self.put(|state| &mut state.adapters, adapter.channel.clone(), Some(adapter.clone()));
        Ok(())
    }

    fn delete_adapter(&mut self, channel: &ChannelId) -> PortResult<bool> {
        Ok(self.put(|state| &mut state.adapters, channel.clone(), None).is_some())
    }

    fn insert_redemption(&mut self, redemption: &RedemptionRow) -> PortResult<bool> {
        let is_new = !self.redemptions.contains_key(&redemption.nonce);
        if is_new {
            let row = (self.next_number(), redemption.clone());
            self.put(|state| &mut state.redemptions, redemption.nonce.clone(), Some(row));
        }
        Ok(is_new)
    }

    fn put_repeats(&mut self, nonce: &str, kind: RepeatKind, repeats: &Repeats) -> PortResult<()> {
        if let Some((number, mut row)) = self.redemptions.get(nonce).cloned() {
            match kind {
                RepeatKind::Replay => row.replays = *repeats,
                RepeatKind::Reissue => row.reissues = *repeats,
            }
            self.put(|state| &mut state.redemptions, nonce.to_owned(), Some((number, row)));
        }
        Ok(())
    }

    fn put_session(&mut self, session: &SessionRow) -> PortResult<()> {
        let id = &session.session.id;
        let known = self.sessions.get(id).map(|(number, _)| *number);
        let number = known.unwrap_or_else(|| self.next_number());
        let row = (number, session.clone());
        self.put(|state| &mut state.sessions, id.clone(), Some(row));
        Ok(())
    }

    fn trim(&mut self, what: Trim, limit: u64) -> PortResult<u64> {
        Ok(match what {
            Trim::OutcomesBeyond(keep) => {
                let newest = beyond(self.outcomes.keys().map(|(_, number)| *number), keep);
                self.trim_outcomes(limit, |number, _| number <= newest)
            }
            Trim::Outcomes { until, expired_until } => self.trim_outcomes(limit, |_, ended| {
                let is_expiry = ended.end == RequestEnd::Expired;
                ended.at.unix_timestamp() <= if is_expiry { expired_until } else { until }
            }),
            Trim::Attempts(until) => {
                let is_old = |_: &_, attempt: &Attempt| attempt.at <= until;
                self.delete_where(|state| &mut state.attempts, limit, is_old).len() as u64
            }
            Trim::ExpiredSessions(until) => {
                let over = self.sessions.values().filter(|(_, SessionRow { session, .. })| {
                    session.revoked_at.is_none() && session.expires_at.unix_timestamp() <= until
                });
                let over: Vec<_> = over.map(|(_, row)| row.clone()).take(size(limit)).collect();
                for mut row in over.iter().cloned() {
                    row.session.revoked_at = Some(row.session.expires_at);
                    row.revoked_via = Some("expiry".to_owned());
                    self.put_session(&row)?;
                }
                over.len() as u64
            }
            Trim::Sessions { revoked_until, expired_until } => {
                let is_over = |_: &_, (_, SessionRow { session, .. }): &(i64, SessionRow)| {
                    session.revoked_at.is_some_and(|at| at.unix_timestamp() <= revoked_until)
                        && session.expires_at.unix_timestamp() <= expired_until
                };
                self.delete_where(|state| &mut state.sessions, limit, is_over).len() as u64
            }
            Trim::Redemptions { expired_until, keep } => {
                let newest = beyond(self.redemptions.values().map(|(number, _)| *number), keep);
                let is_over = |_: &_, (number, row): &(i64, RedemptionRow)| {
                    *number <= newest && row.expires_at <= expired_until
                };
                self.delete_where(|state| &mut state.redemptions, limit, is_over).len() as u64
            }
            Trim::Own => 0,
        })
    }

    fn trim_audit(
        &mut self,
        after: i64,
        oldest: i64,
        newest: i64,
        limit: u64,
    ) -> PortResult<Option<i64>> {
        let (mut looked_at, mut old) = (None, Vec::new());
        let entries = self.audit.range(after.saturating_add(1)..).take(size(limit));
        for (number, (event, ..)) in entries {
            let at = event.at.unix_timestamp();
            if oldest < at && at <= newest {
                looked_at = None;
                break;
            }
            looked_at = Some(*number);
            old.extend((at <= oldest).then_some(*number));
        }
        for number in old {
            self.put(|state| &mut state.audit, number, None);
        }
        Ok(looked_at)
    }
}

impl State {
    fn next_number(&mut self) -> i64 {
        self.number += 1;
        self.number
    }

    /// Puts a row that replicas have to know of.
    fn set<V: Clone + Send + 'static>(
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

    /// Deletes at most `limit` rows that match; which.
    fn delete_where<K: Ord + Clone + Send + 'static, V: Clone + Send + 'static>(
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

    fn trim_outcomes(&mut self, limit: u64, is: impl Fn(i64, &EndedRequest) -> bool) -> u64 {
        let is = |(_, number): &(SenderKey, i64), row: &OutcomeRow| is(*number, &row.ended);
        let keys = self.delete_where(|state| &mut state.outcomes, limit, is);
        self.changed.extend(keys.iter().map(|(key, _)| key.clone()));
        keys.len() as u64
    }

    fn delete_grant(&mut self, key: &SenderKey) {
        let grant = self.set(|state| &mut state.grants, key, None);
        if let Some(end) = grant.and_then(|grant| grant.expires_at) {
            self.put(|state| &mut state.expiring, (end, key.clone()), None);
        }
    }

    fn end_grant(&mut self, key: &SenderKey, at: OffsetDateTime) -> PortResult<()> {
        let Some(mut grant) = self.grants.get(key).cloned() else { return Ok(()) };
        grant.revoked_at = Some(at);
        self.put_grant(&grant)
    }
}

/// The newest of these numbers that is not among the newest `keep`.
fn beyond(numbers: impl Iterator<Item = i64>, keep: u64) -> i64 {
    let mut numbers: Vec<i64> = numbers.collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.get(size(keep)).copied().unwrap_or(i64::MIN)
}
