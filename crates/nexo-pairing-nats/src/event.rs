//! Nexo's event envelope.

use nexo_pairing_core::timestamp::rfc3339;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

/// An event on Nexo's bus: a payload in an envelope.
#[derive(Serialize)]
pub(crate) struct Event<'a> {
    id: Uuid,
    /// When it was made: RFC 3339, UTC.
    timestamp: String,
    /// The subject it is published on.
    topic: &'a str,
    source: &'static str,
    /// Always `null`: pairing has no sessions of agents.
    session_id: (),
    payload: Value,
}

impl<'a> Event<'a> {
    /// An event of ours, made now.
    pub(crate) fn new(topic: &'a str, payload: Value) -> Self {
        Self {
            id: Uuid::new_v4(),
            timestamp: rfc3339(OffsetDateTime::now_utc()),
            topic,
            source: "core.pairing",
            session_id: (),
            payload,
        }
    }
}
