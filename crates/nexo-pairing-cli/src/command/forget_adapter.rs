//! `forget-adapter`: forgets the plugin of a channel.

use clap::Args;
use nexo_pairing::{Actor, ChannelId};
use serde_json::json;

use crate::{CliError, Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = "The channels in pairing.adapters are remembered. If an entry is lost, a gate that \
    decides on its channel does not start, because it would use ids without normalizing them. Run this \
    command once no plugin serves the channel any more; `adapters: []` in the configuration does the \
    same for all channels.\n\n\
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
        let message = format!("no plugin of {channel} is remembered");
        return Err(CliError::nothing_remembered(message));
    }
    context.print(&json!({ "forgotten": channel }), || {
        format!("forgot the plugin of {channel}\n{}", database.written())
    })
}
