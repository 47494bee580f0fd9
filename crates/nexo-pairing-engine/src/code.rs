//! Approves and rejects codes, and limits guesses.

use std::time::Duration;

use nexo_pairing_core::rules::{REJECTED_FOR, RequestEnd};
use nexo_pairing_core::timestamp::rfc3339;
use nexo_pairing_core::{
    Actor, AllowedSender, ApprovedRequest, AuditAction, CodeError, Filter, Grant, PairingCode,
    PairingError, RejectedRequest, SenderKey, limits, metric,
};
use serde_json::{Value, json};

use crate::port::{Attempt, AttemptKind, LockKey, PortError, PortResult, RequestRow, at};
use crate::refusal::{TxError, TxResult};
use crate::tx::{Subject, Tx, seconds};

/// The period in which failed attempts are counted, and the duration of a lockout.
const WINDOW: Duration = Duration::from_secs(600);

/// The attempt that causes a lockout.
const MAX_UNKNOWN: usize = 5;

/// How many mistyped codes do not count as attempts.
const MAX_MISTYPED: usize = 30;

/// A code as it was typed.
pub(crate) type TypedCode = Result<PairingCode, CodeError>;

/// Approves the request that has the code.
pub(crate) fn approve(
    tx: &mut Tx<'_>,
    code: &TypedCode,
    actor: &Actor,
    grant: &Grant,
) -> TxResult<ApprovedRequest> {
    let approved = admit(tx, code, actor, grant);
    let (channel, result) = match &approved {
        Ok(ApprovedRequest { channel, .. }) => (channel.to_string(), "ok"),
        Err(TxError::Failed(_) | TxError::Refused(PairingError::Blocked { .. })) => {
            return approved;
        }
        Err(TxError::Refused(error)) => match error {
            PairingError::Expired { key, .. } => (key.channel.to_string(), "expired"),
            PairingError::LockedOut { .. } => (String::new(), "locked_out"),
            PairingError::MistypedCode | PairingError::Code(_) => (String::new(), "mistyped"),
            _ => (String::new(), "not_found"),
        },
    };
    tx.rows.after_commit(Box::new(move || {
        let labels = [("channel", channel), ("result", result.to_owned())];
        metrics::counter!(metric::APPROVALS_TOTAL, &labels).increment(1);
    }));
    approved
}

fn admit(
    tx: &mut Tx<'_>,
    code: &TypedCode,
    actor: &Actor,
    grant: &Grant,
) -> TxResult<ApprovedRequest> {
    let RequestRow { key, code, .. } = find(tx, code, actor)?;
    // 0.1.8 has no blocks, so it can add a request of a blocked sender.
    if tx.rows.has_block(&Filter::from(&key))? {
        return Err(TxError::Refused(PairingError::Blocked { key }));
    }
    close(tx, &key, &code, RequestEnd::Approved)?;
    let expires_at = grant.expires_in.map(|expires_in| tx.now.saturating_add(seconds(expires_in)));
    let mut row = AllowedSender::new(key.clone(), at(tx.now), actor.clone());
    row.expires_at = expires_at.map(at);
    row.note.clone_from(&grant.note);
    tx.rows.put_grant(&row)?;
    let detail =
        expires_at.map_or(Value::Null, |until| json!({ "expires_at": rfc3339(at(until)) }));
    tx.audit(actor, AuditAction::Approve, Subject::key(&key), detail)?;
    Ok(ApprovedRequest::new(key, at(tx.now), expires_at.map(at)))
}

/// Rejects the request that has the code.
pub(crate) fn reject(
    tx: &mut Tx<'_>,
    code: &TypedCode,
    actor: &Actor,
) -> TxResult<RejectedRequest> {
    let RequestRow { key, code, .. } = find(tx, code, actor)?;
    close(tx, &key, &code, RequestEnd::Rejected)?;
    tx.audit(actor, AuditAction::Reject, Subject::key(&key), Value::Null)?;
    Ok(RejectedRequest::new(key, at(tx.now)))
}

/// Ends a lockout.
pub(crate) fn unlock(tx: &mut Tx<'_>, locked: &Actor, actor: &Actor) -> TxResult<bool> {
    tx.lock([LockKey::Actor(locked.clone())])?;
    let deleted = tx.rows.delete_attempts(locked)?;
    // Old attempts are kept for a while, but no longer count.
    if !deleted.iter().any(|attempt| counts(attempt, tx.now)) {
        return Ok(false);
    }
    let detail = json!({ "unlocked": locked });
    tx.audit(actor, AuditAction::Unlock, Subject::default(), detail)?;
    Ok(true)
}

