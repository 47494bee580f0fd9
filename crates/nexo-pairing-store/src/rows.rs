//! The port of the engine on SQLite: each table is read and written by one file.

mod accounts;
mod adapters;
mod attempts;
mod audit;
mod audit_search;
mod blocks;
mod changes;
mod columns;
mod grants;
mod outcomes;
mod redemptions;
mod requests;
mod sessions;
pub(crate) mod states;

use std::cell::Cell;
use std::collections::HashSet;

use nexo_pairing_core::rules::EndedRequest;
use nexo_pairing_core::{
    AccountId, AccountKey, Actor, AllowedSender, AuditEvent, AuditQuery, BlockedSender, ChannelId,
    Filter, PairingCode, SenderId, SenderKey, Session, SessionId, Target,
};
use nexo_pairing_engine::{
    AccountRow, AdapterRow, Attempt, AuditRow, Erased, LockKey, OutcomeRow, Over, PortError,
    PortResult, ReadRows, RedemptionRow, RepeatKind, Repeats, RequestCounts, RequestRow, Seeded,
    SessionRow, Sha256, Trim, WriteRows,
};
use rusqlite::Connection;
use rusqlite::types::Type;
use time::OffsetDateTime;

/// The rows as one transaction sees them.
pub(crate) struct Rows<'a> {
    pub(crate) connection: &'a Connection,
    now: OffsetDateTime,
    /// Whether somebody in this transaction has ended its share of what is over.
    had_upkeep: &'a Cell<bool>,
    pub(crate) effects: Effects,
}

/// What follows a write once it is durable.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) after: Vec<Box<dyn FnOnce() + Send>>,
    /// Whether nothing of what was there before may be left in the WAL.
    pub(crate) wipe: bool,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(
        connection: &'a Connection,
        now: OffsetDateTime,
        had_upkeep: &'a Cell<bool>,
    ) -> Self {
        Self { connection, now, had_upkeep, effects: Effects::default() }
    }
}

/// An error of SQLite, as the port has it.
fn port<T>(result: rusqlite::Result<T>) -> PortResult<T> {
    result.map_err(PortError::new)
}

/// The error of SQLite that the port had.
pub(crate) fn sqlite(error: PortError) -> rusqlite::Error {
    match error.into_cause().downcast() {
        Ok(error) => *error,
        // Of no column, so that only the cause is told.
        Err(other) => rusqlite::Error::FromSqlConversionFailure(usize::MAX, Type::Null, other),
    }
}

impl ReadRows for Rows<'_> {
    fn now(&self) -> OffsetDateTime {
        self.now
    }

    fn request(&self, key: &SenderKey) -> PortResult<Option<RequestRow>> {
        port(requests::get(self.connection, key))
    }

    fn request_by_code(&self, code: &PairingCode) -> PortResult<Option<RequestRow>> {
        port(requests::by_code(self.connection, code))
    }

    fn visit_requests(&self, filter: &Filter, each: &mut dyn FnMut(RequestRow)) -> PortResult<()> {
        port(requests::visit(self.connection, filter, each))
    }

    fn count_requests(
        &self,
        channel: &ChannelId,
        account: &AccountId,
        over: Over,
    ) -> PortResult<RequestCounts> {
        port(requests::count(self.connection, channel, account, over))
    }

    fn overdue_requests(
        &self,
        of: Option<&Target>,
        over: Over,
        limit: u64,
    ) -> PortResult<Vec<RequestRow>> {
        port(requests::overdue(self.connection, of, over, limit))
    }

    fn requests_of(&self, target: &Target) -> PortResult<Vec<RequestRow>> {
        port(requests::of_target(self.connection, target))
    }

    fn is_code_known(&self, code: &PairingCode) -> PortResult<bool> {
        port(requests::is_code_known(self.connection, code))
    }

    fn last_outcome(&self, key: &SenderKey) -> PortResult<Option<EndedRequest>> {
        port(outcomes::last(self.connection, key))
    }

    fn outcome_of_code(
        &self,
        code: &PairingCode,
        after: i64,
        until: i64,
    ) -> PortResult<Option<OutcomeRow>> {
        port(outcomes::of_code(self.connection, code, after, until))
    }

    fn grant(&self, key: &SenderKey) -> PortResult<Option<AllowedSender>> {
        port(grants::get(self.connection, key))
    }

    fn visit_grants(&self, filter: &Filter, each: &mut dyn FnMut(AllowedSender)) -> PortResult<()> {
        port(grants::visit(self.connection, filter, each))
    }

    fn is_blocked(&self, key: &SenderKey) -> PortResult<bool> {
        port(blocks::is_blocked(self.connection, key))
    }

    fn has_blocks(&self, channel: &ChannelId) -> PortResult<bool> {
        port(blocks::any(self.connection, channel))
    }

    fn blocked_on(
        &self,
        channel: &ChannelId,
        account: &AccountId,
    ) -> PortResult<HashSet<SenderId>> {
        port(blocks::on(self.connection, channel, account))
    }

    fn visit_blocks(&self, filter: &Filter, each: &mut dyn FnMut(BlockedSender)) -> PortResult<()> {
        port(blocks::visit(self.connection, filter, each))
    }

    fn attempts(&self, actor: &Actor, after: i64) -> PortResult<Vec<Attempt>> {
        port(attempts::of(self.connection, actor, after))
    }

    fn audit(&self, query: &AuditQuery) -> PortResult<Vec<AuditEvent>> {
        port(audit_search::search(self.connection, query))
    }

    fn accounts(&self) -> PortResult<Vec<AccountRow>> {
        port(accounts::all(self.connection))
    }

    fn adapters(&self) -> PortResult<Vec<AdapterRow>> {
        port(adapters::all(self.connection))
    }

    fn redemption(&self, nonce: &str) -> PortResult<Option<RedemptionRow>> {
        port(redemptions::get(self.connection, nonce))
    }

    fn unaudited_redemptions(&self) -> PortResult<Vec<RedemptionRow>> {
        port(redemptions::unaudited(self.connection))
    }

    fn session(&self, id: &SessionId) -> PortResult<Option<SessionRow>> {
        port(sessions::get(self.connection, id))
    }

    fn session_by_token(&self, token: &Sha256) -> PortResult<Option<SessionRow>> {
        port(sessions::by_token(self.connection, token))
    }

    fn visit_sessions(&self, each: &mut dyn FnMut(Session)) -> PortResult<()> {
        port(sessions::visit(self.connection, each))
    }
}

