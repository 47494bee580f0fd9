//! `pairing_accounts` and `pairing_adapters`: which mode was in force for which account, and which
//! channels have their adapter in another process.

use nexo_pairing_core::{AccountId, ChannelId};
use nexo_pairing_engine::{AccountRow, AdapterRow, ModeTable, PortResult};
use rusqlite::params;

use super::transaction::SqliteRows;

/// The channel and the account of the row for all accounts together.
const ALL: &str = "*";

impl ModeTable for SqliteRows<'_> {
    fn accounts(&self) -> PortResult<Vec<AccountRow>> {
        let select = "SELECT channel, account_id, mode, said_by, said_at, named, forgotten
            FROM pairing_accounts";
        self.all(select, (), |row| {
            let (channel, account): (String, String) = (row.get(0)?, row.get(1)?);
            let key = || (ChannelId::from_stored(channel.clone()), AccountId::from_stored(account));
            Ok(AccountRow {
                account: (channel != ALL).then(key),
                mode: row.get(2)?,
                said_by: row.get(3)?,
                said_at: row.get(4)?,
                named: row.get(5)?,
                forgotten: row.get(6)?,
            })
        })
    }

    fn replace_accounts(&mut self, accounts: &[AccountRow]) -> PortResult<()> {
        self.change("DELETE FROM pairing_accounts", ())?;
        for AccountRow { account, mode, said_by, said_at, named, forgotten } in accounts {
            let (channel, account) = match account {
                Some((channel, account)) => (channel.as_str(), account.as_str()),
                None => (ALL, ALL),
            };
            self.change(
                "INSERT INTO pairing_accounts
                    (channel, account_id, mode, said_by, said_at, named, forgotten)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![channel, account, mode, said_by, said_at, named, forgotten],
            )?;
        }
        Ok(())
    }

    fn adapters(&self) -> PortResult<Vec<AdapterRow>> {
        let select = "SELECT channel, said_by, said_at FROM pairing_adapters ORDER BY channel";
        self.all(select, (), |row| {
            let channel = ChannelId::from_stored(row.get(0)?);
            Ok(AdapterRow { channel, said_by: row.get(1)?, said_at: row.get(2)? })
        })
    }

    fn replace_adapters(&mut self, adapters: &[AdapterRow]) -> PortResult<()> {
        self.change("DELETE FROM pairing_adapters", ())?;
        for AdapterRow { channel, said_by, said_at } in adapters {
            self.change(
                "INSERT INTO pairing_adapters (channel, said_by, said_at) VALUES (?1, ?2, ?3)",
                params![channel.as_str(), said_by, said_at],
            )?;
        }
        Ok(())
    }
}
