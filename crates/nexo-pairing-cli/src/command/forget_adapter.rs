//! `forget-adapter`: forgets that another process served a channel.

use clap::Args;
use nexo_pairing::{Actor, ChannelId};
use serde_json::json;

use crate::{CliError, Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = "A channel that pairing.adapters once named is remembered: a gate that decides on it \
    does not start when the configuration has lost the entry, because it would take ids as they are \
    written. This command ends that for a channel that no other process serves any more; `adapters: []` in \
    the configuration ends it for all.\n\n\
    Example:\n  nexo-pair forget-adapter signal"
)]
pub(crate) struct ForgetAdapter {
    /// The channel, such as signal.
    channel: String,
}

pub(crate) async fn run(args: ForgetAdapter, context: &mut Context) -> Result {
    let channel = ChannelId::parse(&args.channel)?;
    let database = context.database()?;
    if !database.find().await?.store().forget_adapter(&channel, &Actor::cli()).await? {
        let message = format!("no adapter of {channel} is remembered");
        return Err(CliError::refused("nothing_to_forget", message)
            .with_hint("to change what the configuration sets, edit it: nexo-pair config"));
    }
    context.print(&json!({ "forgotten": channel }), || {
        format!("forgot that another process served {channel}\n{}", database.written())
    })
}
