//! `pairing_allow_from`: the grants. 0.1.8 writes it too, and knows `revoked_at` and no expiry.

use nexo_pairing_core::{Actor, AllowedSender, Filter, SeedReport, SenderKey};
use nexo_pairing_engine::{GrantEnd, GrantTable, PortResult, Seed, at};
use rusqlite::{Row, params};
use serde_json::json;

use super::transaction::{
    OF_KEY, SqliteRows, filter_params, integer, key_params, of_filter, sender_key,
};

const SELECT: &str = "SELECT channel, account_id, sender_id, approved_at, approved_via, expires_at,
        revoked_at, note
    FROM pairing_allow_from";

impl GrantTable for SqliteRows<'_> {
    fn grant(&self, key: &SenderKey) -> PortResult<Option<AllowedSender>> {
        self.one(&format!("{SELECT} WHERE {OF_KEY}"), key_params(key), read)
    }

    fn visit_grants(&self, filter: &Filter, each: &mut dyn FnMut(AllowedSender)) -> PortResult<()> {
        self.visit(&visit_sql(filter), filter_params(filter), read, each)
    }

    fn put_grant(&mut self, grant: &AllowedSender) -> PortResult<()> {
        let key = grant.key();
        let [channel, account, sender] = key_params(&key);
        let approved_at = grant.approved_at.unix_timestamp();
        self.change(
            "INSERT INTO pairing_allow_from
                    (channel, account_id, sender_id, approved_at, approved_via, note)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                ON CONFLICT (channel, account_id, sender_id) DO UPDATE SET
                    approved_at = excluded.approved_at, approved_via = excluded.approved_via,
                    note = excluded.note, revoked_at = NULL, revoked_via = NULL,
                    expires_at = NULL",
            params![channel, account, sender, approved_at, grant.approved_via.as_str(), grant.note],
        )?;
        if let Some(expires_at) = grant.expires_at {
            // On its own: with the revival in one statement it would look like one of 0.1.8's.
            self.change(
                &format!("UPDATE pairing_allow_from SET expires_at = ?4 WHERE {OF_KEY}"),
                params![channel, account, sender, expires_at.unix_timestamp()],
            )?;
        }
        Ok(())
    }

    fn seed_grants(&mut self, seed: &Seed<'_>) -> PortResult<SeedReport> {
        let ((channel, account), senders) = (seed.account, seed.senders);
        // The list as one parameter: a statement for each of 10,000 senders took four times as long.
        let list = json!(senders).to_string();
        let grants = params![channel.as_str(), account.as_str(), list, seed.at, seed.via.as_str()];
        let inserted = self.change(
            "INSERT INTO pairing_allow_from
                    (channel, account_id, sender_id, approved_at, approved_via)
                SELECT ?1, ?2, value, ?4, ?5 FROM json_each(?3) WHERE true
                ON CONFLICT DO NOTHING",
            grants,
        )?;
        let known = (senders.len() as u64).saturating_sub(inserted);
        if known == 0 {
            return Ok(SeedReport::new(inserted, 0, 0));
        }
        let renewed = self.change(
            "UPDATE pairing_allow_from SET revoked_at = NULL, revoked_via = NULL,
                    expires_at = NULL, approved_at = ?4, approved_via = ?5
                WHERE channel = ?1 AND account_id = ?2
                    AND sender_id IN (SELECT value FROM json_each(?3))
                    AND (revoked_at IS NOT NULL OR expires_at IS NOT NULL)",
            grants,
        )?;
        Ok(SeedReport::new(inserted, renewed, known.saturating_sub(renewed)))
    }

    fn end_grants(&mut self, filter: &Filter, end: GrantEnd<'_>) -> PortResult<Vec<SenderKey>> {
        let [channel, account, sender] = filter_params(filter);
        match end {
            GrantEnd::Revoked { at, via } => {
                let sql = format!(
                    "UPDATE pairing_allow_from SET revoked_at = ?4, revoked_via = ?5
                        WHERE revoked_at IS NULL AND {} RETURNING channel, account_id, sender_id",
                    of_filter(filter)
                );
                self.all(&sql, params![channel, account, sender, at, via.as_str()], sender_key)
            }
            GrantEnd::Expired { until, limit } => {
                let row = params![channel, account, sender, until, integer(limit)];
                self.all(&expire_sql(filter), row, sender_key)
            }
        }
    }
}

/// In the order of the primary key, so that nothing is sorted.
fn visit_sql(filter: &Filter) -> String {
    let of_filter = of_filter(filter);
    format!("{SELECT} WHERE {of_filter} ORDER BY channel, account_id, sender_id")
}

/// 0.1.8 knows no expiry, but it knows `revoked_at`.
fn expire_sql(filter: &Filter) -> String {
    format!(
        "UPDATE pairing_allow_from SET revoked_at = expires_at, revoked_via = 'expiry'
            WHERE rowid IN (SELECT rowid FROM pairing_allow_from
                WHERE expires_at IS NOT NULL AND revoked_at IS NULL AND expires_at <= ?4 AND {}
                ORDER BY expires_at LIMIT ?5)
            RETURNING channel, account_id, sender_id",
        of_filter(filter)
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<AllowedSender> {
    let mut grant =
        AllowedSender::new(sender_key(row)?, at(row.get(3)?), Actor::from_stored(row.get(4)?));
    grant.expires_at = row.get::<_, Option<i64>>(5)?.map(at);
    grant.revoked_at = row.get::<_, Option<i64>>(6)?.map(at);
    grant.note = row.get(7)?;
    Ok(grant)
}

#[cfg(test)]
mod tests {
    use nexo_pairing_core::{AccountId, ChannelId, Filter, SenderId};

    use crate::rows::transaction::tests::{plan, sorts_nothing};

    #[test]
    fn grants_are_read_in_the_order_of_an_index() {
        sorts_nothing(&super::visit_sql(&Filter::all()));
    }

    #[test]
    fn expired_grants_are_found_by_indexes() {
        let of_sender = Filter::all()
            .with_channel(ChannelId::parse("telegram").unwrap())
            .with_sender(SenderId::parse("1").unwrap());
        let of_key = of_sender.clone().with_account(AccountId::default_account());
        for filter in [Filter::all(), of_sender, of_key] {
            let plan = plan(&super::expire_sql(&filter));
            assert!(!plan.iter().any(|step| step.contains("SCAN")), "{plan:?}");
        }
    }
}
