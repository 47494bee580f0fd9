//! `forget-adapter`: forgets that another process served a channel.

use clap::Args;
use nexo_pairing::{Actor, ChannelId};
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::person::wrong_id;

#[derive(Debug, Args)]
#[command(
    after_help = "A channel that pairing.adapters once named is remembered: a gate that decides on it \
    does not start when the configuration has lost the entry, as it would take ids as they are written. \
    This command ends that for a channel that no other process serves any more; `adapters: []` in the \
    configuration ends it for all.\n\n\
    Example:\n  nexo-pair forget-adapter signal"
)]
pub(crate) struct ForgetAdapter {
    /// The channel, such as signal.
    channel: String,
}

pub(crate) async fn run(args: ForgetAdapter, context: &mut Context) -> Result<Exit, CliError> {
    let channel = ChannelId::parse(&args.channel).map_err(wrong_id)?;
    let database = context.database()?;
    let is_forgotten = match database.find().await?.store() {
        Some(store) => store.forget_adapter(&channel, &Actor::cli()).await?,
        None => false,
    };
    if !is_forgotten {
        return Err(CliError::Nothing {
            kind: "nothing_to_forget",
            message: format!("no adapter of {channel} is remembered"),
            hint: Some("what the configuration says is changed there: nexo-pair config".to_owned()),
        });
    }
    context.print(&json!({ "forgotten": channel }), || {
        format!("forgot that another process served {channel}\n{}", database.written())
    })?;
    Ok(Exit::Done)
}
