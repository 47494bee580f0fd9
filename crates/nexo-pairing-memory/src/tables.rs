//! The operations on the rows of each table.

use std::collections::HashSet;

use nexo_pairing_core::rules::EndedRequest;
use nexo_pairing_core::{
    AccountKey, Actor, AllowedSender, AuditEvent, AuditQuery, BlockedSender, Filter, PairingCode,
    SeedReport, SenderKey, Session, SessionId, Target,
};
use nexo_pairing_engine::{
    AccountRow, AdapterRow, Attempt, AttemptTable, AuditRow, AuditTable, AuditTrim, BlockTable,
    GrantEnd, GrantTable, ModeTable, OutcomeRow, OutcomeTable, Overdue, PortResult, RedemptionRow,
    RedemptionTable, RequestCounts, RequestRow, RequestTable, Seed, SessionRow, SessionTable,
    Sha256, at as moment,
};

use crate::state::{State, block_key, matching, size};

impl RequestTable for State {
    fn requests(&self, filter: &Filter) -> PortResult<Vec<RequestRow>> {
        Ok(in_order(matching(&self.requests, filter).into_iter().map(|(_, row)| row)))
    }

    fn request_by_code(&self, code: &PairingCode) -> PortResult<Option<RequestRow>> {
        let mut requests = self.requests.values().map(|(_, request)| request);
        Ok(requests.find(|request| request.code == *code).cloned())
    }

    fn overdue_requests(&self, overdue: Overdue, limit: u64) -> PortResult<Vec<RequestRow>> {
        let mut rows = in_order(self.requests.values().filter(|(_, row)| overdue.includes(row)));
        rows.truncate(size(limit));
        Ok(rows)
    }

    fn count_requests(&self, on: &AccountKey, overdue: Overdue) -> PortResult<RequestCounts> {
        let live = self.requests.values().map(|(_, row)| row).filter(|row| !overdue.includes(row));
        let own = live.clone().filter(|row| row.key.channel == on.0 && row.key.account_id == on.1);
        let (of_account, live) = (own.count() as u64, live.count() as u64);
        Ok(RequestCounts { of_account, live, stored: self.requests.len() as u64 })
    }

    fn insert_request(&mut self, request: &RequestRow) -> PortResult<bool> {
        let is_new = !self.requests.contains_key(&request.key)
            && self.request_by_code(&request.code)?.is_none();
        if is_new {
            let row = (self.next_number(), request.clone());
            self.put_keyed(|it| &mut it.requests, &request.key, Some(row));
        }
        Ok(is_new)
    }

    fn set_challenged_at(&mut self, key: &SenderKey, at: i64) -> PortResult<()> {
        if let Some((number, mut request)) = self.requests.get(key).cloned() {
            request.challenged_at = at;
            self.put_keyed(|it| &mut it.requests, key, Some((number, request)));
        }
        Ok(())
    }

    fn delete_request(&mut self, key: &SenderKey, code: &PairingCode) -> PortResult<bool> {
        let is_there = self.requests.get(key).is_some_and(|(_, request)| request.code == *code);
        if is_there {
            self.put_keyed(|it| &mut it.requests, key, None);
        }
        Ok(is_there)
    }
}

impl OutcomeTable for State {
    fn last_outcome(&self, key: &SenderKey) -> PortResult<Option<EndedRequest>> {
        let all = (key.clone(), i64::MIN)..=(key.clone(), i64::MAX);
        Ok(self.outcomes.range(all).next_back().map(|(_, outcome)| outcome.ended))
    }

    fn outcomes_of_code(&self, code: &PairingCode) -> PortResult<Vec<OutcomeRow>> {
        let mut found: Vec<_> =
            self.outcomes.iter().filter(|(_, outcome)| outcome.code == *code).collect();
        found.sort_unstable_by_key(|((_, number), _)| std::cmp::Reverse(*number));
        Ok(found.into_iter().map(|(_, outcome)| outcome.clone()).collect())
    }

    fn insert_outcome(&mut self, outcome: &OutcomeRow) -> PortResult<()> {
        // Replicas learn of it with the request that it ends.
        let key = (outcome.key.clone(), self.next_number());
        self.put(|it| &mut it.outcomes, key, Some(outcome.clone()));
        Ok(())
    }
}

impl GrantTable for State {
    fn grant(&self, key: &SenderKey) -> PortResult<Option<AllowedSender>> {
        Ok(self.grants.get(key).cloned())
    }

    fn visit_grants(&self, filter: &Filter, each: &mut dyn FnMut(AllowedSender)) -> PortResult<()> {
        matching(&self.grants, filter).into_iter().for_each(|(_, grant)| each(grant.clone()));
        Ok(())
    }

