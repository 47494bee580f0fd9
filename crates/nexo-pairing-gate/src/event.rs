//! Reads a message from JSON: our own short form, or an event as Nexo's plugins publish it.

use nexo_pairing_core::Inbound;
use serde_json::{Map, Value};

/// The events of a plugin itself, which have no sender.
const NOTICES: [&str; 8] = [
    "connected",
    "disconnected",
    "reconnecting",
    "qr",
    "pairing_success",
    "credentials_expired",
    "bridge_timeout",
    "chat_membership",
];

/// What a notice must not carry: it would be a message without a sender. Nor any field that begins
/// with `media` or ends with `_path` or `_url`, nor one that holds more than a single value.
const CONTENT: [&str; 7] = ["text", "caption", "body", "content", "message", "data", "url"];

/// What of an event helps an operator to recognise its sender.
const NAMES: [&str; 3] = ["push_name", "username", "name"];

/// What came in on a channel.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum InboundEvent {
    /// A message, to be screened.
    Message(Inbound),
    /// An event of the plugin itself (`connected`, `qr`, …), without a sender, text or media: it
    /// passes.
    Notice {
        /// The channel.
        channel: String,
        /// The account.
        account: String,
        /// The kind of event.
        kind: String,
    },
}

/// Why JSON is no event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// It is no JSON, or not UTF-8.
    #[error("not JSON")]
    Json(#[source] serde_json::Error),
    /// A field is missing or of the wrong type.
    #[error("`{field}` has to be {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// The topic is no inbound topic.
    #[error("the topic `{topic}` is not plugin.inbound.<channel>[.<account>]")]
    Topic {
        /// The topic, at most 200 characters of it.
        topic: String,
    },
    /// There is no sender, and it is not an event of the plugin itself.
    #[error("there is no `from`, and this is no event of the plugin itself")]
    NoSender,
}

impl EventError {
    /// The stable name of this kind of error, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Json(_) => "invalid_json",
            Self::Field { .. } => "invalid_field",
            Self::Topic { .. } => "invalid_topic",
            Self::NoSender => "no_sender",
        }
    }
}

impl InboundEvent {
    /// Reads `{"channel", "account"?, "from", "alt"?, "text"?, "is_group"?, "meta"?}` or a whole
    /// event, `{"topic", "payload", …}`, whose topic names channel and account. An account that is
    /// not named is `default`.
    ///
    /// ```
    /// use nexo_pairing_gate::InboundEvent;
    ///
    /// let line = br#"{"topic":"plugin.inbound.whatsapp.personal","payload":{"kind":"connected"}}"#;
    /// assert!(matches!(InboundEvent::parse(line)?, InboundEvent::Notice { .. }));
    /// # Ok::<(), nexo_pairing_gate::EventError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`EventError`] when it is neither.
    pub fn parse(json: &[u8]) -> Result<Self, EventError> {
        let value: Value = serde_json::from_slice(json).map_err(EventError::Json)?;
        let Value::Object(mut event) = value else {
            return Err(EventError::Field { field: "the line", expected: "a JSON object" });
        };
        if !event.contains_key("topic") && !event.contains_key("payload") {
            let channel = text(&event, "channel")?.ok_or(missing("channel"))?.to_owned();
            let account = text(&event, "account")?.unwrap_or("default").to_owned();
            let meta = event.remove("meta").unwrap_or_default();
            return message(channel, account, &event, meta)?
                .map(Self::Message)
                .ok_or(EventError::NoSender);
        }
        let (channel, account) = read_topic(text(&event, "topic")?.ok_or(missing("topic"))?)?;
        let Some(Value::Object(mut payload)) = event.remove("payload") else {
            return Err(EventError::Field { field: "payload", expected: "a JSON object" });
        };
        let meta = payload.remove("meta").unwrap_or_else(|| names(&payload));
        if let Some(message) = message(channel.clone(), account.clone(), &payload, meta)? {
            return Ok(Self::Message(message));
        }
        let kind = text(&payload, "kind")?.unwrap_or_default();
        if NOTICES.contains(&kind) && !payload.iter().any(is_content) {
            return Ok(Self::Notice { channel, account, kind: kind.to_owned() });
        }
        Err(EventError::NoSender)
    }
}

fn is_content((field, value): (&String, &Value)) -> bool {
    let is_named_so = CONTENT.contains(&field.as_str())
        || field.starts_with("media")
        || field.ends_with("_path")
        || field.ends_with("_url");
    value.is_object() || value.is_array() || (is_named_so && !value.is_null())
}

/// The message in `fields`, if it has a sender.
fn message(
    channel: String,
    account: String,
    fields: &Map<String, Value>,
    meta: Value,
) -> Result<Option<Inbound>, EventError> {
    let Some(sender) = text(fields, "from")? else { return Ok(None) };
    let is_group = match fields.get("is_group") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(is_group)) => *is_group,
        Some(_) => return Err(EventError::Field { field: "is_group", expected: "true or false" }),
    };
    let inbound = Inbound::direct(channel, account, sender);
    Ok(Some(inbound.with_alt(alt(fields)?).in_group(is_group).with_meta(meta)))
}

/// Other ids of the sender: one, or a list.
fn alt(fields: &Map<String, Value>) -> Result<Vec<String>, EventError> {
    let wrong = EventError::Field { field: "alt", expected: "an id or a list of ids" };
    match fields.get("alt") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(id)) => Ok(vec![id.clone()]),
        Some(Value::Array(ids)) => {
            let ids = ids.iter().map(|id| id.as_str().map(str::to_owned));
            ids.collect::<Option<_>>().ok_or(wrong)
        }
        Some(_) => Err(wrong),
    }
}

fn names(payload: &Map<String, Value>) -> Value {
    let names = NAMES.iter().filter_map(|name| {
        let value = payload.get(*name).filter(|value| value.is_string())?;
        Some(((*name).to_owned(), value.clone()))
    });
    let names: Map<String, Value> = names.collect();
    if names.is_empty() { Value::Null } else { Value::Object(names) }
}

fn read_topic(topic: &str) -> Result<(String, String), EventError> {
    let wrong = || EventError::Topic { topic: topic.chars().take(200).collect() };
    let mut parts = topic.strip_prefix("plugin.inbound.").ok_or_else(wrong)?.split('.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(channel), account, None) if !channel.is_empty() && account != Some("") => {
            Ok((channel.to_owned(), account.unwrap_or("default").to_owned()))
        }
        _ => Err(wrong()),
    }
}

/// A field that is text, if it is there.
fn text<'a>(
    fields: &'a Map<String, Value>,
    field: &'static str,
) -> Result<Option<&'a str>, EventError> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(EventError::Field { field, expected: "text" }),
    }
}

fn missing(field: &'static str) -> EventError {
    EventError::Field { field, expected: "there" }
}
