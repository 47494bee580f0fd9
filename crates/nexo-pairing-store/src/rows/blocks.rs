//! `pairing_blocked`: the blocks.

use nexo_pairing_core::{AccountScope, Actor, BlockedSender, ChannelId, Filter, SenderId, Target};
use nexo_pairing_engine::{BlockTable, PortResult, at};
use rusqlite::params;

use super::transaction::{OF_KEY, SqliteRows, filter_params, of_filter};

impl BlockTable for SqliteRows<'_> {
    fn has_block(&self, filter: &Filter) -> PortResult<bool> {
        let of_blocks = of_blocks(filter);
        let sql = format!("SELECT 1 FROM pairing_blocked WHERE {of_blocks} LIMIT 1");
        Ok(self.one(&sql, filter_params(filter), |_| Ok(()))?.is_some())
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

/// The condition of a filter: a block on all accounts concerns each.
fn of_blocks(filter: &Filter) -> String {
    of_filter(filter).replace("account_id = ?2", "account_id IN (?2, '*')")
}

/// In the order of the primary key, so that nothing is sorted.
fn visit_sql(filter: &Filter) -> String {
    format!(
        "SELECT channel, account_id, sender_id, blocked_at, blocked_via, reason
            FROM pairing_blocked WHERE {} ORDER BY channel, account_id, sender_id",
        of_blocks(filter)
    )
}

#[cfg(test)]
mod tests {
    use nexo_pairing_core::Filter;

    use crate::rows::transaction::tests::sorts_nothing;

    #[test]
    fn blocks_are_read_in_the_order_of_an_index() {
        sorts_nothing(&super::visit_sql(&Filter::all()));
    }
}
