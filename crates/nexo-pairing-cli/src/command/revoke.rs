//! `revoke`: ends what a sender was allowed.

use clap::Args;
use nexo_pairing::{Actor, Mode, SenderKey};
use serde_json::json;

use super::lines;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::person::Whom;
use crate::text::escape;

#[derive(Debug, Args)]
#[command(
    after_help = "In mode pairing he can ask for a new code; to keep him out use `block`.\n\n\
    Examples:\n  nexo-pair revoke whatsapp:+5491155556666\n  \
    nexo-pair revoke telegram:123456789 --account cody_nexo_bot"
)]
pub(crate) struct Revoke {
    #[command(flatten)]
    whom: Whom,
}

pub(crate) async fn run(args: Revoke, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.config()?;
    let database = context.database_of(&config);
    let found = database.find().await?;
    let registry = args.whom.adapters(&config).await?;
    let targets = args.whom.targets("revoke", &config, found.view(), &registry).await?;
    let mut revoked = Vec::new();
    if let Some(store) = found.store() {
        for target in targets {
            revoked.extend(store.revoke(&target, &Actor::cli()).await?);
        }
    }
    if revoked.is_empty() {
        return Err(CliError::Nothing {
            kind: "nothing_to_revoke",
            message: format!("{} is not allowed", args.whom.name()),
            hint: Some("see who is, in which database: nexo-pair list --all".to_owned()),
        });
    }
    context.print(&json!({ "revoked": revoked }), || {
        lines("revoked", &revoked) + &database.written()
    })?;
    let is_open = |key: &&SenderKey| {
        config.policy(key.channel.as_str(), key.account_id.as_str()).mode == Mode::Open
    };
    if let Some(key) = revoked.iter().find(is_open) {
        let account = escape(&format!("{}/{}", key.channel, key.account_id));
        context.note(&format!(
            "{account} is in mode open, which admits everybody; to keep him out: nexo-pair block {}",
            args.whom.word()
        ));
    }
    Ok(Exit::Done)
}
