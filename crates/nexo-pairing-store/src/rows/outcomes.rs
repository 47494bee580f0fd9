//! `pairing_finished`: what became of requests.

use nexo_pairing_core::rules::{EndedRequest, RequestEnd};
use nexo_pairing_core::{PairingCode, SenderKey, Target};
use nexo_pairing_engine::{OutcomeRow, at};
use rusqlite::{Connection, OptionalExtension, params};

use super::columns::{self, change, integer, key_params, sender_key};

pub(super) fn last(
    connection: &Connection,
    key: &SenderKey,
) -> rusqlite::Result<Option<EndedRequest>> {
    let last = connection
        .prepare_cached(
            "SELECT outcome, at, strikes FROM pairing_finished
                WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3
                ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(key_params(key), |row| {
            let (outcome, at, strikes): (String, i64, i64) = row.try_into()?;
            Ok(ended(&outcome, at, strikes))
        })
        .optional()?;
    Ok(last.flatten())
}

pub(super) fn of_code(
    connection: &Connection,
    code: &PairingCode,
    after: i64,
    until: i64,
) -> rusqlite::Result<Option<OutcomeRow>> {
    let last = connection
        .prepare_cached(
            "SELECT channel, account_id, sender_id, outcome, at, strikes FROM pairing_finished
                WHERE code = ?1 AND at > ?2 AND at <= ?3 ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![code.as_str(), after, until], |row| {
            let outcome: String = row.get(3)?;
            let ended = ended(&outcome, row.get(4)?, row.get(5)?);
            let key = sender_key(row)?;
            Ok(ended.map(|ended| OutcomeRow { key, code: code.clone(), ended }))
        })
        .optional()?;
    Ok(last.flatten())
}

pub(super) fn insert(connection: &Connection, outcome: &OutcomeRow) -> rusqlite::Result<()> {
    let OutcomeRow { key, code, ended } = outcome;
    connection
        .prepare_cached(
            "INSERT INTO pairing_finished
                (code, outcome, at, channel, account_id, sender_id, strikes)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            code.as_str(),
            ended.end.as_str(),
            ended.at.unix_timestamp(),
            key.channel.as_str(),
            key.account_id.as_str(),
            key.sender_id.as_str(),
            ended.strikes
        ])
        .map(drop)
}

pub(super) fn delete_of_target(
    connection: &Connection,
    target: &Target,
) -> rusqlite::Result<Vec<String>> {
    columns::delete_of_target(connection, "pairing_finished", target)
}

pub(super) fn trim_beyond(
    connection: &Connection,
    newest: u64,
    limit: u64,
) -> rusqlite::Result<u64> {
    let delete = "DELETE FROM pairing_finished WHERE seq IN
        (SELECT seq FROM pairing_finished
            WHERE seq <= (SELECT max(seq) FROM pairing_finished) - ?1 ORDER BY seq LIMIT ?2)";
    change(connection, delete, &[integer(newest)], limit)
}

pub(super) fn trim(
    connection: &Connection,
    until: i64,
    expired_until: i64,
    limit: u64,
) -> rusqlite::Result<u64> {
    let delete = "DELETE FROM pairing_finished WHERE seq IN
        (SELECT seq FROM pairing_finished
            WHERE at <= iif(outcome = 'expired', ?2, ?1) ORDER BY seq LIMIT ?3)";
    change(connection, delete, &[until, expired_until], limit)
}

/// An outcome as it is stored; `None` for one that this version does not know.
pub(super) fn ended(outcome: &str, from: i64, strikes: i64) -> Option<EndedRequest> {
    let strikes = u32::try_from(strikes.max(0)).unwrap_or(u32::MAX);
    Some(EndedRequest { end: RequestEnd::from_stored(outcome)?, at: at(from), strikes })
}
