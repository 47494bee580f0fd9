//! What an operator does with a code, and what guessing one costs.

use std::time::Duration;

use nexo_pairing_core::timestamp::rfc3339;
use nexo_pairing_core::{
    Actor, ApprovedRequest, CodeError, Grant, PairingCode, PairingError, RejectedRequest, SenderKey,
};
use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use super::audit::About;
use super::grant::stored_key;
use super::purge::Finished;
use super::{LEEWAY, REJECTED_FOR, Write, at};

/// Over how long failed attempts are counted, and how long a lockout lasts, in seconds.
const WINDOW: i64 = 600;

/// The attempt that is answered with a lockout.
const MAX_UNKNOWN: i64 = 5;

/// How many typing mistakes cost nothing.
const MAX_MISTYPED: i64 = 30;

/// A request that a code means.
struct Meant {
    channel: String,
    account: String,
    sender: String,
    code: PairingCode,
}

impl Meant {
    fn as_finished(&self) -> Finished<'_> {
        let Self { channel, account, sender, code } = self;
        Finished { code: code.as_str(), channel, account, sender }
    }

    fn about(&self) -> About<'_> {
        About::sender(&self.channel, &self.account, &self.sender)
    }

    fn into_key(self) -> SenderKey {
        stored_key(self.channel, self.account, self.sender)
    }
}

/// Lets in whoever has the code.
pub(crate) fn approve(
    write: &mut Write<'_>,
    code: Result<PairingCode, CodeError>,
    actor: &Actor,
    grant: &Grant,
) -> rusqlite::Result<Result<ApprovedRequest, PairingError>> {
    let meant = match find(write, code, actor)? {
        Ok(meant) => meant,
        Err(error) => {
            let result = match &error {
                PairingError::Expired { key, .. } => Some((key.channel.to_string(), "expired")),
                PairingError::LockedOut { .. } => Some((String::new(), "locked_out")),
                PairingError::MistypedCode | PairingError::Code(_) => {
                    Some((String::new(), "mistyped"))
                }
                _ => Some((String::new(), "not_found")),
            };
            write.after.approval = result;
            return Ok(Err(error));
        }
    };
    // 0.1.8 knows no blocks, so it can make a request of a blocked sender.
    if write.is_blocked(&meant.channel, &meant.account, &meant.sender)? {
        return Ok(Err(PairingError::Blocked { key: meant.into_key() }));
    }
    let expires_at = grant.expires_in.map(|expires_in| {
        write.now.saturating_add(i64::try_from(expires_in.as_secs()).unwrap_or(i64::MAX))
    });
    let key = params![meant.channel, meant.account, meant.sender];
    write
        .tx
        .prepare_cached(
            "INSERT INTO pairing_allow_from
                    (channel, account_id, sender_id, approved_at, approved_via, note)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                ON CONFLICT (channel, account_id, sender_id) DO UPDATE SET
                    approved_at = excluded.approved_at, approved_via = excluded.approved_via,
                    note = excluded.note, revoked_at = NULL, revoked_via = NULL,
                    expires_at = NULL",
        )?
        .execute(params![
            meant.channel,
            meant.account,
            meant.sender,
            write.now,
            actor.as_str(),
            grant.note
        ])?;
    if let Some(expires_at) = expires_at {
        // On its own: with the revival in one statement it would look like one of 0.1.8's.
        write
            .tx
            .prepare_cached(
                "UPDATE pairing_allow_from SET expires_at = ?4
                    WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3",
            )?
            .execute(params![key[0], key[1], key[2], expires_at])?;
    }
    write.finish(&meant.as_finished(), "approved", write.now, 0)?;
    let detail =
        expires_at.map_or(Value::Null, |until| json!({ "expires_at": rfc3339(at(until)) }));
    write.audit(actor.as_str(), "approve", meant.about(), &detail)?;
    write.after.approval = Some((meant.channel.clone(), "ok"));
    Ok(Ok(ApprovedRequest::new(meant.into_key(), at(write.now), expires_at.map(at))))
}

/// Refuses whoever has the code.
pub(crate) fn reject(
    write: &mut Write<'_>,
    code: Result<PairingCode, CodeError>,
    actor: &Actor,
) -> rusqlite::Result<Result<RejectedRequest, PairingError>> {
    let meant = match find(write, code, actor)? {
        Ok(meant) => meant,
        Err(error) => return Ok(Err(error)),
    };
    write.finish(&meant.as_finished(), "rejected", write.now, 0)?;
    write.audit(actor.as_str(), "reject", meant.about(), &Value::Null)?;
    Ok(Ok(RejectedRequest::new(meant.into_key(), at(write.now))))
}

/// Takes back a lockout.
pub(crate) fn unlock(write: &Write<'_>, locked: &Actor, actor: &Actor) -> rusqlite::Result<bool> {
    let mut delete =
        write.tx.prepare("DELETE FROM pairing_attempts WHERE actor = ?1 RETURNING at")?;
    let deleted = delete.query_map([locked.as_str()], |row| row.get::<_, i64>(0))?;
    let deleted = deleted.collect::<Result<Vec<_>, _>>()?;
    // Those that are out of time are kept for a while, but they hold nobody back.
    if !deleted.iter().any(|&at| at > write.now - WINDOW && at <= write.now + LEEWAY) {
        return Ok(false);
    }
    let detail = json!({ "unlocked": locked });
    write.audit(actor.as_str(), "unlock", About::default(), &detail)?;
    Ok(true)
}

