//! The gate of `nexo-pairing` as a service on NATS, between the plugins and the agent.

mod connections;
mod consumer;
mod dispatcher;
mod error;
mod event;
mod gate;
mod handle;
mod known;
mod observer;
mod queue;
mod settings;
mod sink;
mod stats;
mod status;
mod subject;

pub use connections::Connections;
pub use error::BusGateError;
pub use event::MAX_MESSAGE_BYTES;
pub use gate::{BusGate, DEFAULT_QUEUE_GROUP};
pub use handle::BusGateHandle;
pub use observer::{Observed, Observer, Rejection};
pub use settings::Settings;
pub use stats::Counts;
pub use status::Status;
pub use subject::{SubjectError, Subjects};
