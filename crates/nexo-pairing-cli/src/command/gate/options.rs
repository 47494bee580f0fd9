//! What the configuration says of a gate.

use nexo_pairing::config::Config;
use nexo_pairing::{AccountId, ChannelId, GateOptions};

/// The gate's options as the configuration has them.
pub(in crate::command) fn options(config: &Config) -> GateOptions {
    let mut options = GateOptions::default();
    options.accounts = accounts(config);
    options
}

/// The accounts that are known; `None` when all are.
pub(super) fn accounts(config: &Config) -> Option<Vec<(ChannelId, AccountId)>> {
    let accounts = config.accounts()?.iter();
    Some(accounts.map(|known| (known.channel.clone(), known.account.clone())).collect())
}
