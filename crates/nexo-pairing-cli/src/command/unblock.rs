//! `unblock`: removes a block.

use clap::Args;
use nexo_pairing::{AccountScope, Actor, Target};
use serde_json::json;

use crate::target::{TargetArgs, TargetKey, filter_of};
use crate::{CliError, Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = "Without --account every block of the sender on the channel is removed. Grants that a \
    block revoked are not restored: let the sender in again with `seed`, or ask them to write for a new \
    code.\n\n\
    Example:\n  nexo-pair unblock whatsapp:+5491155556666"
)]
pub(crate) struct Unblock {
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) async fn run(args: Unblock, context: &mut Context) -> Result {
    let config = context.config()?;
    let database = context.database_of(&config);
    let found = database.find().await?;
    let store = found.store();
    let (mut unblocked, mut on_all) = (Vec::new(), false);
    for target in args.target.targets("unblock", &config, store).await? {
        // For one account, these include a block on all accounts.
        for row in store.list_blocked(&filter_of(&target)).await? {
            let block = Target::new(row.channel, row.account_id, row.sender_id);
            if target.scope != AccountScope::All && target.scope != block.scope {
                on_all = true;
            } else if store.unblock(&block, &Actor::cli()).await? {
                unblocked.push(TargetKey::from(block));
            }
        }
    }
    if unblocked.is_empty() {
        let message = format!("{} is not blocked", args.target.name());
        let error = CliError::refused("nothing_to_unblock", message);
        return Err(if on_all {
            let word = args.target.word();
            error.with_hint(format!(
                "the sender is blocked on all accounts: nexo-pair unblock {word}"
            ))
        } else {
            error
        });
    }
    context.print(&json!({ "unblocked": unblocked }), || {
        let mut text: String = unblocked.iter().map(|key| key.line("unblocked")).collect();
        if on_all {
            text += "the sender is still blocked on all accounts\n";
        }
        text += "grants that the block revoked are not restored: \
                 let the sender in with `nexo-pair seed`, or ask them to write for a new code\n";
        text + &database.written()
    })
}
