//! Ends, blocks and seeds, for one account of a channel or for all.

use std::collections::HashMap;

use nexo_pairing_core::rules::RequestEnd;
use nexo_pairing_core::{
    AccountId, Actor, BlockOutcome, BlockedSender, ChannelId, Filter, PairingCode, PairingError,
    SeedReport, SenderId, SenderKey, Target,
};
use serde_json::{Value, json};

use crate::port::{LockKey, RequestRow};
use crate::refusal::{TxError, TxResult};
use crate::state::at;
use crate::tx::{Subject, Tx};

/// Ends the live grants of a target.
pub(crate) fn revoke(tx: &mut Tx<'_>, target: &Target, actor: &Actor) -> TxResult<Vec<SenderKey>> {
    tx.lock(locks(target))?;
    tx.expire_of(target)?;
    let revoked = tx.rows.revoke_grants(target, tx.now, actor)?;
    for key in &revoked {
        tx.audit(actor.as_str(), "revoke", Subject::key(key), Value::Null)?;
    }
    Ok(revoked)
}

/// Blocks a target: nothing it had outlives the block.
pub(crate) fn block(
    tx: &mut Tx<'_>,
    target: &Target,
    actor: &Actor,
    reason: Option<&str>,
) -> TxResult<BlockOutcome> {
    tx.lock(locks(target))?;
    tx.expire_of(target)?;
    let Target { channel, scope, sender, .. } = target.clone();
    let (via, words) = (actor.as_str().to_owned(), reason.map(str::to_owned));
    tx.rows.put_block(&BlockedSender::new(channel, scope, sender, at(tx.now), via, words))?;
    let revoked = tx.rows.revoke_grants(target, tx.now, actor)?;
    let requests = tx.rows.requests_of(target)?;
    let mut dropped = Vec::with_capacity(requests.len());
    for RequestRow { key, code, .. } in requests {
        if tx.close(&key, &code, RequestEnd::Blocked, tx.now, 0)? {
            dropped.push(key);
        }
    }
    let detail = reason.map_or(Value::Null, |reason| json!({ "reason": reason }));
    tx.audit(actor.as_str(), "block", Subject::target(target), detail)?;
    Ok(BlockOutcome::new(revoked, dropped))
}

/// Takes a block back: this one, and no narrower or wider one.
pub(crate) fn unblock(tx: &mut Tx<'_>, target: &Target, actor: &Actor) -> TxResult<bool> {
    tx.lock(locks(target))?;
    if !tx.rows.delete_block(target)? {
        return Ok(false);
    }
    tx.audit(actor.as_str(), "unblock", Subject::target(target), Value::Null)?;
    Ok(true)
}

/// Lets in a list of senders, for good.
pub(crate) fn seed(
    tx: &mut Tx<'_>,
    channel: &ChannelId,
    account: &AccountId,
    senders: &[SenderId],
    actor: &Actor,
) -> TxResult<SeedReport> {
    // Blocks of a single sender lock the channel too, so that it does for any number of senders.
    tx.lock([
        LockKey::Channel(channel.clone()),
        LockKey::Account(channel.clone(), account.clone()),
    ])?;
    tx.expire()?;
    let blocked = tx.rows.blocked_on(channel, account)?;
    let key = |sender: &SenderId| SenderKey::new(channel.clone(), account.clone(), sender.clone());
    // Before anything is written: a refusal is not rolled back.
    if let Some(sender) = senders.iter().find(|sender| blocked.contains(*sender)) {
        return Err(TxError::Refused(PairingError::Blocked { key: key(sender) }));
    }
    let seeded = tx.rows.seed_grants(channel, account, senders, tx.now, actor)?;
    let filter = Filter::all().with_channel(channel.clone()).with_account(account.clone());
    let (over, mut requests) = (tx.over(), HashMap::<SenderId, PairingCode>::new());
    tx.rows.visit_requests(&filter, &mut |request| {
        if !over.is(&request) {
            requests.insert(request.key.sender_id, request.code);
        }
    })?;
    for sender in senders {
        if let Some(code) = requests.remove(sender) {
            tx.close(&key(sender), &code, RequestEnd::Approved, tx.now, 0)?;
        }
    }
    let unchanged = (senders.len() as u64).saturating_sub(seeded.inserted + seeded.renewed);
    let report = SeedReport::new(seeded.inserted, seeded.renewed, unchanged);
    let (channel, account) = (Some(channel.as_str()), Some(account.as_str()));
    let subject = Subject { channel, account, ..Subject::default() };
    tx.audit(actor.as_str(), "seed", subject, json!(report))?;
    Ok(report)
}

/// What an operation on a target decides on.
pub(crate) fn locks(target: &Target) -> [LockKey; 2] {
    let Target { channel, sender, .. } = target;
    [LockKey::Channel(channel.clone()), LockKey::Sender(channel.clone(), sender.clone())]
}