    fn put_grant(&mut self, grant: &AllowedSender) -> PortResult<()> {
        self.put_keyed(|it| &mut it.grants, &grant.key(), Some(grant.clone()));
        Ok(())
    }

    fn seed_grants(&mut self, seed: &Seed<'_>) -> PortResult<SeedReport> {
        let (mut report, (channel, account)) = (SeedReport::default(), seed.account);
        for sender in seed.senders {
            let key = SenderKey::new(channel.clone(), account.clone(), sender.clone());
            let old = self.grants.get(&key);
            if old.is_some_and(|old| old.revoked_at.or(old.expires_at).is_none()) {
                report.unchanged += 1;
                continue;
            }
            *if old.is_some() { &mut report.reactivated } else { &mut report.inserted } += 1;
            let mut grant = AllowedSender::new(key.clone(), moment(seed.at), seed.via.clone());
            grant.note = old.and_then(|old| old.note.clone());
            self.put_keyed(|it| &mut it.grants, &key, Some(grant));
        }
        Ok(report)
    }

    fn end_grants(&mut self, filter: &Filter, end: GrantEnd<'_>) -> PortResult<Vec<SenderKey>> {
        let rows = matching(&self.grants, filter).into_iter().map(|(_, grant)| grant);
        let ended = rows.filter_map(|grant| Some((grant.clone(), end.of(grant)?)));
        let ended: Vec<_> = ended.take(size(end.limit())).collect();
        for (mut grant, at) in ended.iter().cloned() {
            grant.revoked_at = Some(at);
            self.put_grant(&grant)?;
        }
        Ok(ended.iter().map(|(grant, _)| grant.key()).collect())
    }
}

impl BlockTable for State {
    fn has_block(&self, filter: &Filter) -> PortResult<bool> {
        Ok(self.blocks.values().any(|block| filter.matches_block(block)))
    }

    fn visit_blocks(&self, filter: &Filter, each: &mut dyn FnMut(BlockedSender)) -> PortResult<()> {
        let rows = self.blocks.values().filter(|block| filter.matches_block(block));
        rows.for_each(|block| each(block.clone()));
        Ok(())
    }

    fn put_block(&mut self, block: &BlockedSender) -> PortResult<()> {
        let key = block_key(&block.channel, &block.account_id, &block.sender_id);
        let mut row = self.blocks.get(&key).unwrap_or(block).clone();
        row.reason = block.reason.clone().or(row.reason);
        self.put_keyed(|it| &mut it.blocks, &key, Some(row));
        Ok(())
    }

    fn delete_block(&mut self, target: &Target) -> PortResult<bool> {
        let key = block_key(&target.channel, &target.scope, &target.sender);
        Ok(self.put_keyed(|it| &mut it.blocks, &key, None).is_some())
    }
}

impl AttemptTable for State {
    fn attempts(&self, actor: &Actor, after: i64) -> PortResult<Vec<Attempt>> {
        let all = (actor.clone(), i64::MIN)..=(actor.clone(), i64::MAX);
        let attempts = self.attempts.range(all).map(|(_, attempt)| *attempt);
        Ok(attempts.filter(|attempt| attempt.at > after).collect())
    }

    fn insert_attempt(&mut self, actor: &Actor, attempt: Attempt) -> PortResult<()> {
        let key = (actor.clone(), self.next_number());
        self.put(|it| &mut it.attempts, key, Some(attempt));
        Ok(())
    }

    fn delete_attempts(&mut self, actor: &Actor) -> PortResult<Vec<Attempt>> {
        let attempts = self.attempts(actor, i64::MIN)?;
        self.delete_where(|it| &mut it.attempts, u64::MAX, |(found, _), _| found == actor);
        Ok(attempts)
    }
}

impl AuditTable for State {
    fn audit(&self, query: &AuditQuery) -> PortResult<Vec<AuditEvent>> {
        let sessions = query.device.as_ref().map(|device| self.sessions_of(device));
        let entries = self.audit.values().rev().filter(|entry| {
            let is_of =
                |ids: &HashSet<&str>| entry.session.as_deref().is_some_and(|id| ids.contains(id));
            query.matches(&entry.event) && sessions.as_ref().is_none_or(is_of)
        });
        let newest = entries.map(|entry| entry.event.clone()).take(size(query.limit.into()));
        let mut events: Vec<_> = newest.collect();
        events.reverse();
        Ok(events)
    }

    fn append_audit(&mut self, entry: &AuditRow) -> PortResult<()> {
        let (number, mut entry) = (self.next_number(), entry.clone());
        entry.event.seq = number;
        self.put(|it| &mut it.audit, number, Some(entry));
        Ok(())
    }

