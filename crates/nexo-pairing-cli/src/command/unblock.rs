//! `unblock`: takes a block back.

use clap::Args;
use nexo_pairing::{AccountScope, Actor, Filter, Target};
use serde_json::json;

use super::block::line;
use crate::context::{Context, View};
use crate::error::CliError;
use crate::exit::Exit;
use crate::person::{TargetKey, Whom};

#[derive(Debug, Args)]
#[command(
    after_help = "Without --account every block of his on the channel is taken back. It restores \
    nothing of what a block ended: let the sender in anew with `seed`, or have him ask for a code.\n\n\
    Example:\n  nexo-pair unblock whatsapp:+5491155556666"
)]
pub(crate) struct Unblock {
    #[command(flatten)]
    whom: Whom,
}

pub(crate) async fn run(args: Unblock, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.config()?;
    let database = context.database_of(&config);
    let found = database.find().await?;
    let registry = args.whom.adapters(&config).await?;
    let targets = args.whom.targets("unblock", &config, found.view(), &registry).await?;
    let (mut unblocked, mut for_all) = (Vec::new(), false);
    if let Some(store) = found.store() {
        for target in targets {
            for block in blocks(found.view(), &target).await? {
                if target.scope != AccountScope::All && target.scope != block.scope {
                    for_all = true;
                } else if store.unblock(&block, &Actor::cli()).await? {
                    unblocked.push(TargetKey::from(block));
                }
            }
        }
    }
    if unblocked.is_empty() {
        let everywhere = || {
            let person = args.whom.word();
            format!("he is blocked for all accounts at once: nexo-pair unblock {person}")
        };
        return Err(CliError::Nothing {
            kind: "nothing_to_unblock",
            message: format!("{} is not blocked", args.whom.name()),
            hint: for_all.then(everywhere),
        });
    }
    context.print(&json!({ "unblocked": unblocked }), || {
        let mut text: String = unblocked.iter().map(|key| line("unblocked", key)).collect();
        if for_all {
            text += "he is still blocked for all accounts at once\n";
        }
        text += "nothing of what the block ended is restored: \
                 let him in with `nexo-pair seed`, or have him ask for a code\n";
        text + &database.written()
    })?;
    Ok(Exit::Done)
}

/// The blocks that concern a target: its own, and one for all accounts.
async fn blocks(known: &View, target: &Target) -> Result<Vec<Target>, CliError> {
    let mut filter =
        Filter::all().with_channel(target.channel.clone()).with_sender(target.sender.clone());
    if let AccountScope::One(account) = &target.scope {
        filter = filter.with_account(account.clone());
    }
    let blocked = known.list_blocked(&filter).await?.into_iter();
    Ok(blocked.map(|row| Target::new(row.channel, row.account_id, row.sender_id)).collect())
}
