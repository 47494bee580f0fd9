//! `pairing_blocked`: the blocks.

use nexo_pairing_core::{AccountScope, Actor, BlockedSender, ChannelId, Filter, SenderId, Target};
use nexo_pairing_engine::{BlockTable, PortResult, at};
use rusqlite::params;

use super::transaction::{OF_KEY, SqliteRows, filter_params, of_filter};

impl BlockTable for SqliteRows<'_> {
    fn has_block(&self, filter: &Filter) -> PortResult<bool> {
        Ok(self.one(&has_sql(filter), filter_params(filter), |_| Ok(()))?.is_some())
    }

    fn visit_blocks(&self, filter: &Filter, each: &mut dyn FnMut(BlockedSender)) -> PortResult<()> {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(BlockedSender::new(
                ChannelId::from_stored(row.get(0)?),
                AccountScope::from_stored(row.get(1)?),
                SenderId::from_stored(row.get(2)?),
                at(row.get(3)?),
                Actor::from_stored(row.get(4)?),
                row.get(5)?,
            ))
        };
        self.visit(&visit_sql(filter), filter_params(filter), read, each)
    }

    fn put_block(&mut self, block: &BlockedSender) -> PortResult<()> {
        let put = "INSERT INTO pairing_blocked
                (channel, sender_id, account_id, blocked_at, blocked_via, reason)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (channel, account_id, sender_id) DO UPDATE SET
                reason = coalesce(excluded.reason, reason)";
        let row = params![
            block.channel.as_str(),
            block.sender_id.as_str(),
            block.account_id.as_str(),
            block.blocked_at.unix_timestamp(),
            block.blocked_via.as_str(),
            block.reason
        ];
        self.change(put, row).map(drop)
    }

    fn delete_block(&mut self, target: &Target) -> PortResult<bool> {
        let row = [target.channel.as_str(), target.scope.as_str(), target.sender.as_str()];
        let deleted = self.change(&format!("DELETE FROM pairing_blocked WHERE {OF_KEY}"), row)?;
        Ok(deleted > 0)
    }
}

/// A block on all accounts concerns each. With `IN`, SQLite opens a temporary table for the two accounts.
fn has_sql(filter: &Filter) -> String {
    let own = of_filter(filter);
    let on_all = own.replace("account_id = ?2", "account_id = '*'");
    format!(
        "SELECT 1 FROM pairing_blocked WHERE {own}
            UNION ALL SELECT 1 FROM pairing_blocked WHERE {on_all} LIMIT 1"
    )
}

/// In the order of the primary key, so that nothing is sorted.
fn visit_sql(filter: &Filter) -> String {
    let of_blocks = of_filter(filter).replace("account_id = ?2", "account_id IN (?2, '*')");
    format!(
        "SELECT channel, account_id, sender_id, blocked_at, blocked_via, reason
            FROM pairing_blocked WHERE {of_blocks} ORDER BY channel, account_id, sender_id"
    )
}

#[cfg(test)]
mod tests {
    use nexo_pairing_core::{AccountId, ChannelId, Filter, SenderId};

    use crate::rows::transaction::tests::{plan, sorts_nothing};

    #[test]
    fn blocks_are_read_in_the_order_of_an_index() {
        sorts_nothing(&super::visit_sql(&Filter::all()));
    }

    #[test]
    fn the_block_of_a_sender_is_found_by_its_key() {
        let of_sender = Filter::all()
            .with_channel(ChannelId::parse("telegram").unwrap())
            .with_sender(SenderId::parse("1").unwrap());
        let of_key = of_sender.with_account(AccountId::default_account());
        let plan = plan(&super::has_sql(&of_key)).join("; ");
        let by_key = "(channel=? AND account_id=? AND sender_id=?)";
        assert_eq!(plan.matches(by_key).count(), 2, "{plan}");
    }
}