    fn trim_audit(&mut self, trim: AuditTrim, limit: u64) -> PortResult<Option<i64>> {
        let entries = self.audit.range(trim.after.saturating_add(1)..).take(size(limit));
        let events: Vec<_> = entries.map(|(_, entry)| entry.event.clone()).collect();
        let kept = events.iter().position(|event| trim.keeps(event));
        for event in &events[..kept.unwrap_or(events.len())] {
            if event.at <= moment(trim.oldest) {
                self.put(|it| &mut it.audit, event.seq, None);
            }
        }
        Ok(events.last().filter(|_| kept.is_none()).map(|event| event.seq))
    }
}

impl ModeTable for State {
    fn accounts(&self) -> PortResult<Vec<AccountRow>> {
        Ok(self.accounts.get(&()).cloned().unwrap_or_default())
    }

    fn replace_accounts(&mut self, accounts: &[AccountRow]) -> PortResult<()> {
        self.put(|it| &mut it.accounts, (), Some(accounts.to_vec()));
        Ok(())
    }

    fn adapters(&self) -> PortResult<Vec<AdapterRow>> {
        Ok(self.adapters.get(&()).cloned().unwrap_or_default())
    }

    fn replace_adapters(&mut self, adapters: &[AdapterRow]) -> PortResult<()> {
        self.put(|it| &mut it.adapters, (), Some(adapters.to_vec()));
        Ok(())
    }
}

impl RedemptionTable for State {
    fn redemption(&self, nonce: &str) -> PortResult<Option<RedemptionRow>> {
        Ok(self.redemptions.get(nonce).map(|(_, redemption)| redemption.clone()))
    }

    fn unaudited_redemptions(&self) -> PortResult<Vec<RedemptionRow>> {
        let rows = self.redemptions.values().map(|(_, row)| row).filter(|row| {
            row.replays.total > row.replays.audited || row.reissues.total > row.reissues.audited
        });
        Ok(rows.cloned().collect())
    }

    fn insert_redemption(&mut self, redemption: &RedemptionRow) -> PortResult<bool> {
        let is_new = !self.redemptions.contains_key(&redemption.nonce);
        if is_new {
            let row = (self.next_number(), redemption.clone());
            self.put(|it| &mut it.redemptions, redemption.nonce.clone(), Some(row));
        }
        Ok(is_new)
    }

    fn put_repeats(&mut self, redemption: &RedemptionRow) -> PortResult<()> {
        let known = self.redemptions.get(&redemption.nonce);
        let row = known.map(|(number, _)| (*number, redemption.clone()));
        self.put(|it| &mut it.redemptions, redemption.nonce.clone(), row);
        Ok(())
    }
}

impl SessionTable for State {
    fn session(&self, id: &SessionId) -> PortResult<Option<SessionRow>> {
        Ok(self.sessions.get(id).map(|(_, row)| row.clone()))
    }

    fn session_by_token(&self, token: &Sha256) -> PortResult<Option<SessionRow>> {
        let mut sessions = self.sessions.values().map(|(_, row)| row);
        Ok(sessions.find(|row| row.token == *token).cloned())
    }

    fn sessions(&self) -> PortResult<Vec<Session>> {
        let mut rows = in_order(self.sessions.values());
        rows.sort_by_key(|row| row.session.issued_at);
        Ok(rows.into_iter().map(|row| row.session).collect())
    }

    fn put_session(&mut self, session: &SessionRow) -> PortResult<()> {
        let id = &session.session.id;
        let known = self.sessions.get(id).map(|(number, _)| *number);
        let number = known.unwrap_or_else(|| self.next_number());
        self.put(|it| &mut it.sessions, id.clone(), Some((number, session.clone())));
        Ok(())
    }
}

impl State {
    /// The sessions of a device: the one with this id, and all that ever had this label.
    fn sessions_of<'a>(&'a self, device: &'a str) -> HashSet<&'a str> {
        let sessions = self.sessions.values().map(|(_, row)| &row.session);
        let now = sessions.map(|it| (Some(it.id.as_str()), it.device_label.as_deref()));
        let before = self.audit.values();
        let before = before.map(|it| (it.session.as_deref(), it.device_label.as_deref()));
        let labelled = now.chain(before).filter(|(_, label)| *label == Some(device));
        labelled.filter_map(|(id, _)| id).chain([device]).collect()
    }
}

/// The rows in the order in which they were added.
fn in_order<'a, V: Clone + 'a>(rows: impl Iterator<Item = &'a (i64, V)>) -> Vec<V> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_unstable_by_key(|(number, _)| *number);
    rows.into_iter().map(|(_, row)| row.clone()).collect()
}
