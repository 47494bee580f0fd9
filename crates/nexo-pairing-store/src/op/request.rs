//! A stranger's request: made, repeated, refused a place.

use std::time::Duration;

use nexo_pairing_core::rules::{self, Limits, MessageFacts, SenderFacts};
use nexo_pairing_core::{
    Actor, NewRequest, PairingCode, PairingError, SenderId, SenderKey, Span, UpsertOutcome,
};
use rusqlite::{OptionalExtension, params};
use serde_json::Value;
use time::OffsetDateTime;

use super::audit::About;
use super::purge::SHARE;
use super::standing::{granted, last_outcome, requested};
use super::{Write, at};

/// How often a new code is drawn before giving up: that one is taken has a chance of 1 in 10 million
/// at 3000 requests.
const DRAWS: usize = 8;

/// What `upsert_pending` does: what the rules say of the rows as they are by now.
pub(crate) fn upsert(
    write: &mut Write<'_>,
    request: &NewRequest,
) -> rusqlite::Result<Result<UpsertOutcome, PairingError>> {
    let (channel, account) = (request.key.channel.as_str(), request.key.account_id.as_str());
    for sender in senders(request) {
        write.expire_of(channel, account, sender)?;
    }
    let rows = Rows::of(write, request)?;
    let now = at(write.now);
    let message = MessageFacts::of_request(request);
    let rule = rules::evaluate(&message, &Limits::of_request(request), &rows, || now);
    if let Some(outcome) = UpsertOutcome::without_code(rule) {
        return Ok(Ok(outcome));
    }
    let live = rows.requests.into_iter().find(|found| found.life.holds(now));
    if let Some(found) = live {
        return repeat(write, request, found).map(Ok);
    }
    if rows.requests_kept >= request.max_pending_total {
        write.expire_requests(SHARE)?;
    }
    create(write, request)
}

/// All ids of the sender of a request.
fn senders(request: &NewRequest) -> impl Iterator<Item = &str> {
    std::iter::once(&request.key.sender_id).chain(&request.alt).map(|sender| sender.as_str())
}

/// What the rows say of the sender of a request.
#[derive(Default)]
struct Rows<'a> {
    has_blocks: bool,
    is_blocked: bool,
    grants: Vec<Span>,
    waits: Vec<Span>,
    requests: Vec<Found<'a>>,
    live_requests: u32,
    live_requests_in_all: u32,
    /// How many requests there are, with those that are over.
    requests_kept: u32,
}

/// A request of one of the sender's ids.
struct Found<'a> {
    sender: &'a str,
    code: String,
    life: Span,
    expires_at: i64,
    challenged_at: OffsetDateTime,
}

impl<'a> Rows<'a> {
    fn of(write: &Write<'_>, request: &'a NewRequest) -> rusqlite::Result<Self> {
        let (channel, account) = (request.key.channel.as_str(), request.key.account_id.as_str());
        let mut rows = Self { has_blocks: write.has_blocks(channel)?, ..Self::default() };
        for sender in senders(request) {
            rows.is_blocked |= write.is_blocked(channel, account, sender)?;
            rows.grants.extend(write.grant(channel, account, sender)?);
            let last = last_outcome(write.tx, channel, account, sender)?;
            rows.waits.extend(last.and_then(|last| last.wait()));
            rows.requests.extend(write.request(channel, account, sender)?);
        }
        (rows.live_requests, rows.live_requests_in_all, rows.requests_kept) =
            write.count_requests(channel, account)?;
        Ok(rows)
    }
}

impl SenderFacts for Rows<'_> {
    fn has_blocks(&self) -> bool {
        self.has_blocks
    }

    fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    fn grants(&self) -> impl Iterator<Item = Span> {
        self.grants.iter().copied()
    }

    fn waits(&self) -> impl Iterator<Item = Span> {
        self.waits.iter().copied()
    }

    fn requests(&self) -> impl Iterator<Item = (Span, OffsetDateTime)> {
        self.requests.iter().map(|found| (found.life, found.challenged_at))
    }

    fn live_requests(&self, _: OffsetDateTime) -> usize {
        self.live_requests as usize
    }

    fn live_requests_in_all(&self, _: OffsetDateTime) -> usize {
        self.live_requests_in_all as usize
    }
}

/// Stamps a challenge back, so that the next message after `retry_after` is challenged again.
pub(crate) fn undelivered(
    write: &Write<'_>,
    key: &SenderKey,
    cooldown: Duration,
    retry_after: Duration,
) -> rusqlite::Result<()> {
    let (channel, account) = (key.channel.as_str(), key.account_id.as_str());
    let stamp = write.now - seconds(cooldown) + seconds(retry_after);
    challenged_at(write, channel, account, key.sender_id.as_str(), stamp)
}

/// Notes when the sender of a request was last challenged.
fn challenged_at(
    write: &Write<'_>,
    channel: &str,
    account: &str,
    sender: &str,
    stamp: i64,
) -> rusqlite::Result<()> {
    write
        .tx
        .prepare_cached(
            "UPDATE pairing_pending SET last_challenged_at = ?4
                WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3",
        )?
        .execute(params![channel, account, sender, stamp])
        .map(drop)
}

