//! Ends, blocks, seeds and erases, for one account of a channel or for all.

use std::collections::{HashMap, HashSet};

use data_encoding::HEXLOWER;
use nexo_pairing_core::{
    AccountId, Actor, Blocking, ChannelId, PairingError, SeedReport, SenderId, SenderKey, Target,
};
use ring::digest::{Context, SHA256};
use rusqlite::params;
use serde_json::{Value, json};

use super::Write;
use super::audit::About;
use super::purge::Finished;

/// Picks the rows of a target: `?1` the channel, `?2` the sender, `?3` the account or `*`.
macro_rules! of_target {
    () => {
        " channel = ?1 AND sender_id = ?2 AND (?3 = '*' OR account_id = ?3) "
    };
}

/// Ends the live grants of a target.
pub(crate) fn revoke(
    write: &mut Write<'_>,
    target: &Target,
    actor: &Actor,
) -> rusqlite::Result<Vec<SenderKey>> {
    let (channel, scope, sender) = parts(target);
    write.expire_of(channel, scope, sender)?;
    let revoked = end_grants(write, target, actor)?;
    for key in &revoked {
        let (channel, sender) = (key.channel.as_str(), key.sender_id.as_str());
        let about = About::sender(channel, key.account_id.as_str(), sender);
        write.audit(actor.as_str(), "revoke", about, &Value::Null)?;
    }
    Ok(revoked)
}

/// Blocks a target: nothing it had outlives the block.
pub(crate) fn block(
    write: &mut Write<'_>,
    target: &Target,
    actor: &Actor,
    reason: Option<&str>,
) -> rusqlite::Result<Blocking> {
    let (channel, scope, sender) = parts(target);
    write.expire_of(channel, scope, sender)?;
    write
        .tx
        .prepare_cached(
            "INSERT INTO pairing_blocked
                    (channel, sender_id, account_id, blocked_at, blocked_via, reason)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                ON CONFLICT (channel, account_id, sender_id) DO UPDATE SET
                    reason = coalesce(excluded.reason, reason)",
        )?
        .execute(params![channel, sender, scope, write.now, actor.as_str(), reason])?;
    let revoked = end_grants(write, target, actor)?;

    let mut requests = write.tx.prepare_cached(concat!(
        "SELECT account_id, code FROM pairing_pending WHERE",
        of_target!(),
        "ORDER BY account_id"
    ))?;
    let requests: Vec<(String, String)> = requests
        .query_map([channel, sender, scope], |row| row.try_into())?
        .collect::<Result<_, _>>()?;
    let mut dropped = Vec::with_capacity(requests.len());
    for (account, code) in requests {
        let request = Finished { code: &code, channel, account: &account, sender };
        write.finish(&request, "blocked", write.now, 0)?;
        dropped.push(stored_key(channel.to_owned(), account, sender.to_owned()));
    }
    let detail = reason.map_or(Value::Null, |reason| json!({ "reason": reason }));
    write.audit(actor.as_str(), "block", About::sender(channel, scope, sender), &detail)?;
    Ok(Blocking::new(revoked, dropped))
}

/// Takes a block back: this one, and no narrower or wider one.
pub(crate) fn unblock(write: &Write<'_>, target: &Target, actor: &Actor) -> rusqlite::Result<bool> {
    let (channel, scope, sender) = parts(target);
    let unblocked = write.tx.execute(
        "DELETE FROM pairing_blocked WHERE channel = ?1 AND sender_id = ?2 AND account_id = ?3",
        [channel, sender, scope],
    )?;
    if unblocked == 0 {
        return Ok(false);
    }
    let about = About::sender(channel, scope, sender);
    write.audit(actor.as_str(), "unblock", about, &Value::Null)?;
    Ok(true)
}

