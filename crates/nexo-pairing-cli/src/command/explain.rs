//! `explain`: how the gate would decide on a sender, and by which rule.

use std::sync::Arc;

use clap::Args;
use nexo_pairing::{ChannelId, Filter, GateBackend, Inbound, PairingAdapterRegistry, PairingGate};
use serde_json::json;

use super::gate::options;
use crate::channels::adapters_for;
use crate::modes;
use crate::remote;
use crate::target::sender_of_or_stored;
use crate::text::escape;
use crate::{Context, Result, Store};

#[derive(Debug, Args)]
#[command(after_help = "Nothing is written and nothing is sent.\n\n\
    Examples:\n  nexo-pair explain whatsapp personal 5491155556666@c.us\n  \
    nexo-pair explain telegram cody_nexo_bot -1001234567890 --group")]
pub(crate) struct Explain {
    /// The channel, such as whatsapp.
    channel: String,
    /// The bot account that the message came to.
    account: String,
    /// The sender, as the channel writes the id or as `list` shows it.
    #[arg(value_name = "RAW_SENDER", allow_negative_numbers = true)]
    sender: String,
    /// As if the message had been sent in a group.
    #[arg(long)]
    group: bool,
}

pub(crate) async fn run(args: Explain, context: &mut Context) -> Result {
    let config = context.config()?;
    let store = context.database_of(&config).rehearsal().await?;
    let registry = adapters_for(&args.channel, false, &config).await?;
    check_sender(&args, &store, &registry).await?;
    let modes = modes::in_force(&config, &store).await?;
    remote::check_all(&config, &modes, &store).await?;
    let config = config.with_modes(&modes);
    let gate = PairingGate::with_options(store as Arc<dyn GateBackend>, options(&config));
    let policy = config.policy(&args.channel, &args.account);
    let inbound =
        Inbound::direct(args.channel, args.account, args.sender).with_is_group(args.group);
    let explanation = gate.explain(&inbound, policy, &registry).await?;
    let decision = explanation.decision.as_str();
    let (number, reason) = (explanation.rule.number(), explanation.rule.reason());
    let sender = explanation.sender;
    let value =
        json!({ "decision": decision, "rule": number, "reason": reason, "sender_id": sender });
    context.print(&value, || {
        let sender = sender.map(|sender| format!("sender: {}\n", escape(sender.as_str())));
        let (sender, mode) = (sender.unwrap_or_default(), policy.mode);
        format!("{decision}\nrule {number}: {reason}\n{sender}mode: {mode}\n")
    })
}

/// Refuses an id that the adapter rejects, unless exactly this id is stored or any sender on the channel
/// is blocked: then the gate drops it. Without an adapter the gate uses ids unchanged.
async fn check_sender(args: &Explain, store: &Store, registry: &PairingAdapterRegistry) -> Result {
    let channel = ChannelId::parse(&args.channel)?;
    let raw = registry.get(channel.as_str()).is_none();
    match sender_of_or_stored(registry, &channel, &args.sender, raw, store).await {
        Err(error) if error.is_sender_refused() => {
            let blocked = store.list_blocked(&Filter::all().with_channel(channel)).await?;
            if blocked.is_empty() { Err(error) } else { Ok(()) }
        }
        result => result.map(drop),
    }
}
