//! `explain`: what the gate would do with a sender, and by which rule.

use clap::Args;
use nexo_pairing::{ChannelId, Filter, Inbound, PairingAdapterRegistry, PairingGate, SenderId};
use serde::Serialize;

use super::gate::options::options;
use crate::channels::adapters_for;
use crate::context::{Context, Database, View};
use crate::error::CliError;
use crate::exit::Exit;
use crate::modes;
use crate::person::{is_stored, sender_of, wrong_id};
use crate::remote;
use crate::text::escape;

#[derive(Debug, Args)]
#[command(after_help = "Nothing is written and nothing is sent.\n\n\
    Examples:\n  nexo-pair explain whatsapp personal 5491155556666@c.us\n  \
    nexo-pair explain telegram cody_nexo_bot -1001234567890 --group")]
pub(crate) struct Explain {
    /// The channel, such as whatsapp.
    channel: String,
    /// The bot account that the message came to.
    account: String,
    /// The sender, as the channel writes him or as `list` shows him.
    #[arg(value_name = "RAW_SENDER", allow_negative_numbers = true)]
    sender: String,
    /// As if the message had come in a group.
    #[arg(long)]
    group: bool,
}

#[derive(Serialize)]
struct Explained<'a> {
    decision: &'a str,
    rule: u8,
    reason: &'a str,
    sender_id: Option<&'a SenderId>,
}

pub(crate) async fn run(args: Explain, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.config()?;
    let store = Database::of(&config).rehearsal().await?;
    let registry = adapters_for(&args.channel, false, &config).await?;
    check_sender(&args, &View::of(&store), &registry).await?;
    let modes = modes::in_force(&config, &View::of(&store)).await?;
    remote::check_all(&config, &modes, &View::of(&store)).await?;
    let config = config.with_modes(&modes);
    let gate = PairingGate::with_options(store, options(&config));
    let policy = config.policy(&args.channel, &args.account);
    let inbound =
        Inbound::direct(args.channel, args.account, args.sender).with_is_group(args.group);
    let explanation = gate.explain(&inbound, policy, &registry).await?;
    let (number, reason) = (explanation.rule.number(), explanation.rule.reason());
    let value = Explained {
        decision: explanation.decision.as_str(),
        rule: number,
        reason,
        sender_id: explanation.sender.as_ref(),
    };
    context.print(&value, || {
        let sender = explanation
            .sender
            .as_ref()
            .map(|sender| format!("sender: {}\n", escape(sender.as_str())));
        format!(
            "{}\nrule {number}: {reason}\n{}mode: {}\n",
            explanation.decision.as_str(),
            sender.unwrap_or_default(),
            policy.mode
        )
    })?;
    Ok(Exit::Done)
}

/// Refuses an id that the adapter refuses, unless exactly that one is stored or somebody on the channel
/// is blocked: then the gate drops it. Without an adapter the gate takes ids as they are.
async fn check_sender(
    args: &Explain,
    known: &View,
    registry: &PairingAdapterRegistry,
) -> Result<(), CliError> {
    let channel = ChannelId::parse(&args.channel).map_err(wrong_id)?;
    let raw = registry.get(channel.as_str()).is_none();
    match sender_of(registry, &channel, &args.sender, raw).await {
        Err(error @ CliError::SenderRefused { .. }) => {
            let exact = SenderId::from_stored(args.sender.clone());
            let is_decided = is_stored(known, &channel, &exact).await?
                || !known.list_blocked(&Filter::all().with_channel(channel)).await?.is_empty();
            if is_decided { Ok(()) } else { Err(error) }
        }
        result => result.map(drop),
    }
}
