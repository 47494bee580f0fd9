//! Remembers which channels have their adapter in another process.

use nexo_pairing_core::{Actor, AdaptersError, AuditAction, ChannelId, RememberedAdapters};
use serde_json::{Value, json};

use crate::port::{AdapterRow, LockKey, PortResult, Rows};
use crate::refusal::{Specific, TxError, TxResult};
use crate::tx::{Subject, Tx};

/// The channels that are remembered.
pub(crate) fn remembered(rows: &dyn Rows) -> PortResult<RememberedAdapters> {
    let channels = rows.adapters()?.into_iter().map(|row| (row.channel, row.said_by));
    Ok(RememberedAdapters::from_stored(channels.collect()))
}

/// Remembers the channels that only `after` has, and forgets those that only `before` had: no process
/// discards the settings of another one.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    before: &RememberedAdapters,
    after: &RememberedAdapters,
) -> TxResult<(), Specific<AdaptersError>> {
    tx.lock([LockKey::Modes])?;
    let (before, after) = (before.channels(), after.channels());
    let mut rows = tx.rows.adapters()?;
    let is_new = |channel: &ChannelId| !rows.iter().any(|row| row.channel == *channel);
    let new: Vec<_> =
        after.iter().filter(|(it, _)| !before.contains_key(*it) && is_new(it)).collect();
    let gone: Vec<_> = before.keys().filter(|it| !after.contains_key(*it) && !is_new(it)).collect();
    let count = rows.len() + new.len() - gone.len();
    if !new.is_empty() && count > RememberedAdapters::MAX_CHANNELS {
        return Err(TxError::Refused(Specific::Refusal(AdaptersError::TooMany(count))));
    }
    rows.retain(|row| !gone.contains(&&row.channel));
    for (channel, said_by) in &new {
        let (channel, said_by) = ((*channel).clone(), (*said_by).clone());
        rows.push(AdapterRow { channel, said_by, said_at: tx.now });
    }
    tx.rows.replace_adapters(&rows)?;
    for channel in gone {
        audit(tx, &Actor::config(), AuditAction::Adapter, channel, json!({ "remote": false }))?;
    }
    for (channel, said_by) in new {
        let detail = json!({ "remote": true, "said_by": said_by });
        audit(tx, &Actor::config(), AuditAction::Adapter, channel, detail)?;
    }
    Ok(())
}

/// Forgets that another process served a channel; returns whether that was remembered.
pub(crate) fn forget(tx: &mut Tx<'_>, channel: &ChannelId, actor: &Actor) -> TxResult<bool> {
    tx.lock([LockKey::Modes])?;
    let mut rows = tx.rows.adapters()?;
    let stored = rows.len();
    rows.retain(|row| row.channel != *channel);
    let is_remembered = rows.len() < stored;
    if is_remembered {
        tx.rows.replace_adapters(&rows)?;
        audit(tx, actor, AuditAction::ForgetAdapter, channel, json!({ "remote": false }))?;
    }
    Ok(is_remembered)
}

fn audit(
    tx: &mut Tx<'_>,
    actor: &Actor,
    action: AuditAction,
    channel: &ChannelId,
    detail: Value,
) -> PortResult<()> {
    let subject = Subject { channel: Some(channel.clone()), ..Subject::default() };
    tx.audit(actor, action, subject, detail)
}
