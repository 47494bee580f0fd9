//! `block`: keeps a sender out for good.

use clap::Args;
use nexo_pairing::Actor;
use serde_json::json;

use super::lines;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::person::{TargetKey, Whom};
use crate::text::escape;

#[derive(Debug, Args)]
#[command(
    after_help = "Ends what he was allowed and drops his requests. Without --account it holds \
    for every account of the channel, also for future ones.\n\n\
    Example:\n  nexo-pair block whatsapp:+5491155556666 --reason spam"
)]
pub(crate) struct Block {
    #[command(flatten)]
    whom: Whom,
    /// Why, for the audit log and for `list --all`.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(crate) async fn run(args: Block, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.config()?;
    let database = context.database_of(&config);
    let registry = args.whom.adapters(&config).await?;
    let found = database.find().await?;
    // A refused id must not leave an empty database behind.
    let targets = args.whom.targets("block", &config, found.view(), &registry).await?;
    let is_remote = args.whom.is_remote(&config, found.view()).await?;
    let store = found.or_create().await?;
    let (mut revoked, mut dropped) = (Vec::new(), Vec::new());
    for target in &targets {
        let blocking = store.block(target, &Actor::cli(), args.reason.as_deref()).await?;
        revoked.extend(blocking.revoked);
        dropped.extend(blocking.dropped);
    }
    let blocked: Vec<TargetKey> = targets.into_iter().map(TargetKey::from).collect();
    if is_remote {
        args.whom.note_raw(context);
    }
    let value = json!({ "blocked": blocked, "revoked": revoked, "dropped": dropped });
    context.print(&value, || {
        let blocked: String = blocked.iter().map(|key| line("blocked", key)).collect();
        let (revoked, dropped) =
            (lines("revoked", &revoked), lines("dropped the request of", &dropped));
        blocked + &revoked + &dropped + &database.written()
    })?;
    Ok(Exit::Done)
}

/// A target for people.
pub(super) fn line(what: &str, key: &TargetKey) -> String {
    let TargetKey { channel, account_id, sender_id } = key;
    escape(&format!("{what} {channel}/{account_id}/{sender_id}")) + "\n"
}
