//! `block`: keeps a sender out for good.

use clap::Args;
use nexo_pairing::Actor;
use serde_json::json;

use crate::remote;
use crate::target::{TargetArgs, TargetKey, lines, note_raw};
use crate::{Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = "Revokes the sender's grants and drops their requests. Without --account it holds \
    for every account of the channel, also for future ones.\n\n\
    Example:\n  nexo-pair block whatsapp:+5491155556666 --reason spam"
)]
pub(crate) struct Block {
    #[command(flatten)]
    target: TargetArgs,
    /// Why, for the audit log and for `list --all`.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(crate) async fn run(args: Block, context: &mut Context) -> Result {
    let config = context.config()?;
    let database = context.database_of(&config);
    let found = database.find().await?;
    // Before the database is created: a refused id must not leave an empty one behind.
    let targets = args.target.targets("block", &config, found.store()).await?;
    let channel = args.target.channel();
    let is_remote = remote::is_remote(&config, &channel, found.store()).await?;
    let store = found.or_create().await?;
    let (mut revoked, mut dropped) = (Vec::new(), Vec::new());
    for target in &targets {
        let outcome = store.block(target, &Actor::cli(), args.reason.as_deref()).await?;
        revoked.extend(outcome.revoked);
        dropped.extend(outcome.dropped);
    }
    if is_remote && args.target.is_raw() {
        note_raw(context, &channel);
    }
    let blocked: Vec<TargetKey> = targets.into_iter().map(TargetKey::from).collect();
    let value = json!({ "blocked": blocked, "revoked": revoked, "dropped": dropped });
    context.print(&value, || {
        blocked.iter().map(|key| key.line("blocked")).collect::<String>()
            + &lines("revoked", &revoked)
            + &lines("dropped the request of", &dropped)
            + &database.written()
    })
}
