//! `pairing_finished`: how requests ended.

use nexo_pairing_core::rules::{EndedRequest, RequestEnd};
use nexo_pairing_core::{PairingCode, SenderKey};
use nexo_pairing_engine::{OutcomeRow, OutcomeTable, PortResult, at};
use rusqlite::params;

use super::transaction::{OF_KEY, SqliteRows, key_params, sender_key};

/// Deletes all but the newest `?1`, and those up to `?2`, or `?3` for expiries.
pub(super) const TRIM: &str = "DELETE FROM pairing_finished WHERE seq IN
    (SELECT seq FROM pairing_finished
        WHERE seq <= (SELECT max(seq) FROM pairing_finished) - ?1
            OR at <= iif(outcome = 'expired', ?3, ?2) ORDER BY seq LIMIT ?4)";

impl OutcomeTable for SqliteRows<'_> {
    fn last_outcome(&self, key: &SenderKey) -> PortResult<Option<EndedRequest>> {
        let sql = format!(
            "SELECT outcome, at, strikes FROM pairing_finished
                WHERE {OF_KEY} ORDER BY seq DESC LIMIT 1"
        );
        let last = self.one(&sql, key_params(key), |row| {
            let (outcome, at, strikes): (String, i64, i64) = row.try_into()?;
            Ok(ended(&outcome, at, strikes))
        })?;
        Ok(last.flatten())
    }

    fn outcomes_of_code(&self, code: &PairingCode) -> PortResult<Vec<OutcomeRow>> {
        let select = "SELECT channel, account_id, sender_id, outcome, at, strikes, code
            FROM pairing_finished WHERE code = ?1 ORDER BY seq DESC";
        let outcomes = self.all(select, [code.as_str()], |row| {
            let (key, outcome) = (sender_key(row)?, row.get::<_, String>(3)?);
            let ended = ended(&outcome, row.get(4)?, row.get(5)?);
            let code = PairingCode::from_stored(row.get(6)?);
            Ok(ended.map(|ended| OutcomeRow { key, code, ended }))
        })?;
        Ok(outcomes.into_iter().flatten().collect())
    }

    fn insert_outcome(&mut self, outcome: &OutcomeRow) -> PortResult<()> {
        let OutcomeRow { key, code, ended } = outcome;
        let [channel, account, sender] = key_params(key);
        let (end, at) = (ended.end.as_str(), ended.at.unix_timestamp());
        let insert = "INSERT INTO pairing_finished
                (code, outcome, at, channel, account_id, sender_id, strikes)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let row = params![code.as_str(), end, at, channel, account, sender, ended.strikes];
        self.change(insert, row).map(drop)
    }
}

/// An outcome as it is stored; `None` for one that this version does not know.
pub(super) fn ended(outcome: &str, from: i64, strikes: i64) -> Option<EndedRequest> {
    let strikes = u32::try_from(strikes.max(0)).unwrap_or(u32::MAX);
    Some(EndedRequest { end: RequestEnd::from_stored(outcome)?, at: at(from), strikes })
}
