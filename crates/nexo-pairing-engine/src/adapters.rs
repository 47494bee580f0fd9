//! Remembers which channels have their adapter in another process.

use nexo_pairing_core::{Actor, AdaptersError, ChannelId, RememberedAdapters};
use serde_json::{Value, json};

use crate::port::{AdapterRow, LockKey, PortResult, ReadRows};
use crate::refusal::{TxError, TxResult, Within};
use crate::tx::{Subject, Tx};

/// The channels that are remembered.
pub(crate) fn remembered(rows: &dyn ReadRows) -> PortResult<RememberedAdapters> {
    let channels = rows.adapters()?.into_iter().map(|row| (row.channel, row.said_by));
    Ok(RememberedAdapters::from_stored(channels.collect()))
}

/// Remembers the channels that `after` has and `before` had not, and forgets those that only `before`
/// had: no process takes away what another one said.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    before: &RememberedAdapters,
    after: &RememberedAdapters,
) -> TxResult<(), Within<AdaptersError>> {
    tx.lock([LockKey::Modes])?;
    let (before, after) = (before.channels(), after.channels());
    let stored = remembered(tx.rows)?;
    let is_new = |channel: &ChannelId| !stored.channels().contains_key(channel);
    let new: Vec<_> =
        after.iter().filter(|(it, _)| !before.contains_key(*it) && is_new(it)).collect();
    let gone: Vec<_> = before.keys().filter(|it| !after.contains_key(*it) && !is_new(it)).collect();
    let count = stored.channels().len() + new.len() - gone.len();
    if !new.is_empty() && count > RememberedAdapters::MAX_CHANNELS {
        return Err(TxError::Refused(Within::Error(AdaptersError::TooMany(count))));
    }
    for channel in gone {
        tx.rows.delete_adapter(channel)?;
        audit(tx, &Actor::config(), "adapter", channel, json!({ "remote": false }))?;
    }
    for (channel, said_by) in new {
        let (said_by, said_at) = (said_by.clone(), tx.now);
        let detail = json!({ "remote": true, "said_by": said_by });
        tx.rows.put_adapter(&AdapterRow { channel: channel.clone(), said_by, said_at })?;
        audit(tx, &Actor::config(), "adapter", channel, detail)?;
    }
    Ok(())
}

/// Forgets that another process served a channel; whether that was remembered.
pub(crate) fn forget(tx: &mut Tx<'_>, channel: &ChannelId, actor: &Actor) -> TxResult<bool> {
    tx.lock([LockKey::Modes])?;
    let is_remembered = tx.rows.delete_adapter(channel)?;
    if is_remembered {
        audit(tx, actor, "forget_adapter", channel, json!({ "remote": false }))?;
    }
    Ok(is_remembered)
}

fn audit(
    tx: &mut Tx<'_>,
    actor: &Actor,
    action: &'static str,
    channel: &ChannelId,
    detail: Value,
) -> PortResult<()> {
    let subject = Subject { channel: Some(channel.as_str()), ..Subject::default() };
    tx.audit(actor.as_str(), action, subject, detail)
}
