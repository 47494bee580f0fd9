//! Reads what a gate decides by: of one key, or of all.

use nexo_pairing_core::{AccountScope, ChannelId, PairingError, SenderId, Span, Standing};
use rusqlite::{Connection, OptionalExtension, Row, params};
use time::OffsetDateTime;

use super::{REJECTED_FOR, at};

/// A grant row's span; `?1` and so on are the caller's.
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

const KEY: &str = " AND channel = ?1 AND account_id = ?2 AND sender_id = ?3";

/// The standing of one key, whole.
pub(crate) fn of(
    connection: &Connection,
    channel: String,
    account: String,
    sender: String,
) -> rusqlite::Result<Standing> {
    let key = params![channel, account, sender];
    let one = |sql: &str, read: fn(&Row<'_>) -> rusqlite::Result<Standing>| {
        connection.prepare_cached(&format!("{sql}{KEY}"))?.query_row(key, read).optional()
    };
    let grant = one(GRANT, grant)?;
    let block = one(BLOCK, block)?;
    let request = one(REQUEST, request)?;
    let outcome = last_outcome(connection, &channel, &account, &sender)?;
    let mut standing = Standing::stranger(
        ChannelId::from_stored(channel),
        AccountScope::from_stored(account),
        SenderId::from_stored(sender),
    );
    standing.blocked = block.is_some();
    standing.allowed = grant.and_then(|standing| standing.allowed);
    standing.pending = request.and_then(|standing| standing.pending);
    standing.waiting =
        outcome.and_then(|(outcome, from, strikes)| waiting(&outcome, from, strikes));
    Ok(standing)
}

/// How the last request of a key ended, when, and how many codes had run out in a row by then.
pub(crate) fn last_outcome(
    connection: &Connection,
    channel: &str,
    account: &str,
    sender: &str,
) -> rusqlite::Result<Option<(String, i64, i64)>> {
    connection
        .prepare_cached(
            "SELECT outcome, at, strikes FROM pairing_finished
                WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3
                ORDER BY seq DESC LIMIT 1",
        )?
        .query_row([channel, account, sender], |row| row.try_into())
        .optional()
}

/// Hands the standings of all keys to `take`, each table's rows in turn, none of them collected.
pub(crate) fn each(
    connection: &Connection,
    take: impl FnOnce(
        &mut dyn Iterator<Item = Result<Standing, PairingError>>,
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
    drop(rows);
    match (failed, taken) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(rusqlite::Error::ToSqlConversionFailure(Box::new(error))),
        (None, Ok(())) => Ok(()),
    }
}

fn grant(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let (from, until): (i64, Option<i64>) = (row.get(3)?, row.get(4)?);
    let span = until.map_or(Span::Always, |until| Span::Between(at(from), at(until)));
    let mut standing = stranger(row)?;
    standing.allowed = Some(span);
    Ok(standing)
}

fn block(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let mut standing = stranger(row)?;
    standing.blocked = true;
    Ok(standing)
}

fn request(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let span = Span::Between(at(row.get(3)?), at(row.get(4)?));
    let mut standing = stranger(row)?;
    standing.pending = Some((span, at(row.get(5)?)));
    Ok(standing)
}

fn outcome(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let (outcome, from, strikes): (String, i64, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
    let mut standing = stranger(row)?;
    standing.waiting = waiting(&outcome, from, strikes);
    Ok(standing)
}

fn stranger(row: &Row<'_>) -> rusqlite::Result<Standing> {
    Ok(Standing::stranger(
        ChannelId::from_stored(row.get(0)?),
        AccountScope::from_stored(row.get(1)?),
        SenderId::from_stored(row.get(2)?),
    ))
}

/// How long a sender has to wait after his request came to an end: 24 hours after a rejection;
/// after codes that ran out 1 hour from the second on, doubling up to 24 hours.
pub(crate) fn waiting(outcome: &str, from: i64, strikes: i64) -> Option<Span> {
    let seconds = match outcome {
        "rejected" => REJECTED_FOR,
        "expired" if strikes >= 2 => wait_after(strikes),
        _ => return None,
    };
    let from: OffsetDateTime = at(from);
    Some(Span::Between(from, from.saturating_add(time::Duration::seconds(seconds))))
}

/// How long a sender waits whose codes ran out so many times in a row, in seconds.
pub(crate) fn wait_after(strikes: i64) -> i64 {
    match strikes {
        ..2 => 0,
        2..=6 => 3600 << (strikes - 2),
        7.. => REJECTED_FOR,
    }
}
