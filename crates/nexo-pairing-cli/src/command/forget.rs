//! `forget`: erases a person.

use clap::Args;
use nexo_pairing::{AccountScope, Actor, Filter, Target};
use serde_json::json;

use super::lines;
use crate::context::{Context, View};
use crate::error::CliError;
use crate::exit::Exit;
use crate::person::Whom;

#[derive(Debug, Args)]
#[command(
    after_help = "His blocks go too: a forgotten stranger is a stranger again. The audit log \
    keeps a salted hash in place of his id.\n\n\
    Example:\n  nexo-pair forget whatsapp:+5491155556666"
)]
pub(crate) struct Forget {
    #[command(flatten)]
    whom: Whom,
}

pub(crate) async fn run(args: Forget, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.config()?;
    let database = context.database_of(&config);
    let found = database.find().await?;
    let registry = args.whom.adapters(&config).await?;
    let targets = args.whom.targets("forget", &config, found.view(), &registry).await?;
    let (mut forgotten, mut logged) = (Vec::new(), false);
    if let Some(store) = found.store() {
        for target in targets {
            logged |= is_logged(found.view(), &target).await?;
            forgotten.extend(store.forget(&target, &Actor::cli()).await?);
        }
    }
    if forgotten.is_empty() && !logged {
        return Err(CliError::Nothing {
            kind: "nothing_to_forget",
            message: format!("nothing is known of {}", args.whom.name()),
            hint: Some("see who is known, in which database: nexo-pair list --all".to_owned()),
        });
    }
    context.print(&json!({ "forgotten": forgotten }), || {
        let who = if forgotten.is_empty() {
            format!("{} was in the audit log only\n", args.whom.name())
        } else {
            lines("forgot", &forgotten)
        };
        who + &database.written()
    })?;
    Ok(Exit::Done)
}

/// Whether the audit log names a target.
async fn is_logged(known: &View, target: &Target) -> Result<bool, CliError> {
    let mut filter =
        Filter::all().with_channel(target.channel.clone()).with_sender(target.sender.clone());
    if let AccountScope::One(account) = &target.scope {
        filter = filter.with_account(account.clone());
    }
    Ok(!known.audit(&filter, 1).await?.is_empty())
}
