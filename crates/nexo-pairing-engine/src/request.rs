//! Adds a stranger's request, or repeats its challenge.

use std::time::Duration;

use nexo_pairing_core::rules::{self, EndedRequest, Limits, MessageFacts, Rule, SenderFacts};
use nexo_pairing_core::{
    Actor, AuditAction, Filter, NewRequest, PairingCode, PairingError, RandomSource, SenderKey,
    UpsertOutcome, Validity,
};
use serde_json::Value;
use time::OffsetDateTime;

use crate::port::{LockKey, PortResult, RequestCounts, RequestRow, Rows, at};
use crate::refusal::{TxError, TxResult};
use crate::state::{grant_validity, request_validity};
use crate::tx::{SHARE, Subject, Tx, seconds};

/// How often a new code is drawn before giving up. At 3,000 requests the chance that one is taken is 1 in 10
/// million.
const DRAWS: usize = 8;

/// Adds a request or repeats the existing one, as the rules decide on the current rows.
pub(crate) fn upsert(
    tx: &mut Tx<'_>,
    request: &NewRequest,
    random: &dyn RandomSource,
) -> TxResult<UpsertOutcome> {
    let keys: Vec<SenderKey> = keys(request).collect();
    tx.lock(locks(request, &keys))?;
    tx.expire()?;
    let mut facts = Facts::of(tx.rows, request, &keys)?;
    if facts.has_overdue(at(tx.now)) {
        for key in &keys {
            tx.expire_of(&Filter::from(key))?;
        }
        facts = Facts::of(tx.rows, request, &keys)?;
    }
    let (message, limits) = (MessageFacts::of_request(request), Limits::of_request(request));
    let rule_at = |now, facts: &Facts| rules::evaluate(&message, &limits, facts, || at(now));
    let mut rule = rule_at(tx.now, &facts);
    if rule == Rule::Challenge {
        // All operations that add a request, on any account, wait for this lock, so only they take it.
        tx.lock([LockKey::Requests])?;
        let SenderKey { channel, account_id, .. } = request.key.clone();
        facts.counts = tx.rows.count_requests(&(channel, account_id), tx.overdue())?;
        rule = rule_at(tx.now, &facts);
    }
    let now = at(tx.now);
    if let Some(outcome) = UpsertOutcome::without_code(rule) {
        return Ok(outcome);
    }
    if let Some(live) = facts.requests.iter().find(|row| request_validity(row).holds(now)) {
        tx.rows.set_challenged_at(&live.key, tx.now)?;
        let RequestRow { key, code, expires_at, .. } = live.clone();
        return Ok(UpsertOutcome::Repeated { key, code, expires_at: at(expires_at) });
    }
    if facts.counts.stored >= u64::from(request.max_pending_total) {
        tx.expire_requests(SHARE)?;
    }
    create(tx, request, random)
}

/// Sets the stamp of a challenge back, so that the next message after `retry_after` is challenged again.
pub(crate) fn undelivered(
    tx: &mut Tx<'_>,
    key: &SenderKey,
    cooldown: Duration,
    retry_after: Duration,
) -> TxResult<()> {
    tx.lock([LockKey::sender(key)])?;
    let stamp = tx.now - seconds(cooldown) + seconds(retry_after);
    Ok(tx.rows.set_challenged_at(key, stamp)?)
}

fn create(
    tx: &mut Tx<'_>,
    request: &NewRequest,
    random: &dyn RandomSource,
) -> TxResult<UpsertOutcome> {
    let (key, expires_at) = (request.key.clone(), tx.now + seconds(request.ttl));
    for _ in 0..DRAWS {
        let mut bytes = [0; 7];
        random.fill(&mut bytes).map_err(|error| TxError::Refused(error.into()))?;
        let code = PairingCode::from_random(bytes);
        if !tx.rows.outcomes_of_code(&code)?.is_empty() {
            continue;
        }
        let row = RequestRow {
            key: key.clone(),
            code,
            created_at: tx.now,
            expires_at,
            challenged_at: tx.now,
            meta: request.meta.to_string(),
        };
        if tx.rows.insert_request(&row)? {
            tx.audit(&Actor::gate(), AuditAction::Request, Subject::key(&key), Value::Null)?;
            let code = row.code;
            return Ok(UpsertOutcome::Created { key, code, expires_at: at(expires_at) });
        }
    }
    let cause = "no free code was found; the random numbers repeat";
    Err(TxError::Refused(PairingError::backend(cause)))
}

/// The keys of all ids of the sender of a request.
fn keys(request: &NewRequest) -> impl Iterator<Item = SenderKey> {
    let others = request.alt.iter().map(|alt| {
        let SenderKey { channel, account_id, .. } = request.key.clone();
        SenderKey::new(channel, account_id, alt.clone())
    });
    std::iter::once(request.key.clone()).chain(others)
}

fn locks(request: &NewRequest, keys: &[SenderKey]) -> Vec<LockKey> {
    let SenderKey { channel, account_id, .. } = &request.key;
    let mut locks: Vec<LockKey> = keys.iter().map(LockKey::sender).collect();
    locks.push(LockKey::Account(channel.clone(), account_id.clone()));
    if request.has_unreadable_id {
        locks.push(LockKey::Channel(channel.clone()));
    }
    locks
}

/// The facts of the rows on the sender of a request.
#[derive(Default)]
struct Facts {
    has_blocks: bool,
    is_blocked: bool,
    grants: Vec<Validity>,
    waits: Vec<Validity>,
    requests: Vec<RequestRow>,
    /// Zero until they are counted.
    counts: RequestCounts,
}

impl Facts {
    /// The facts, except the numbers of requests.
    fn of(rows: &dyn Rows, request: &NewRequest, keys: &[SenderKey]) -> PortResult<Self> {
        let of_channel = Filter::all().with_channel(request.key.channel.clone());
        let has_blocks = request.has_unreadable_id && rows.has_block(&of_channel)?;
        let mut facts = Self { has_blocks, ..Self::default() };
        for key in keys {
            facts.is_blocked |= rows.has_block(&Filter::from(key))?;
            facts.grants.extend(rows.grant(key)?.as_ref().and_then(grant_validity));
            facts.waits.extend(rows.last_outcome(key)?.as_ref().and_then(EndedRequest::wait));
            facts.requests.extend(rows.requests(&Filter::from(key))?);
        }
        Ok(facts)
    }

    /// Whether a grant or a request is over, but not ended yet.
    fn has_overdue(&self, now: OffsetDateTime) -> bool {
        let requests = self.requests.iter().map(request_validity);
        self.grants.iter().copied().chain(requests).any(|validity| !validity.holds(now))
    }
}

impl SenderFacts for Facts {
    fn has_blocks(&self) -> bool {
        self.has_blocks
    }

    fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    fn grants(&self) -> impl Iterator<Item = Validity> {
        self.grants.iter().copied()
    }

    fn waits(&self) -> impl Iterator<Item = Validity> {
        self.waits.iter().copied()
    }

    fn requests(&self) -> impl Iterator<Item = (Validity, OffsetDateTime)> {
        self.requests.iter().map(|row| (request_validity(row), at(row.challenged_at)))
    }

    fn live_requests(&self, _: OffsetDateTime) -> usize {
        usize::try_from(self.counts.of_account).unwrap_or(usize::MAX)
    }

    fn live_requests_in_all(&self, _: OffsetDateTime) -> usize {
        usize::try_from(self.counts.live).unwrap_or(usize::MAX)
    }
}