/// The live request that has the code; or what the actor is told, and what it costs him.
fn find(
    write: &mut Write<'_>,
    code: Result<PairingCode, CodeError>,
    actor: &Actor,
) -> rusqlite::Result<Result<Meant, PairingError>> {
    if let Some(remaining) = lockout(write, actor)? {
        return Ok(Err(PairingError::LockedOut { remaining }));
    }
    let code = match code {
        Ok(code) => code,
        Err(error) => {
            write.expire()?;
            return miss(write, Some(error.into()), actor).map(Err);
        }
    };
    write.expire_code(code.as_str())?;
    let pending = write
        .tx
        .prepare_cached(
            "SELECT channel, account_id, sender_id FROM pairing_pending WHERE code = ?1",
        )?
        .query_row([code.as_str()], |row| {
            let code = code.clone();
            Ok(Meant { channel: row.get(0)?, account: row.get(1)?, sender: row.get(2)?, code })
        })
        .optional()?;
    if let Some(meant) = pending {
        return Ok(Ok(meant));
    }
    if let Some(error) = told_apart(write, &code)? {
        return Ok(Err(error));
    }
    let mistake = (!code.is_consistent()).then_some(PairingError::MistypedCode);
    miss(write, mistake, actor).map(Err)
}

/// What became of a code within 24 hours: this is told, and costs nothing.
fn told_apart(write: &Write<'_>, code: &PairingCode) -> rusqlite::Result<Option<PairingError>> {
    let last: Option<(String, i64, String, String, String)> = write
        .tx
        .prepare_cached(
            "SELECT outcome, at, channel, account_id, sender_id FROM pairing_finished
                WHERE code = ?1 AND at > ?2 AND at <= ?3 + 5 ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![code.as_str(), write.now - REJECTED_FOR, write.now], |row| {
            row.try_into()
        })
        .optional()?;
    Ok(last.map(|(outcome, when, channel, account, sender)| {
        let (key, at) = (stored_key(channel, account, sender), at(when));
        match outcome.as_str() {
            "approved" => PairingError::AlreadyApproved { key, at },
            "expired" => PairingError::Expired { key, at },
            _ => PairingError::AlreadyRejected { key, at },
        }
    }))
}

/// A code that nobody has: a typing mistake (with what is told then), up to a limit, or an attempt.
fn miss(
    write: &Write<'_>,
    mistake: Option<PairingError>,
    actor: &Actor,
) -> rusqlite::Result<PairingError> {
    if let Some(mistake) = mistake
        && count(write, actor, "mistyped")? < MAX_MISTYPED
    {
        note(write, actor, "mistyped")?;
        return Ok(mistake);
    }
    let attempts = count(write, actor, "unknown")? + 1;
    if attempts < MAX_UNKNOWN {
        note(write, actor, "unknown")?;
        let attempts_left = u32::try_from(MAX_UNKNOWN - attempts).unwrap_or_default();
        return Ok(PairingError::UnknownCode { attempts_left });
    }
    write.tx.execute("DELETE FROM pairing_attempts WHERE actor = ?1", [actor.as_str()])?;
    note(write, actor, "lockout")?;
    write.audit(actor.as_str(), "lockout", About::default(), &Value::Null)?;
    Ok(PairingError::LockedOut { remaining: Duration::from_secs(WINDOW.unsigned_abs()) })
}

/// How long an actor is still locked out. A lockout from the future counts as over.
fn lockout(write: &Write<'_>, actor: &Actor) -> rusqlite::Result<Option<Duration>> {
    let since: Option<i64> = write
        .tx
        .prepare_cached(
            "SELECT max(at) FROM pairing_attempts
                WHERE actor = ?1 AND kind = 'lockout' AND at <= ?2 + 5 AND at > ?2 - ?3",
        )?
        .query_row(params![actor.as_str(), write.now, WINDOW], |row| row.get(0))?;
    Ok(since.map(|since| Duration::from_secs((since + WINDOW - write.now).unsigned_abs())))
}

fn count(write: &Write<'_>, actor: &Actor, kind: &str) -> rusqlite::Result<i64> {
    write
        .tx
        .prepare_cached(
            "SELECT count(*) FROM pairing_attempts
                WHERE actor = ?1 AND kind = ?2 AND at <= ?3 + 5 AND at > ?3 - ?4",
        )?
        .query_row(params![actor.as_str(), kind, write.now, WINDOW], |row| row.get(0))
}

fn note(write: &Write<'_>, actor: &Actor, kind: &str) -> rusqlite::Result<()> {
    write
        .tx
        .prepare_cached("INSERT INTO pairing_attempts (actor, at, kind) VALUES (?1, ?2, ?3)")?
        .execute(params![actor.as_str(), write.now, kind])
        .map(drop)
}
