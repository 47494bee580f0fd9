//! Revokes, blocks, seeds and erases, on one account of a channel or on all.

use std::collections::{HashMap, HashSet};

use data_encoding::HEXLOWER;
use nexo_pairing_core::rules::RequestEnd;
use nexo_pairing_core::{
    AccountId, AccountKey, AccountScope, Actor, AuditAction, BlockOutcome, BlockedSender, Filter,
    PairingCode, PairingError, SeedReport, SenderId, SenderKey, Target,
};
use ring::digest::{Context, SHA256};
use serde_json::{Value, json};

use crate::port::{GrantEnd, LockKey, PortResult, RequestRow, Seed, at};
use crate::refusal::{TxError, TxResult};
use crate::tx::{Subject, Tx};

/// Revokes the live grants of a target.
pub(crate) fn revoke(tx: &mut Tx<'_>, target: &Target, actor: &Actor) -> TxResult<Vec<SenderKey>> {
    tx.lock(locks(target))?;
    let revoked = revoke_all(tx, &Filter::from(target), actor)?;
    for key in &revoked {
        tx.audit(actor, AuditAction::Revoke, Subject::key(key), Value::Null)?;
    }
    Ok(revoked)
}

/// Blocks a target, and ends its grants and requests.
pub(crate) fn block(
    tx: &mut Tx<'_>,
    target: &Target,
    actor: &Actor,
    reason: Option<&str>,
) -> TxResult<BlockOutcome> {
    tx.lock(locks(target))?;
    let filter = Filter::from(target);
    let revoked = revoke_all(tx, &filter, actor)?;
    let Target { channel, scope, sender, .. } = target.clone();
    let (via, why) = (actor.clone(), reason.map(str::to_owned));
    tx.rows.put_block(&BlockedSender::new(channel, scope, sender, at(tx.now), via, why))?;
    let mut requests = tx.rows.requests(&filter)?;
    requests.sort_by(|one, next| one.key.cmp(&next.key));
    let mut dropped = Vec::with_capacity(requests.len());
    for RequestRow { key, code, .. } in requests {
        if tx.close(&key, &code, RequestEnd::Blocked, tx.now, 0)? {
            dropped.push(key);
        }
    }
    let detail = reason.map_or(Value::Null, |reason| json!({ "reason": reason }));
    tx.audit(actor, AuditAction::Block, Subject::target(target), detail)?;
    Ok(BlockOutcome::new(revoked, dropped))
}

/// Revokes the grants that match, expired ones as of their expiry; returns the others, by account.
fn revoke_all(tx: &mut Tx<'_>, filter: &Filter, actor: &Actor) -> PortResult<Vec<SenderKey>> {
    tx.expire_of(filter)?;
    let mut revoked = tx.rows.end_grants(filter, GrantEnd::Revoked { at: tx.now, via: actor })?;
    revoked.sort_unstable();
    Ok(revoked)
}

/// Deletes a block: the one on this scope, and no narrower or wider one.
pub(crate) fn unblock(tx: &mut Tx<'_>, target: &Target, actor: &Actor) -> TxResult<bool> {
    tx.lock(locks(target))?;
    if !tx.rows.delete_block(target)? {
        return Ok(false);
    }
    tx.audit(actor, AuditAction::Unblock, Subject::target(target), Value::Null)?;
    Ok(true)
}

/// Adds permanent grants for a list of senders.
pub(crate) fn seed(
    tx: &mut Tx<'_>,
    on: &AccountKey,
    senders: &[SenderId],
    actor: &Actor,
) -> TxResult<SeedReport> {
    let (channel, account) = on;
    // Blocking a single sender locks the channel too, so its lock covers any number of senders.
    tx.lock([
        LockKey::Channel(channel.clone()),
        LockKey::Account(channel.clone(), account.clone()),
    ])?;
    tx.expire()?;
    let filter = Filter::all().with_channel(channel.clone()).with_account(account.clone());
    let mut blocked = HashSet::new();
    tx.rows.visit_blocks(&filter, &mut |block| {
        blocked.insert(block.sender_id);
    })?;
    let key = |sender: &SenderId| SenderKey::new(channel.clone(), account.clone(), sender.clone());
    // Before anything is written: a refusal is not rolled back.
    if let Some(sender) = senders.iter().find(|sender| blocked.contains(*sender)) {
        return Err(TxError::Refused(PairingError::Blocked { key: key(sender) }));
    }
    let report = tx.rows.seed_grants(&Seed { account: on, senders, at: tx.now, via: actor })?;
    let (overdue, requests) = (tx.overdue(), tx.rows.requests(&filter)?);
    let live = requests.into_iter().filter(|request| !overdue.includes(request));
    let mut requests: HashMap<SenderId, PairingCode> =
        live.map(|request| (request.key.sender_id, request.code)).collect();
    for sender in senders {
        if let Some(code) = requests.remove(sender) {
            tx.close(&key(sender), &code, RequestEnd::Approved, tx.now, 0)?;
        }
    }
    let account = Some(AccountScope::One(account.clone()));
    let subject = Subject { channel: Some(channel.clone()), account, ..Subject::default() };
    tx.audit(actor, AuditAction::Seed, subject, json!(report))?;
    Ok(report)
}

/// Erases a target. A salted hash replaces it in the audit log.
pub(crate) fn forget(
    tx: &mut Tx<'_>,
    target: &Target,
    actor: &Actor,
    salt: &[u8],
) -> TxResult<Vec<SenderKey>> {
    tx.lock(locks(target))?;
    // The salt is not stored, so that the hash cannot be reversed by trying all telephone numbers.
    let mut digest = Context::new(&SHA256);
    digest.update(salt);
    digest.update(target.sender.as_str().as_bytes());
    let pseudonym = format!("sha256:{}", HEXLOWER.encode(digest.finish().as_ref()));
    let erased = tx.rows.erase(target, &pseudonym)?;
    if !erased.changed {
        return Ok(Vec::new());
    }
    let sender = Some(SenderId::from_stored(pseudonym));
    let subject = Subject { sender, ..Subject::target(target) };
    tx.audit(actor, AuditAction::Forget, subject, Value::Null)?;
    let accounts = erased.accounts.into_iter().map(AccountId::from_stored);
    Ok(accounts.map(|account| target.key_on(account)).collect())
}

/// The locks of an operation on a target.
fn locks(target: &Target) -> [LockKey; 2] {
    let Target { channel, sender, .. } = target;
    [LockKey::Channel(channel.clone()), LockKey::Sender(channel.clone(), sender.clone())]
}
