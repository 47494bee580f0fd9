//! A gate on a bus in a program of its own: it screens the messages of WhatsApp and Telegram between the
//! plugins and the agent, until Ctrl-C.
//!
//! ```console
//! $ nats-server &
//! $ cargo run -p nexo-pairing --features bus --example gate_on_bus -- pairing.db
//! ```
//!
//! Another terminal approves the senders: `nexo-pair --db pairing.db approve CODE`.

use std::sync::Arc;

use nexo_pairing::bus::{BusGate, Connections, Settings, Subjects};
use nexo_pairing::nats::{NatsOptions, NatsOutbound};
use nexo_pairing::telegram::TelegramPairingAdapter;
use nexo_pairing::whatsapp::WhatsappPairingAdapter;
use nexo_pairing::{
    AccountId, ChannelId, Mode, PairingAdapterRegistry, PairingGate, PairingPolicy, PairingStore,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name the database")?;
    let store = PairingStore::open(path).await?;

    // What plugins publish, and nothing that the gate itself writes.
    let subjects =
        Subjects::parse(&["plugin.inbound.whatsapp.>", "plugin.inbound.telegram.>"], &[])?;
    let nats = NatsOptions::new(["nats://127.0.0.1:4222"])?;
    let connections = Connections::open(nats, subjects).await?;

    // The adapters send their challenges over the same connection.
    let outbound = Arc::new(NatsOutbound::new(connections.bus().clone()));
    let adapters = PairingAdapterRegistry::new();
    adapters.register(Arc::new(WhatsappPairingAdapter::new(outbound.clone())));
    adapters.register(Arc::new(TelegramPairingAdapter::new(outbound)));

    // There are two accounts: one sends strangers a code, the other drops what they write.
    let work = (ChannelId::parse("whatsapp")?, AccountId::parse("work")?);
    let personal = (ChannelId::parse("whatsapp")?, AccountId::parse("personal")?);
    let pairing = PairingPolicy::new(Mode::Pairing);
    let settings = Settings::new(adapters, pairing.clone())
        .with_accounts([(personal, pairing), (work, PairingPolicy::new(Mode::Allowlist))]);

    let gate = BusGate::new(connections, PairingGate::new(store), settings)
        .with_status(|status| eprintln!("{status}"));
    // `gate.set(…)` changes the settings while it runs, from any task.
    Arc::new(gate)
        .run(async {
            // Without a way to hear of Ctrl-C it ends at once.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}