/// The live request that has the code. Otherwise returns the refusal, and counts the attempt.
fn find(tx: &mut Tx<'_>, code: &TypedCode, actor: &Actor) -> TxResult<RequestRow> {
    let of_code = code.as_ref().ok().cloned().map(LockKey::Code);
    tx.lock(of_code.into_iter().chain([LockKey::Actor(actor.clone())]))?;
    let since = tx.now - seconds(WINDOW);
    let mut attempts = tx.rows.attempts(actor, since)?;
    attempts.retain(|attempt| counts(attempt, tx.now));
    let lockouts = attempts.iter().filter(|attempt| attempt.kind == AttemptKind::Lockout);
    if let Some(last) = lockouts.map(|attempt| attempt.at).max() {
        let remaining = Duration::from_secs((last - since).unsigned_abs());
        return Err(TxError::Refused(PairingError::LockedOut { remaining }));
    }
    let code = match code {
        Ok(code) => code,
        Err(error) => {
            tx.expire()?;
            return Err(record_failed_attempt(tx, Some((*error).into()), actor, &attempts)?);
        }
    };
    let mut found = tx.rows.request_by_code(code)?;
    if let Some(RequestRow { key, .. }) = &found {
        let account = LockKey::Account(key.channel.clone(), key.account_id.clone());
        if tx.lock([account, LockKey::sender(key)])? {
            found = tx.rows.request_by_code(code)?;
        }
    }
    tx.expire()?;
    if let Some(request) = found {
        if !tx.overdue().includes(&request) {
            return Ok(request);
        }
        tx.expire_each(vec![request])?;
    }
    if let Some(error) = recent_outcome(tx, code)? {
        return Err(TxError::Refused(error));
    }
    let mistake = (!code.is_consistent()).then_some(PairingError::MistypedCode);
    Err(record_failed_attempt(tx, mistake, actor, &attempts)?)
}

/// Ends the request that was found. It can only be gone if it was overdue.
fn close(tx: &mut Tx<'_>, key: &SenderKey, code: &PairingCode, end: RequestEnd) -> TxResult<()> {
    if tx.close(key, code, end, tx.now, 0)? {
        return Ok(());
    }
    match recent_outcome(tx, code)? {
        Some(error) => Err(TxError::Refused(error)),
        None => Err(TxError::Failed(PortError::new("the request is gone"))),
    }
}

/// The refusal for a code whose request ended within 24 hours, which does not count as an attempt.
fn recent_outcome(tx: &Tx<'_>, code: &PairingCode) -> PortResult<Option<PairingError>> {
    let recent = tx.now - seconds(REJECTED_FOR) + 1..=tx.now + leeway();
    let mut outcomes = tx.rows.outcomes_of_code(code)?.into_iter();
    let newest = outcomes.find(|row| recent.contains(&row.ended.at.unix_timestamp()));
    Ok(newest.map(|row| {
        let (key, at) = (row.key, row.ended.at);
        match row.ended.end {
            RequestEnd::Approved => PairingError::AlreadyApproved { key, at },
            RequestEnd::Expired => PairingError::Expired { key, at },
            RequestEnd::Rejected | RequestEnd::Blocked => PairingError::AlreadyRejected { key, at },
        }
    }))
}

/// Counts a code without a request: as mistyped (with its refusal), up to a limit, or as an attempt.
fn record_failed_attempt(
    tx: &mut Tx<'_>,
    mistake: Option<PairingError>,
    actor: &Actor,
    attempts: &[Attempt],
) -> PortResult<TxError> {
    let count = |kind| attempts.iter().filter(|attempt| attempt.kind == kind).count();
    let mut note = |kind| {
        let attempt = Attempt { kind, at: tx.now };
        tx.rows.insert_attempt(actor, attempt)
    };
    if let Some(mistake) = mistake
        && count(AttemptKind::Mistyped) < MAX_MISTYPED
    {
        note(AttemptKind::Mistyped)?;
        return Ok(TxError::Refused(mistake));
    }
    let unknown = count(AttemptKind::Unknown) + 1;
    if unknown < MAX_UNKNOWN {
        note(AttemptKind::Unknown)?;
        let attempts_left = u32::try_from(MAX_UNKNOWN - unknown).unwrap_or_default();
        return Ok(TxError::Refused(PairingError::UnknownCode { attempts_left }));
    }
    tx.rows.delete_attempts(actor)?;
    let attempt = Attempt { kind: AttemptKind::Lockout, at: tx.now };
    tx.rows.insert_attempt(actor, attempt)?;
    tx.audit(actor, AuditAction::Lockout, Subject::default(), Value::Null)?;
    Ok(TxError::Refused(PairingError::LockedOut { remaining: WINDOW }))
}

/// Whether an attempt counts at `now`. One from the future, by a clock that was set back since, does not.
fn counts(attempt: &Attempt, now: i64) -> bool {
    attempt.at > now - seconds(WINDOW) && attempt.at <= now + leeway()
}

fn leeway() -> i64 {
    seconds(limits::TIMESTAMP_LEEWAY)
}
