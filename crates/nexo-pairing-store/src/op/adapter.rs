//! Remembers which channels have their adapter in another process. `pairing_adapters` is written here
//! only.

use std::collections::BTreeMap;

use nexo_pairing_core::{Actor, AdaptersError, ChannelId, RememberedAdapters};
use rusqlite::{Connection, params};
use serde_json::json;

use super::Write;
use super::audit::About;

/// The channels that are remembered.
pub(crate) fn remembered(connection: &Connection) -> rusqlite::Result<RememberedAdapters> {
    let mut statement =
        connection.prepare_cached("SELECT channel, said_by FROM pairing_adapters")?;
    let rows =
        statement.query_map((), |row| Ok((ChannelId::from_stored(row.get(0)?), row.get(1)?)));
    Ok(RememberedAdapters::from_stored(rows?.collect::<rusqlite::Result<BTreeMap<_, String>>>()?))
}

/// Remembers what `after` has more than `before`, and forgets what it has less; what others remembered
/// in between stays.
pub(crate) fn put(
    write: &Write<'_>,
    before: &RememberedAdapters,
    after: &RememberedAdapters,
) -> rusqlite::Result<Result<(), AdaptersError>> {
    let (before, after) = (before.channels(), after.channels());
    let stored = remembered(write.tx)?;
    let is_new = |channel: &ChannelId| !stored.channels().contains_key(channel);
    let new: Vec<_> =
        after.iter().filter(|(it, _)| !before.contains_key(*it) && is_new(it)).collect();
    let gone: Vec<_> = before.keys().filter(|it| !after.contains_key(*it) && !is_new(it)).collect();
    let count = stored.channels().len() + new.len() - gone.len();
    if !new.is_empty() && count > RememberedAdapters::MAX_CHANNELS {
        return Ok(Err(AdaptersError::TooMany(count)));
    }
    for channel in gone {
        delete(write, channel)?;
        audit(write, &Actor::config(), "adapter", channel, &json!({ "remote": false }))?;
    }
    let mut insert = write.tx.prepare_cached(
        "INSERT INTO pairing_adapters (channel, said_by, said_at) VALUES (?1, ?2, ?3)",
    )?;
    for (channel, said_by) in new {
        insert.execute(params![channel.as_str(), said_by, write.now])?;
        let detail = json!({ "remote": true, "said_by": said_by });
        audit(write, &Actor::config(), "adapter", channel, &detail)?;
    }
    Ok(Ok(()))
}

/// Forgets that another process served a channel; whether that was remembered.
pub(crate) fn forget(
    write: &Write<'_>,
    channel: &ChannelId,
    actor: &Actor,
) -> rusqlite::Result<bool> {
    let is_remembered = delete(write, channel)?;
    if is_remembered {
        audit(write, actor, "forget_adapter", channel, &json!({ "remote": false }))?;
    }
    Ok(is_remembered)
}

fn delete(write: &Write<'_>, channel: &ChannelId) -> rusqlite::Result<bool> {
    let mut delete = write.tx.prepare_cached("DELETE FROM pairing_adapters WHERE channel = ?1")?;
    Ok(delete.execute([channel.as_str()])? > 0)
}

fn audit(
    write: &Write<'_>,
    actor: &Actor,
    action: &str,
    channel: &ChannelId,
    detail: &serde_json::Value,
) -> rusqlite::Result<()> {
    let about = About { channel: Some(channel.as_str()), ..About::default() };
    write.audit(actor.as_str(), action, about, detail)
}