/// Stamps the live request of a sender as challenged once more.
fn repeat(
    write: &Write<'_>,
    request: &NewRequest,
    found: Found<'_>,
) -> rusqlite::Result<UpsertOutcome> {
    let Found { sender, code, expires_at, .. } = found;
    let SenderKey { channel, account_id, .. } = request.key.clone();
    challenged_at(write, channel.as_str(), account_id.as_str(), sender, write.now)?;
    let key = SenderKey::new(channel, account_id, SenderId::from_stored(sender.to_owned()));
    let code = PairingCode::from_stored(code);
    Ok(UpsertOutcome::Repeated { key, code, expires_at: at(expires_at) })
}

fn create(
    write: &mut Write<'_>,
    request: &NewRequest,
) -> rusqlite::Result<Result<UpsertOutcome, PairingError>> {
    let code = match draw(write)? {
        Ok(code) => code,
        Err(error) => return Ok(Err(error)),
    };
    let SenderKey { channel, account_id, sender_id } = &request.key;
    let expires_at = write.now + seconds(request.ttl);
    write
        .tx
        .prepare_cached(
            "INSERT INTO pairing_pending (channel, account_id, sender_id, code, created_at,
                    meta_json, expires_at, last_challenged_at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?5)",
        )?
        .execute(params![
            channel.as_str(),
            account_id.as_str(),
            sender_id.as_str(),
            code.as_str(),
            write.now,
            request.meta.to_string(),
            expires_at
        ])?;
    let about = About::sender(channel.as_str(), account_id.as_str(), sender_id.as_str());
    write.audit(Actor::gate().as_str(), "request", about, &Value::Null)?;
    let key = request.key.clone();
    Ok(Ok(UpsertOutcome::Created { key, code, expires_at: at(expires_at) }))
}

/// A code that nobody has, and nobody had lately.
fn draw(write: &Write<'_>) -> rusqlite::Result<Result<PairingCode, PairingError>> {
    for _ in 0..DRAWS {
        let mut random = [0; 7];
        if let Err(error) = write.options.random.fill(&mut random) {
            return Ok(Err(error.into()));
        }
        let code = PairingCode::from_random(random);
        let is_taken: bool = write
            .tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM pairing_pending WHERE code = ?1)
                    OR EXISTS (SELECT 1 FROM pairing_finished WHERE code = ?1)",
            )?
            .query_row([code.as_str()], |row| row.get(0))?;
        if !is_taken {
            return Ok(Ok(code));
        }
    }
    Ok(Err(PairingError::backend("no free code was found; the random numbers repeat")))
}

impl Write<'_> {
    /// Whether a sender is blocked on an account, or on all.
    pub(crate) fn is_blocked(
        &self,
        channel: &str,
        account: &str,
        sender: &str,
    ) -> rusqlite::Result<bool> {
        self.tx
            .prepare_cached(super::list::IS_BLOCKED)?
            .query_row([channel, account, sender], |row| row.get(0))
    }

    /// Whether anybody is blocked on any account of a channel.
    fn has_blocks(&self, channel: &str) -> rusqlite::Result<bool> {
        self.tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM pairing_blocked WHERE channel = ?1)")?
            .query_row([channel], |row| row.get(0))
    }

    /// When the grant of a sender on an account holds, if there is one that was not revoked.
    fn grant(&self, channel: &str, account: &str, sender: &str) -> rusqlite::Result<Option<Span>> {
        self.tx
            .prepare_cached(
                "SELECT approved_at, expires_at FROM pairing_allow_from
                    WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3
                        AND revoked_at IS NULL",
            )?
            .query_row([channel, account, sender], |row| Ok(granted(row.get(0)?, row.get(1)?)))
            .optional()
    }

    /// The request of a sender on an account.
    fn request<'a>(
        &self,
        channel: &str,
        account: &str,
        sender: &'a str,
    ) -> rusqlite::Result<Option<Found<'a>>> {
        self.tx
            .prepare_cached(
                "SELECT code, created_at, coalesce(expires_at, created_at + 3600),
                        coalesce(last_challenged_at, created_at)
                    FROM pairing_pending
                    WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3",
            )?
            .query_row([channel, account, sender], |row| {
                let (code, created_at, expires_at, last) = row.try_into()?;
                let (life, challenged_at) = requested(created_at, expires_at, last);
                Ok(Found { sender, code, life, expires_at, challenged_at })
            })
            .optional()
    }

    /// How many requests of an account live, how many of all, and how many there are.
    fn count_requests(&self, channel: &str, account: &str) -> rusqlite::Result<(u32, u32, u32)> {
        self.tx
            .prepare_cached(
                // Those that are over are few, and found by indexes.
                "WITH due AS (SELECT channel, account_id FROM pairing_pending
                    WHERE coalesce(expires_at, created_at + 3600) <= ?3 OR created_at > ?3 + 5)
                SELECT (SELECT count(*) FROM pairing_pending
                        WHERE channel = ?1 AND account_id = ?2)
                        - (SELECT count(*) FROM due WHERE channel = ?1 AND account_id = ?2),
                    (SELECT count(*) FROM pairing_pending) - (SELECT count(*) FROM due),
                    (SELECT count(*) FROM pairing_pending)",
            )?
            .query_row(params![channel, account, self.now], |row| row.try_into())
    }
}

/// Whole seconds, as they are stored.
fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
}
