//! `pairing_pending`: the requests. 0.1.8 writes it too, without an expiry and without a challenge.

use nexo_pairing_core::{AccountKey, Filter, PairingCode, SenderKey};
use nexo_pairing_engine::{Overdue, PortResult, RequestCounts, RequestRow, RequestTable};
use rusqlite::{Row, params};

use super::transaction::{
    OF_KEY, SqliteRows, filter_params, integer, key_params, of_filter, sender_key,
};

const SELECT: &str = "SELECT channel, account_id, sender_id, code, created_at,
        coalesce(expires_at, created_at + 3600), coalesce(last_challenged_at, created_at), meta_json,
        rowid
    FROM pairing_pending";

/// Those that expired up to `?1`, or were made after `?2`, by the two indexes on these.
const OVERDUE: &str = "(coalesce(expires_at, created_at + 3600) <= ?1 OR created_at > ?2)";

impl RequestTable for SqliteRows<'_> {
    fn requests(&self, filter: &Filter) -> PortResult<Vec<RequestRow>> {
        let sql = format!("{SELECT} WHERE {} ORDER BY rowid", of_filter(filter));
        self.all(&sql, filter_params(filter), read)
    }

    fn request_by_code(&self, code: &PairingCode) -> PortResult<Option<RequestRow>> {
        self.one(&format!("{SELECT} WHERE code = ?1"), [code.as_str()], read)
    }

    fn overdue_requests(&self, overdue: Overdue, limit: u64) -> PortResult<Vec<RequestRow>> {
        let Overdue { until, future } = overdue;
        let row = params![until, future, integer(limit)];
        let mut found = self.all(&overdue_sql(), row, |row| {
            let added: i64 = row.get(8)?;
            Ok((added, read(row)?))
        })?;
        // Sorting in SQL would open two temporary tables each time, and overdue requests are rare.
        found.sort_unstable_by_key(|(added, _)| *added);
        Ok(found.into_iter().map(|(_, request)| request).collect())
    }

    fn count_requests(&self, on: &AccountKey, overdue: Overdue) -> PortResult<RequestCounts> {
        // Overdue requests are few, and found by indexes.
        let sql = format!(
            "WITH overdue AS (SELECT channel, account_id FROM pairing_pending WHERE {OVERDUE})
            SELECT (SELECT count(*) FROM pairing_pending WHERE channel = ?3 AND account_id = ?4)
                    - (SELECT count(*) FROM overdue WHERE channel = ?3 AND account_id = ?4),
                (SELECT count(*) FROM pairing_pending) - (SELECT count(*) FROM overdue),
                (SELECT count(*) FROM pairing_pending)"
        );
        let row = params![overdue.until, overdue.future, on.0.as_str(), on.1.as_str()];
        let counts = self.one(&sql, row, |row| {
            let (of_account, live, stored): (u32, u32, u32) = row.try_into()?;
            let [of_account, live, stored] = [of_account, live, stored].map(u64::from);
            Ok(RequestCounts { of_account, live, stored })
        })?;
        Ok(counts.unwrap_or_default())
    }

    fn insert_request(&mut self, request: &RequestRow) -> PortResult<bool> {
        let RequestRow { key, code, created_at, expires_at, challenged_at, meta } = request;
        let [channel, account, sender] = key_params(key);
        let code = code.as_str();
        let insert =
            "INSERT INTO pairing_pending (channel, account_id, sender_id, code, created_at,
                meta_json, expires_at, last_challenged_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
        let row =
            params![channel, account, sender, code, created_at, meta, expires_at, challenged_at];
        Ok(self.change(insert, row)? > 0)
    }

    fn set_challenged_at(&mut self, key: &SenderKey, at: i64) -> PortResult<()> {
        let [channel, account, sender] = key_params(key);
        let sql = format!("UPDATE pairing_pending SET last_challenged_at = ?4 WHERE {OF_KEY}");
        self.change(&sql, params![channel, account, sender, at]).map(drop)
    }

    fn delete_request(&mut self, key: &SenderKey, code: &PairingCode) -> PortResult<bool> {
        let [channel, account, sender] = key_params(key);
        let sql = format!("DELETE FROM pairing_pending WHERE {OF_KEY} AND code = ?4");
        Ok(self.change(&sql, [channel, account, sender, code.as_str()])? > 0)
    }
}

/// In the order of the indexes.
fn overdue_sql() -> String {
    format!("{SELECT} WHERE {OVERDUE} LIMIT ?3")
}

fn read(row: &Row<'_>) -> rusqlite::Result<RequestRow> {
    Ok(RequestRow {
        key: sender_key(row)?,
        code: PairingCode::from_stored(row.get(3)?),
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
        challenged_at: row.get(6)?,
        // Invalid metadata must not keep a request from expiring.
        meta: row.get_ref(7)?.as_str().unwrap_or("null").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;

    use nexo_pairing_core::{AccountId, ChannelId, SenderId};
    use time::OffsetDateTime;

    use super::*;
    use crate::inspect;
    use crate::rows::transaction::tests::plan;

    #[test]
    fn a_request_ends_once_and_only_by_its_own_code() {
        let connection = inspect::empty(Path::new(":memory:")).unwrap();
        let (now, had_maintenance) = (OffsetDateTime::UNIX_EPOCH, Cell::new(false));
        let mut rows = SqliteRows::new(&connection, now, &had_maintenance);
        let key = SenderKey::new(
            ChannelId::from_stored("test".to_owned()),
            AccountId::from_stored("main".to_owned()),
            SenderId::from_stored("+1".to_owned()),
        );
        let [old, code] = [[1; 7], [2; 7]].map(PairingCode::from_random);
        let (created_at, expires_at, challenged_at) = (0, 1, 0);
        let meta = "null".to_owned();
        let (whose, its) = (key.clone(), code.clone());
        let request =
            RequestRow { key: whose, code: its, created_at, expires_at, challenged_at, meta };
        assert!(rows.insert_request(&request).unwrap());
        // As by an operation whose request ended meanwhile.
        assert!(!rows.delete_request(&key, &old).unwrap());
        assert_eq!(rows.requests(&Filter::from(&key)).unwrap(), [request]);
        assert!(rows.delete_request(&key, &code).unwrap());
        assert!(!rows.delete_request(&key, &code).unwrap());
        assert_eq!(rows.requests(&Filter::all()).unwrap(), []);
    }

    #[test]
    fn overdue_requests_are_found_by_indexes() {
        let plan = plan(&overdue_sql()).join("; ");
        for index in ["pairing_pending_expiry", "pairing_pending_created"] {
            assert!(plan.contains(index), "{plan}");
        }
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[test]
    fn the_request_of_a_sender_is_found_by_its_key() {
        let of_filter = of_filter(&Filter::from(&SenderKey::new(
            ChannelId::from_stored("test".to_owned()),
            AccountId::from_stored("main".to_owned()),
            SenderId::from_stored("+1".to_owned()),
        )));
        let plan = plan(&format!("{SELECT} WHERE {of_filter} ORDER BY rowid")).join("; ");
        assert!(plan.contains("(channel=? AND account_id=? AND sender_id=?)"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}
