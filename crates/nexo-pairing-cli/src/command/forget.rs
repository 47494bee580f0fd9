//! `forget`: erases a person.

use clap::Args;
use nexo_pairing::Actor;
use serde_json::json;

use crate::target::{TargetArgs, filter_of, lines};
use crate::{CliError, Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = "Blocks go too: a forgotten stranger is a stranger again. The audit log keeps a salted \
    hash in place of the sender's id.\n\n\
    Example:\n  nexo-pair forget whatsapp:+5491155556666"
)]
pub(crate) struct Forget {
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) async fn run(args: Forget, context: &mut Context) -> Result {
    let config = context.config()?;
    let database = context.database_of(&config);
    let found = database.find().await?;
    let store = found.store();
    let (mut forgotten, mut is_logged) = (Vec::new(), false);
    for target in args.target.targets("forget", &config, store).await? {
        is_logged |= !store.audit(&filter_of(&target), 1).await?.is_empty();
        forgotten.extend(store.forget(&target, &Actor::cli()).await?);
    }
    let name = args.target.name();
    if forgotten.is_empty() && !is_logged {
        let message = format!("nothing is known about {name}");
        return Err(CliError::refused("nothing_to_forget", message)
            .with_hint("to see who is known, and in which database: nexo-pair list --all"));
    }
    context.print(&json!({ "forgotten": forgotten }), || {
        let who = if forgotten.is_empty() {
            format!("{name} was in the audit log only\n")
        } else {
            lines("forgot", &forgotten)
        };
        who + &database.written()
    })
}