impl WriteRows for Rows<'_> {
    /// The transaction has the lock on the whole database.
    fn lock(&mut self, _: &[LockKey]) -> PortResult<()> {
        Ok(())
    }

    fn after_commit(&mut self, effect: Box<dyn FnOnce() + Send>) {
        self.effects.after.push(effect);
    }

    fn takes_upkeep(&mut self) -> bool {
        !self.had_upkeep.replace(true)
    }

    fn insert_request(&mut self, request: &RequestRow) -> PortResult<bool> {
        port(requests::insert(self.connection, request))
    }

    fn set_challenged_at(&mut self, key: &SenderKey, at: i64) -> PortResult<()> {
        port(requests::set_challenged_at(self.connection, key, at))
    }

    fn close_request(&mut self, outcome: &OutcomeRow) -> PortResult<bool> {
        let was_there = port(requests::delete(self.connection, &outcome.key, &outcome.code))?;
        if was_there {
            port(outcomes::insert(self.connection, outcome))?;
        }
        Ok(was_there)
    }

    fn put_grant(&mut self, grant: &AllowedSender) -> PortResult<()> {
        port(grants::put(self.connection, grant))
    }

    fn seed_grants(
        &mut self,
        channel: &ChannelId,
        account: &AccountId,
        senders: &[SenderId],
        at: i64,
        via: &Actor,
    ) -> PortResult<Seeded> {
        port(grants::seed(self.connection, channel, account, senders, at, via))
    }

    fn revoke_grants(
        &mut self,
        target: &Target,
        at: i64,
        via: &Actor,
    ) -> PortResult<Vec<SenderKey>> {
        port(grants::revoke(self.connection, target, at, via))
    }

    fn expire_grants(&mut self, of: Option<&Target>, until: i64, limit: u64) -> PortResult<u64> {
        port(grants::expire(self.connection, of, until, limit))
    }

    fn put_block(&mut self, block: &BlockedSender) -> PortResult<()> {
        port(blocks::put(self.connection, block))
    }

    fn delete_block(&mut self, target: &Target) -> PortResult<bool> {
        port(blocks::delete(self.connection, target))
    }

    fn erase(&mut self, target: &Target, pseudonym: &str) -> PortResult<Erased> {
        let connection = self.connection;
        let mut accounts = port(grants::delete_of_target(connection, target))?;
        accounts.extend(port(blocks::delete_of_target(connection, target))?);
        accounts.extend(port(requests::delete_of_target(connection, target))?);
        accounts.extend(port(outcomes::delete_of_target(connection, target))?);
        let unlisted = port(changes::delete_of_target(connection, target))?;
        let renamed = port(audit::rename(connection, target, pseudonym))?;
        accounts.sort_unstable();
        accounts.dedup();
        let changed = !accounts.is_empty() || unlisted > 0 || renamed > 0;
        self.effects.wipe |= changed;
        Ok(Erased { accounts, changed })
    }

    fn insert_attempt(&mut self, actor: &Actor, attempt: Attempt) -> PortResult<()> {
        port(attempts::insert(self.connection, actor, attempt))
    }

    fn delete_attempts(&mut self, actor: &Actor) -> PortResult<Vec<Attempt>> {
        port(attempts::delete(self.connection, actor))
    }

    fn append_audit(&mut self, entry: &AuditRow<'_>) -> PortResult<()> {
        port(audit::append(self.connection, entry))
    }

    fn put_account(&mut self, account: &AccountRow) -> PortResult<()> {
        port(accounts::put(self.connection, account))
    }

    fn delete_account(&mut self, account: &AccountKey) -> PortResult<()> {
        port(accounts::delete(self.connection, account))
    }

    fn put_adapter(&mut self, adapter: &AdapterRow) -> PortResult<()> {
        port(adapters::put(self.connection, adapter))
    }

    fn delete_adapter(&mut self, channel: &ChannelId) -> PortResult<bool> {
        port(adapters::delete(self.connection, channel))
    }

    fn insert_redemption(&mut self, redemption: &RedemptionRow) -> PortResult<bool> {
        port(redemptions::insert(self.connection, redemption))
    }

    fn put_repeats(&mut self, nonce: &str, kind: RepeatKind, repeats: &Repeats) -> PortResult<()> {
        port(redemptions::put_repeats(self.connection, nonce, kind, repeats))
    }

    fn put_session(&mut self, session: &SessionRow) -> PortResult<()> {
        port(sessions::put(self.connection, session))
    }

    fn trim(&mut self, what: Trim, limit: u64) -> PortResult<u64> {
        let connection = self.connection;
        port(match what {
            Trim::OutcomesBeyond(newest) => outcomes::trim_beyond(connection, newest, limit),
            Trim::Outcomes { until, expired_until } => {
                outcomes::trim(connection, until, expired_until, limit)
            }
            Trim::Attempts(until) => attempts::trim(connection, until, limit),
            Trim::ExpiredSessions(until) => sessions::expire(connection, until, limit),
            Trim::Sessions { revoked_until, expired_until } => {
                sessions::trim(connection, revoked_until, expired_until, limit)
            }
            Trim::Redemptions { expired_until, keep } => {
                redemptions::trim(connection, expired_until, keep, limit)
            }
            Trim::Own => changes::trim(connection, limit),
        })
    }

    fn trim_audit(
        &mut self,
        after: i64,
        oldest: i64,
        newest: i64,
        limit: u64,
    ) -> PortResult<Option<i64>> {
        port(audit::trim(self.connection, after, oldest, newest, limit))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;

    use nexo_pairing_core::rules::RequestEnd;
    use nexo_pairing_core::{Filter, SenderId};

    use super::*;
    use crate::inspect;

    #[test]
    fn a_request_ends_once_and_only_by_its_own_code() {
        let connection = inspect::empty(Path::new(":memory:")).unwrap();
        let (now, had_upkeep) = (OffsetDateTime::UNIX_EPOCH, Cell::new(false));
        let mut rows = Rows::new(&connection, now, &had_upkeep);
        let key = SenderKey::new(
            ChannelId::from_stored("test".to_owned()),
            AccountId::from_stored("main".to_owned()),
            SenderId::from_stored("+1".to_owned()),
        );
        let [old, code] = [[1; 7], [2; 7]].map(PairingCode::from_random);
        let ended = EndedRequest { end: RequestEnd::Expired, at: now, strikes: 1 };
        let outcome =
            |code: &PairingCode| OutcomeRow { key: key.clone(), code: code.clone(), ended };
        let (created_at, expires_at, challenged_at) = (0, 1, 0);
        let meta = "null".to_owned();
        let (whose, its) = (key.clone(), code.clone());
        let request =
            RequestRow { key: whose, code: its, created_at, expires_at, challenged_at, meta };
        assert!(rows.insert_request(&request).unwrap());
        // As an operation does that found one which ended meanwhile.
        assert!(!rows.close_request(&outcome(&old)).unwrap());
        assert_eq!(rows.request(&key).unwrap(), Some(request));
        assert!(rows.close_request(&outcome(&code)).unwrap());
        assert!(!rows.close_request(&outcome(&code)).unwrap());
        let outcomes = "SELECT count(*) FROM pairing_finished";
        assert_eq!(connection.query_row(outcomes, (), |row| row.get(0)), Ok(1));
        let mut left = 0;
        rows.visit_requests(&Filter::all(), &mut |_| left += 1).unwrap();
        assert_eq!(left, 0);
    }

    /// Whether a query reads its rows in the order of an index: a million would be sorted in memory
    /// otherwise.
    pub(super) fn sorts_nothing(sql: &str) {
        let connection = inspect::empty(Path::new(":memory:")).unwrap();
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let plan: Vec<String> =
            plan.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>().unwrap();
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
    }
}
