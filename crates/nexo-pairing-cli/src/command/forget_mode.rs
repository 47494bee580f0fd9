//! `forget-mode`: forgets which mode an account was last in.

use clap::Args;
use nexo_pairing::{AccountId, AccountKey, Actor, ChannelId, ModeSetting};
use serde_json::{Value, json};

use crate::context::{Context, Database};
use crate::error::CliError;
use crate::exit::Exit;
use crate::person::wrong_id;
use crate::text::escape;

/// What stands for all channels, or for all accounts.
const ALL: &str = "*";

#[derive(Debug, Args)]
#[command(
    after_help = "A mode that was once set for an account stays in force when the configuration \
    does not say it any more. This command ends that: the account follows pairing.gate.mode as soon as \
    a gate starts or reloads. '*' '*' forgets all modes, and which accounts are known; a gate then needs \
    a mode in words.\n\n\
    Examples:\n  nexo-pair forget-mode whatsapp personal\n  nexo-pair forget-mode '*' '*'"
)]
pub(crate) struct ForgetMode {
    /// The channel, such as whatsapp, or '*'.
    channel: String,
    /// The bot account on it, or '*'.
    account: String,
}

pub(crate) async fn run(args: ForgetMode, context: &mut Context) -> Result<Exit, CliError> {
    let account = account(&args)?;
    let database: Database = context.database()?;
    let forgotten = match database.find().await?.store() {
        Some(store) => store.forget_mode(account.as_ref(), &Actor::cli()).await?,
        None => Vec::new(),
    };
    if forgotten.is_empty() {
        let of = account.map(|(channel, account)| format!(" of {channel}/{account}"));
        return Err(CliError::Nothing {
            kind: "nothing_to_forget",
            message: format!("no mode{} is remembered", of.unwrap_or_default()),
            hint: Some("what the configuration says is changed there: nexo-pair config".to_owned()),
        });
    }
    let as_json: Vec<Value> = forgotten.iter().map(as_json).collect();
    context.print(&json!({ "forgotten": as_json }), || {
        let lines = forgotten.iter().map(|(account, said)| {
            let account = account.as_ref().map(|(channel, account)| format!("{channel}/{account}"));
            let account = account.unwrap_or_else(|| "every other account".to_owned());
            format!("forgot mode {} of {account}\n", said.mode)
        });
        let lines: String = lines.collect();
        format!("{lines}running gates follow when they reload (SIGHUP)\n{}", database.written())
    })?;
    Ok(Exit::Done)
}

/// The account that is meant; `None` for all.
fn account(args: &ForgetMode) -> Result<Option<AccountKey>, CliError> {
    match (args.channel.as_str(), args.account.as_str()) {
        (ALL, ALL) => Ok(None),
        (ALL, _) | (_, ALL) => Err(CliError::Usage(format!(
            "`{} {}` names no account: give both, or '*' '*' for everything",
            escape(&args.channel),
            escape(&args.account)
        ))),
        (channel, account) => {
            let channel = ChannelId::parse(channel).map_err(wrong_id)?;
            Ok(Some((channel, AccountId::parse(account).map_err(wrong_id)?)))
        }
    }
}

fn as_json((account, said): &(Option<AccountKey>, ModeSetting)) -> Value {
    let (channel, account) = account
        .as_ref()
        .map_or((ALL, ALL), |(channel, account)| (channel.as_str(), account.as_str()));
    json!({
        "channel": channel, "account_id": account, "mode": said.mode, "said_by": said.origin,
    })
}