/// Lets in a list of senders, for good.
pub(crate) fn seed(
    write: &mut Write<'_>,
    channel: &ChannelId,
    account: &AccountId,
    senders: &[SenderId],
    actor: &Actor,
) -> rusqlite::Result<Result<SeedReport, PairingError>> {
    write.expire()?;
    let (channel_id, account_id) = (channel.as_str(), account.as_str());
    let mut blocked = write.tx.prepare_cached(
        "SELECT sender_id FROM pairing_blocked
            WHERE channel = ?1 AND account_id IN (?2, '*')",
    )?;
    let blocked: HashSet<String> =
        blocked.query_map([channel_id, account_id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    // Before anything is written: what is answered with an error is not rolled back.
    if let Some(sender) = senders.iter().find(|sender| blocked.contains(sender.as_str())) {
        let key = SenderKey::new(channel.clone(), account.clone(), sender.clone());
        return Ok(Err(PairingError::Blocked { key }));
    }
    // The list as one parameter: a statement for each of 10,000 senders took four times as long.
    let list = json!(senders).to_string();
    let grants = params![channel_id, account_id, list, write.now, actor.as_str()];
    let inserted = write
        .tx
        .prepare_cached(
            "INSERT INTO pairing_allow_from
                    (channel, account_id, sender_id, approved_at, approved_via)
                SELECT ?1, ?2, value, ?4, ?5 FROM json_each(?3) WHERE true
                ON CONFLICT DO NOTHING",
        )?
        .execute(grants)?;
    let known = senders.len() - inserted;
    let reactivated = match known {
        0 => 0,
        _ => write
            .tx
            .prepare_cached(
                "UPDATE pairing_allow_from SET revoked_at = NULL, revoked_via = NULL,
                        expires_at = NULL, approved_at = ?4, approved_via = ?5
                    WHERE channel = ?1 AND account_id = ?2
                        AND sender_id IN (SELECT value FROM json_each(?3))
                        AND (revoked_at IS NOT NULL OR expires_at IS NOT NULL)",
            )?
            .execute(grants)?,
    };
    let mut requests = write.tx.prepare_cached(
        "SELECT sender_id, code FROM pairing_pending WHERE channel = ?1 AND account_id = ?2
            AND coalesce(expires_at, created_at + 3600) > ?3 AND created_at <= ?3 + 5",
    )?;
    let mut requests: HashMap<String, String> = requests
        .query_map(params![channel_id, account_id, write.now], |row| row.try_into())?
        .collect::<Result<_, _>>()?;
    for sender in senders {
        if let Some(code) = requests.remove(sender.as_str()) {
            let (code, sender) = (&code, sender.as_str());
            let request = Finished { code, channel: channel_id, account: account_id, sender };
            write.finish(&request, "approved", write.now, 0)?;
        }
    }
    let [inserted, reactivated, unchanged] =
        [inserted, reactivated, known - reactivated].map(|count| count as u64);
    let report = SeedReport::new(inserted, reactivated, unchanged);
    let about = About { channel: Some(channel_id), account: Some(account_id), ..About::default() };
    write.audit(actor.as_str(), "seed", about, &json!(report))?;
    Ok(Ok(report))
}

/// Erases a target. A hash of it, with `salt`, stands for it in the audit log from now on.
pub(crate) fn forget(
    write: &mut Write<'_>,
    target: &Target,
    actor: &Actor,
    salt: &[u8],
) -> rusqlite::Result<Vec<SenderKey>> {
    let (channel, scope, sender) = parts(target);
    let key = [channel, sender, scope];
    let mut accounts: Vec<String> = Vec::new();
    for delete in [
        concat!("DELETE FROM pairing_allow_from WHERE", of_target!(), "RETURNING account_id"),
        concat!("DELETE FROM pairing_blocked WHERE", of_target!(), "RETURNING account_id"),
        concat!("DELETE FROM pairing_pending WHERE", of_target!(), "RETURNING account_id"),
        concat!("DELETE FROM pairing_finished WHERE", of_target!(), "RETURNING account_id"),
    ] {
        let mut delete = write.tx.prepare_cached(delete)?;
        let found = delete.query_map(key, |row| row.get(0))?;
        accounts.extend(found.collect::<Result<Vec<_>, _>>()?);
    }
    // The list of changes names him too. A gate that has not read it finds a gap and loads everything.
    let unlisted =
        write.tx.execute(concat!("DELETE FROM pairing_changes WHERE", of_target!()), key)?;
    // The salt is kept nowhere, so that nobody can try all telephone numbers.
    let mut digest = Context::new(&SHA256);
    digest.update(salt);
    digest.update(sender.as_bytes());
    let pseudonym = format!("sha256:{}", HEXLOWER.encode(digest.finish().as_ref()));
    // Of a block the log also says why: words about him.
    let renamed = write.tx.execute(
        concat!(
            "UPDATE pairing_audit SET sender_id = ?4,
                    detail_json = CASE action WHEN 'block' THEN 'null' ELSE detail_json END
                WHERE",
            of_target!()
        ),
        params![channel, sender, scope, pseudonym],
    )?;
    if accounts.is_empty() && renamed == 0 && unlisted == 0 {
        return Ok(Vec::new());
    }
    write.after.wipe = true;
    write.audit(
        actor.as_str(),
        "forget",
        About::sender(channel, scope, &pseudonym),
        &Value::Null,
    )?;
    accounts.sort_unstable();
    accounts.dedup();
    let key = |account| stored_key(channel.to_owned(), account, sender.to_owned());
    Ok(accounts.into_iter().map(key).collect())
}

/// A key as it is stored.
pub(crate) fn stored_key(channel: String, account: String, sender: String) -> SenderKey {
    SenderKey::new(
        ChannelId::from_stored(channel),
        AccountId::from_stored(account),
        SenderId::from_stored(sender),
    )
}

fn end_grants(
    write: &Write<'_>,
    target: &Target,
    actor: &Actor,
) -> rusqlite::Result<Vec<SenderKey>> {
    let (channel, scope, sender) = parts(target);
    let mut end = write.tx.prepare_cached(concat!(
        "UPDATE pairing_allow_from SET revoked_at = ?4, revoked_via = ?5
            WHERE revoked_at IS NULL AND",
        of_target!(),
        "RETURNING account_id"
    ))?;
    let mut ended = end
        .query_map(params![channel, sender, scope, write.now, actor.as_str()], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    // They come in no particular order.
    ended.sort_unstable();
    let key = |account| stored_key(channel.to_owned(), account, sender.to_owned());
    Ok(ended.into_iter().map(key).collect())
}

fn parts(target: &Target) -> (&str, &str, &str) {
    (target.channel.as_str(), target.scope.as_str(), target.sender.as_str())
}
