//! Reads what a gate decides by: of the keys that changed, or of all.

use nexo_pairing_core::{AccountScope, ChannelId, PairingError, SenderId, SenderState, Validity};
use rusqlite::{Connection, Row};
use time::OffsetDateTime;

use nexo_pairing_engine::at;

use super::outcomes::ended;

const GRANT: &str = "SELECT channel, account_id, sender_id, approved_at, expires_at
    FROM pairing_allow_from WHERE revoked_at IS NULL";

const BLOCK: &str = "SELECT channel, account_id, sender_id FROM pairing_blocked WHERE true";

const REQUEST: &str = "SELECT channel, account_id, sender_id, created_at,
        coalesce(expires_at, created_at + 3600), coalesce(last_challenged_at, created_at)
    FROM pairing_pending WHERE true";

/// The last outcome of each key.
const OUTCOME: &str = "SELECT channel, account_id, sender_id, outcome, at, strikes
    FROM pairing_finished WHERE seq IN
        (SELECT max(seq) FROM pairing_finished GROUP BY channel, account_id, sender_id)";

/// Everything about each key that changed after `?1`, in one statement: four for each key took twice as long.
/// Of a block only where that may be what changed: it is looked up by an index, and one that is damaged
/// tells of none.
const CHANGED: &str = "WITH changed AS
        (SELECT channel, account_id, sender_id,
            max(kind NOT IN ('allow', 'pending', 'finished')) AS tells_of_block
        FROM pairing_changes WHERE seq > ?1 GROUP BY channel, account_id, sender_id)
    SELECT key.channel, key.account_id, key.sender_id, allowed.approved_at, allowed.expires_at,
        iif(key.tells_of_block, blocked.blocked_at IS NOT NULL, NULL), pending.created_at,
        coalesce(pending.expires_at, pending.created_at + 3600),
        coalesce(pending.last_challenged_at, pending.created_at),
        finished.outcome, finished.at, finished.strikes
    FROM changed AS key
    LEFT JOIN pairing_allow_from AS allowed ON allowed.channel = key.channel
        AND allowed.account_id = key.account_id AND allowed.sender_id = key.sender_id
        AND allowed.revoked_at IS NULL
    LEFT JOIN pairing_blocked AS blocked ON key.tells_of_block AND blocked.channel = key.channel
        AND blocked.account_id = key.account_id AND blocked.sender_id = key.sender_id
    LEFT JOIN pairing_pending AS pending ON pending.channel = key.channel
        AND pending.account_id = key.account_id AND pending.sender_id = key.sender_id
    LEFT JOIN pairing_finished AS finished ON finished.seq =
        (SELECT max(seq) FROM pairing_finished AS each WHERE each.channel = key.channel
            AND each.account_id = key.account_id AND each.sender_id = key.sender_id)";

/// The states of the keys that changed after a position.
pub(crate) fn changed(
    connection: &Connection,
    position: i64,
) -> rusqlite::Result<Vec<SenderState>> {
    let mut changed = connection.prepare_cached(CHANGED)?;
    let rows = changed.query_map([position], |row| {
        let mut state = stranger(row)?;
        if let Some(from) = row.get(3)? {
            state.allowed = Some(granted(from, row.get(4)?));
        }
        state.blocked = row.get(5)?;
        if let Some(from) = row.get(6)? {
            state.pending = Some(requested(from, row.get(7)?, row.get(8)?));
        }
        if let Some(outcome) = row.get::<_, Option<String>>(9)? {
            let ended = ended(&outcome, row.get(10)?, row.get(11)?);
            state.waiting = ended.and_then(|ended| ended.wait());
        }
        Ok(state)
    })?;
    rows.collect()
}

/// Hands the states of all keys to `take`, each table's rows in turn, none of them collected.
pub(crate) fn each(
    connection: &Connection,
    take: impl FnOnce(
        &mut dyn Iterator<Item = Result<SenderState, PairingError>>,
    ) -> Result<(), PairingError>,
) -> rusqlite::Result<()> {
    let mut grants = connection.prepare(GRANT)?;
    let mut blocks = connection.prepare(BLOCK)?;
    let mut requests = connection.prepare(REQUEST)?;
    let mut outcomes = connection.prepare(OUTCOME)?;
    let rows = grants.query_map((), grant)?;
    let rows = rows.chain(blocks.query_map((), block)?);
    let rows = rows.chain(requests.query_map((), request)?);
    let rows = rows.chain(outcomes.query_map((), outcome)?);
    let mut failed = None;
    let mut rows = rows.map(|row| {
        row.map_err(|error| {
            let told = PairingError::backend(error.to_string());
            failed = Some(error);
            told
        })
    });
    let taken = take(&mut rows);
    match (failed, taken) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(rusqlite::Error::ToSqlConversionFailure(Box::new(error))),
        (None, Ok(())) => Ok(()),
    }
}

fn grant(row: &Row<'_>) -> rusqlite::Result<SenderState> {
    let mut state = stranger(row)?;
    state.allowed = Some(granted(row.get(3)?, row.get(4)?));
    Ok(state)
}

fn granted(from: i64, until: Option<i64>) -> Validity {
    until.map_or(Validity::Always, |until| Validity::Between(at(from), at(until)))
}

fn block(row: &Row<'_>) -> rusqlite::Result<SenderState> {
    let mut state = stranger(row)?;
    state.blocked = Some(true);
    Ok(state)
}

fn request(row: &Row<'_>) -> rusqlite::Result<SenderState> {
    let mut state = stranger(row)?;
    state.pending = Some(requested(row.get(3)?, row.get(4)?, row.get(5)?));
    Ok(state)
}

fn requested(from: i64, until: i64, challenged_at: i64) -> (Validity, OffsetDateTime) {
    (Validity::Between(at(from), at(until)), at(challenged_at))
}

fn outcome(row: &Row<'_>) -> rusqlite::Result<SenderState> {
    let (outcome, from, strikes): (String, i64, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
    let mut state = stranger(row)?;
    state.waiting = ended(&outcome, from, strikes).and_then(|ended| ended.wait());
    Ok(state)
}

fn stranger(row: &Row<'_>) -> rusqlite::Result<SenderState> {
    Ok(SenderState::stranger(
        ChannelId::from_stored(row.get(0)?),
        AccountScope::from_stored(row.get(1)?),
        SenderId::from_stored(row.get(2)?),
    ))
}
