//! `forget-mode`: forgets which mode an account was last in.

use clap::Args;
use nexo_pairing::core::ModeSetting;
use nexo_pairing::{AccountId, AccountKey, Actor, ChannelId};
use serde_json::{Value, json};

use crate::text::escape;
use crate::{CliError, Context, Result};

/// Stands for all channels, or for all accounts.
const ALL: &str = "*";

#[derive(Debug, Args)]
#[command(
    after_help = "The last mode set for an account stays in force even if it disappears from the \
    configuration. After this command, the account follows pairing.gate.mode as soon as a gate starts \
    or reloads. '*' '*' forgets all modes, and which accounts are known; a gate then needs an explicit \
    mode.\n\n\
    Examples:\n  nexo-pair forget-mode whatsapp personal\n  nexo-pair forget-mode '*' '*'"
)]
pub(crate) struct ForgetMode {
    /// The channel, such as whatsapp, or '*'.
    channel: String,
    /// The bot account on it, or '*'.
    account: String,
}

pub(crate) async fn run(args: ForgetMode, context: &mut Context) -> Result {
    let account = account(&args)?;
    let database = context.database()?;
    let found = database.find().await?;
    let forgotten = found.store().forget_mode(account.as_ref(), &Actor::cli()).await?;
    if forgotten.is_empty() {
        let of = account.map(|(channel, account)| format!(" of {channel}/{account}"));
        let message = format!("no mode{} is remembered", of.unwrap_or_default());
        return Err(CliError::nothing_remembered(message));
    }
    let as_json = forgotten.iter().map(|(account, setting)| {
        let account = account.as_ref();
        json!({
            "channel": account.map_or(ALL, |(channel, _)| channel.as_str()),
            "account_id": account.map_or(ALL, |(_, account)| account.as_str()),
            "mode": setting.mode,
            "said_by": setting.origin,
        })
    });
    context.print(&json!({ "forgotten": as_json.collect::<Vec<Value>>() }), || {
        let line = |(account, setting): &(Option<AccountKey>, ModeSetting)| {
            let account = account.as_ref().map(|(channel, account)| format!("{channel}/{account}"));
            let account = account.unwrap_or_else(|| "every other account".to_owned());
            format!("forgot mode {} of {account}\n", setting.mode)
        };
        let lines: String = forgotten.iter().map(line).collect();
        format!("{lines}running gates follow when they reload (SIGHUP)\n{}", database.written())
    })
}

/// The account; `None` for all.
fn account(args: &ForgetMode) -> Result<Option<AccountKey>> {
    match (args.channel.as_str(), args.account.as_str()) {
        (ALL, ALL) => Ok(None),
        (ALL, _) | (_, ALL) => Err(CliError::usage(format!(
            "`{} {}` is not an account: give both, or '*' '*' for everything",
            escape(&args.channel),
            escape(&args.account)
        ))),
        (channel, account) => Ok(Some((ChannelId::parse(channel)?, AccountId::parse(account)?))),
    }
}
