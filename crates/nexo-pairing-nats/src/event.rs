//! Nexo's event envelope.

use nexo_pairing_core::timestamp::rfc3339;
use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

/// Who our events are from.
const SOURCE: &str = "core.pairing";

/// An event on Nexo's bus: a payload, and where it came from.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Event<'a> {
    /// A random id.
    pub id: String,
    /// When it was made: RFC 3339, UTC.
    pub timestamp: String,
    /// The subject it is published on.
    pub topic: &'a str,
    /// `core.pairing`.
    pub source: &'static str,
    /// Pairing knows no sessions of agents: `null`.
    pub session_id: Option<String>,
    /// What it is about.
    pub payload: Value,
}

impl<'a> Event<'a> {
    /// An event of ours, made now.
    #[must_use]
    pub fn new(topic: &'a str, payload: Value) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            timestamp: rfc3339(OffsetDateTime::now_utc()),
            topic,
            source: SOURCE,
            session_id: None,
            payload,
        }
    }

    /// The event as it is published.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Texts and a `Value` are always JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Its fields.
    pub(crate) fn into_map(self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            // The same.
            _ => Map::new(),
        }
    }
}
