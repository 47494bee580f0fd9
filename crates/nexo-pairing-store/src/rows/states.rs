//! Reads the states of senders for replicas: of the keys that changed, or of all.

use nexo_pairing_core::{AccountScope, ChannelId, PairingError, SenderId, SenderState, Validity};
use nexo_pairing_engine::at;
use rusqlite::{Connection, Row};

use super::outcomes::ended;

/// The rows of each table, in turn, in the columns of [`CHANGED`]: of outcomes the last of each key.
const ALL: &str = "SELECT channel, account_id, sender_id, approved_at, expires_at, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL
    FROM pairing_allow_from WHERE revoked_at IS NULL
    UNION ALL SELECT channel, account_id, sender_id, NULL, NULL, TRUE,
        NULL, NULL, NULL, NULL, NULL, NULL
    FROM pairing_blocked
    UNION ALL SELECT channel, account_id, sender_id, NULL, NULL, NULL, created_at,
        coalesce(expires_at, created_at + 3600), coalesce(last_challenged_at, created_at),
        NULL, NULL, NULL
    FROM pairing_pending
    UNION ALL SELECT channel, account_id, sender_id, NULL, NULL, NULL,
        NULL, NULL, NULL, outcome, at, strikes
    FROM pairing_finished WHERE seq IN
        (SELECT max(seq) FROM pairing_finished GROUP BY channel, account_id, sender_id)";

/// The state of each key that changed after `?1`, in one statement: four for each key took twice as long.
/// The block only if it may be what changed: it is looked up by an index, and a damaged index shows none.
/// So a key may have two rows, one of them with its block.
const CHANGED: &str = "WITH changed AS
        (SELECT DISTINCT channel, account_id, sender_id,
            kind NOT IN ('allow', 'pending', 'finished') AS may_change_block
        FROM pairing_changes WHERE seq > ?1)
    SELECT key.channel, key.account_id, key.sender_id, allowed.approved_at, allowed.expires_at,
        iif(key.may_change_block, blocked.blocked_at IS NOT NULL, NULL), pending.created_at,
        coalesce(pending.expires_at, pending.created_at + 3600),
        coalesce(pending.last_challenged_at, pending.created_at),
        finished.outcome, finished.at, finished.strikes
    FROM changed AS key
    LEFT JOIN pairing_allow_from AS allowed ON allowed.channel = key.channel
        AND allowed.account_id = key.account_id AND allowed.sender_id = key.sender_id
        AND allowed.revoked_at IS NULL
    LEFT JOIN pairing_blocked AS blocked ON key.may_change_block AND blocked.channel = key.channel
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
    connection.prepare_cached(CHANGED)?.query_map([position], read)?.collect()
}

/// Hands the states of all keys to `take`, one after the other.
pub(crate) fn each(
    connection: &Connection,
    take: impl FnOnce(
        &mut dyn Iterator<Item = Result<SenderState, PairingError>>,
    ) -> Result<(), PairingError>,
) -> rusqlite::Result<()> {
    let mut all = connection.prepare(ALL)?;
    let rows = all.query_map((), read)?;
    let mut failed = None;
    let mut rows = rows.map(|row| {
        row.map_err(|error| {
            let shown = PairingError::backend(error.to_string());
            failed = Some(error);
            shown
        })
    });
    let taken = take(&mut rows);
    match (failed, taken) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(rusqlite::Error::ToSqlConversionFailure(Box::new(error))),
        (None, Ok(())) => Ok(()),
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<SenderState> {
    let mut state = SenderState::stranger(
        ChannelId::from_stored(row.get(0)?),
        AccountScope::from_stored(row.get(1)?),
        SenderId::from_stored(row.get(2)?),
    );
    if let Some(from) = row.get(3)? {
        let until = row.get::<_, Option<i64>>(4)?;
        let granted = until.map(|until| Validity::Between(at(from), at(until)));
        state.allowed = Some(granted.unwrap_or(Validity::Always));
    }
    state.blocked = row.get(5)?;
    if let Some(from) = row.get(6)? {
        let requested = Validity::Between(at(from), at(row.get(7)?));
        state.pending = Some((requested, at(row.get(8)?)));
    }
    if let Some(outcome) = row.get::<_, Option<String>>(9)? {
        let ended = ended(&outcome, row.get(10)?, row.get(11)?);
        state.waiting = ended.and_then(|ended| ended.wait());
    }
    Ok(state)
}
