//! The gate of `nexo-pairing` as a service on NATS, between the plugins and the agent.
//!
//! [`BusGate`] takes the messages that plugins publish on `plugin.inbound.<channel>[.<account>]`, and
//! publishes admitted ones on `pairing.admitted.<channel>[.<account>]`, the only subject that the agent
//! subscribes to. The messages are specified in the project's `docs/protocol.md`.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use nexo_pairing_bus::{BusGate, Connections, Settings, Subjects};
//! use nexo_pairing_core::{Mode, PairingAdapterRegistry, PairingPolicy};
//! use nexo_pairing_gate::PairingGate;
//! use nexo_pairing_nats::{NatsOptions, NatsOutbound};
//! use nexo_pairing_store::PairingStore;
//! use nexo_pairing_whatsapp::WhatsappPairingAdapter;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let nats = NatsOptions::new(["nats://127.0.0.1:4222"])?;
//! let connections = Connections::open(nats, Subjects::default()).await?;
//!
//! let adapters = PairingAdapterRegistry::new();
//! let outbound = Arc::new(NatsOutbound::new(connections.bus().clone()));
//! adapters.register(Arc::new(WhatsappPairingAdapter::new(outbound)));
//!
//! let store = PairingStore::open("/var/lib/nexo/pairing/pairing.db").await?;
//! let settings = Settings::new(adapters, PairingPolicy::new(Mode::Pairing));
//! let gate = Arc::new(BusGate::new(connections, PairingGate::new(store), settings));
//! Arc::clone(&gate).run(std::future::pending()).await?;
//! println!("{}", gate.counts());
//! # Ok(())
//! # }
//! ```
//!
//! A gate keeps to these limits, whatever is published:
//!
//! | what | limit |
//! | --- | --- |
//! | buffered messages of a subject | 16,384; further ones are lost, with a [`Status::Warning`] |
//! | length of a message | [`MAX_EVENT_BYTES`]; longer ones are rejected |
//! | messages of a channel that wait for the store or for a plugin | 1,024 and 8 MiB for each of three kinds of senders; further ones are rejected, with a [`Status::Warning`] |
//! | channels with queues of their own | those with an adapter or an account in the [`Settings`]; all others share their queues |
//!
//! Rejected messages are counted in the metric `pairing_rejected_total`; [`PairingGate`] counts its
//! decisions.
//!
//! [`MAX_EVENT_BYTES`]: nexo_pairing_core::limits::MAX_EVENT_BYTES
//! [`PairingGate`]: nexo_pairing_gate::PairingGate

mod connections;
mod consumer;
mod dispatcher;
mod event;
mod gate;
mod known;
mod observer;
mod queue;
mod run;
mod settings;
mod stats;
mod status;
mod subject;

pub use connections::Connections;
pub use gate::{BusGate, BusGateError, DEFAULT_QUEUE_GROUP};
pub use observer::{Observed, Observer, Rejection};
pub use settings::Settings;
pub use stats::Counts;
pub use status::Status;
pub use subject::{SubjectError, Subjects};
