//! `reject`: refuses the sender who has a code.

use clap::Args;
use nexo_pairing::{Actor, SenderKey};
use serde_json::json;

use super::TypedCode;
use crate::target::lines;
use crate::{Context, Result};

#[derive(Debug, Args)]
#[command(after_help = "The sender is not notified. To keep them out for good use `block`.\n\n\
    Example:\n  nexo-pair reject K7M9-PQ2X")]
pub(crate) struct Reject {
    #[command(flatten)]
    code: TypedCode,
}

pub(crate) async fn run(args: Reject, context: &mut Context) -> Result {
    let database = context.database()?;
    let store = database.find().await?.required()?;
    let rejected = store.reject(&args.code.join(), &Actor::cli()).await?;
    let keys = [SenderKey::new(rejected.channel, rejected.account_id, rejected.sender_id)];
    context.print(&json!({ "rejected": keys }), || lines("rejected", &keys) + &database.written())
}
