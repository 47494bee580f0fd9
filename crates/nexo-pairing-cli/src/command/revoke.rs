//! `revoke`: ends the grants of a sender.

use clap::Args;
use nexo_pairing::{Actor, Mode, SenderKey};
use serde_json::json;

use crate::modes;
use crate::target::{TargetArgs, lines};
use crate::text::escape;
use crate::{CliError, Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = "In mode pairing the sender can ask for a new code; to keep them out use `block`.\n\n\
    Examples:\n  nexo-pair revoke whatsapp:+5491155556666\n  \
    nexo-pair revoke telegram:123456789 --account cody_nexo_bot"
)]
pub(crate) struct Revoke {
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) async fn run(args: Revoke, context: &mut Context) -> Result {
    let config = context.config()?;
    let database = context.database_of(&config);
    let found = database.find().await?;
    let mut revoked = Vec::new();
    for target in args.target.targets("revoke", &config, found.store()).await? {
        revoked.extend(found.store().revoke(&target, &Actor::cli()).await?);
    }
    if revoked.is_empty() {
        let message = format!("{} is not allowed", args.target.name());
        return Err(CliError::refused("nothing_to_revoke", message)
            .with_hint("to see who is, and in which database: nexo-pair list --all"));
    }
    context.print(&json!({ "revoked": revoked }), || {
        lines("revoked", &revoked) + &database.written()
    })?;
    // Without a mode in force no gate starts, and nobody is admitted.
    if let Ok(modes) = modes::in_force(&config, found.store()).await {
        let config = config.with_modes(&modes);
        let is_open = |key: &&SenderKey| {
            config.policy(key.channel.as_str(), key.account_id.as_str()).mode == Mode::Open
        };
        if let Some(key) = revoked.iter().find(is_open) {
            let account = escape(&format!("{}/{}", key.channel, key.account_id));
            context.note(&format!(
                "{account} is in mode open, which admits everybody; to keep the sender out: \
                 nexo-pair block {}",
                args.target.word()
            ));
        }
    }
    Ok(())
}
