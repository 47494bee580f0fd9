//! NATS for `nexo-pairing`: publishes outbound messages, and reaches channels that another process serves.
//!
//! * [`Bus`] is a connection, made from [`NatsOptions`].
//! * [`NatsOutbound`] publishes the payloads of adapters in Nexo's event envelope.
//! * [`PluginAdapter`] is the adapter of a channel whose plugin runs in another process: it asks the plugin
//!   to normalize senders and to send messages.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bus;
mod connect;
mod error;
mod event;
mod events;
mod options;
mod outbound;
mod plugin;
mod replies;
mod subject;
mod subscription;

pub use bus::Bus;
pub use error::NatsError;
pub use events::BusState;
pub use options::NatsOptions;
pub use outbound::NatsOutbound;
pub use plugin::{Format, PluginAdapter, PluginOptions, Shape};
pub use subject::{check_subject, check_subject_pattern};
pub use subscription::{Message, Subscription};
