//! NATS for `nexo-pairing`: what goes out is published there, and channels that another process
//! serves are asked there.
//!
//! * [`Bus`] is a connection; [`NatsOptions`] says where to and as whom.
//! * [`NatsOutbound`] hands an adapter's payloads to the bus, in Nexo's event envelope.
//! * [`PluginAdapter`] is the adapter of a channel whose plugin is no Rust crate: it asks the plugin
//!   how its senders are called and gives it what is to be sent.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answers;
mod bus;
mod connect;
mod error;
mod event;
mod events;
mod inbox;
mod options;
mod outbound;
mod plugin;
mod subject;
mod subscription;

pub use bus::Bus;
pub use error::NatsError;
pub use event::Event;
pub use events::BusState;
pub use options::{NatsOptions, Servers};
pub use outbound::NatsOutbound;
pub use plugin::{Format, PluginAdapter, PluginOptions, Shape};
pub use subject::Subject;
pub use subscription::{Message, Subscription};
