//! A stranger's request: made, repeated, refused a place.

use std::time::Duration;

use nexo_pairing_core::{
    Actor, NewRequest, PairingCode, PairingError, SenderId, SenderKey, UpsertOutcome,
};
use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use super::audit::About;
use super::purge::SHARE;
use super::standing::{last_outcome, waiting};
use super::{LEEWAY, Write, at};

/// How often a new code is drawn before giving up: that one is taken has a chance of 1 in 10 million
/// at 3000 requests.
const DRAWS: usize = 8;

/// What `upsert_pending` does, in the order of the gate's rules.
pub(crate) fn upsert(
    write: &mut Write<'_>,
    request: &NewRequest,
) -> rusqlite::Result<Result<UpsertOutcome, PairingError>> {
    let (channel, account) = (request.key.channel.as_str(), request.key.account_id.as_str());
    let senders: Vec<&str> = std::iter::once(&request.key.sender_id)
        .chain(&request.alt)
        .map(|sender| sender.as_str())
        .collect();
    for sender in &senders {
        write.expire_of(channel, account, sender)?;
    }

    if request.has_unreadable_id && write.has_blocks(channel)? {
        return Ok(Ok(UpsertOutcome::Blocked));
    }
    for sender in &senders {
        if write.is_blocked(channel, account, sender)? {
            return Ok(Ok(UpsertOutcome::Blocked));
        }
    }
    for sender in &senders {
        if write.is_allowed(channel, account, sender)? {
            return Ok(Ok(UpsertOutcome::Allowed));
        }
    }
    for sender in &senders {
        if write.is_waiting(channel, account, sender)? {
            return Ok(Ok(UpsertOutcome::Waiting));
        }
    }
    for sender in &senders {
        if let Some(outcome) = repeat(write, request, sender)? {
            return Ok(Ok(outcome));
        }
    }
    let (pending, total, rows): (u32, u32, u32) = write
        .tx
        .prepare_cached(
            // Those that are over are few, and found by indexes.
            "WITH due AS (SELECT channel, account_id FROM pairing_pending
                WHERE coalesce(expires_at, created_at + 3600) <= ?3 OR created_at > ?3 + 5)
            SELECT (SELECT count(*) FROM pairing_pending WHERE channel = ?1 AND account_id = ?2)
                    - (SELECT count(*) FROM due WHERE channel = ?1 AND account_id = ?2),
                (SELECT count(*) FROM pairing_pending) - (SELECT count(*) FROM due),
                (SELECT count(*) FROM pairing_pending)",
        )?
        .query_row(params![channel, account, write.now], |row| row.try_into())?;
    if pending >= request.max_pending || total >= request.max_pending_total {
        return Ok(Ok(UpsertOutcome::PendingFull));
    }
    if rows >= request.max_pending_total {
        write.expire_requests(SHARE)?;
    }
    create(write, request)
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

/// What becomes of a sender who has a request already.
fn repeat(
    write: &Write<'_>,
    request: &NewRequest,
    sender: &str,
) -> rusqlite::Result<Option<UpsertOutcome>> {
    let (channel, account) = (request.key.channel.as_str(), request.key.account_id.as_str());
    let found: Option<(String, i64, i64)> = write
        .tx
        .prepare_cached(
            "SELECT code, coalesce(expires_at, created_at + 3600),
                    coalesce(last_challenged_at, created_at)
                FROM pairing_pending WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3",
        )?
        .query_row([channel, account, sender], |row| row.try_into())
        .optional()?;
    let Some((code, expires_at, last)) = found else { return Ok(None) };
    let elapsed = write.now.saturating_sub(last);
    if (-LEEWAY..seconds(request.cooldown)).contains(&elapsed) {
        return Ok(Some(UpsertOutcome::AlreadyChallenged));
    }
    challenged_at(write, channel, account, sender, write.now)?;
    let (key, code) = (request.key.clone(), PairingCode::from_stored(code));
    let key = SenderKey { sender_id: SenderId::from_stored(sender.to_owned()), ..key };
    Ok(Some(UpsertOutcome::Repeated { key, code, expires_at: at(expires_at) }))
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
            return Ok(Err(error));
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

    fn is_allowed(&self, channel: &str, account: &str, sender: &str) -> rusqlite::Result<bool> {
        self.tx
            .prepare_cached(super::list::HAS_GRANT)?
            .query_row(params![channel, account, sender, self.now], |row| row.get(0))
    }

    fn is_waiting(&self, channel: &str, account: &str, sender: &str) -> rusqlite::Result<bool> {
        let last = last_outcome(self.tx, channel, account, sender)?;
        let span = last.and_then(|(outcome, from, strikes)| waiting(&outcome, from, strikes));
        Ok(span.is_some_and(|span| span.holds(at(self.now))))
    }
}

/// Whole seconds, as they are stored.
fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
}
