//! Reads a message from JSON: our own short form, or an event as Nexo's plugins publish it.

mod json;

use std::borrow::Cow;

use nexo_pairing_core::Inbound;
use serde_json::Value;

use json::{Field, Fields};

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
        let line = json::read(json).map_err(EventError::Json)?;
        let Field::Object(Some(event)) = line else {
            return Err(EventError::Field { field: "the line", expected: "a JSON object" });
        };
        if event.topic.is_none() && event.payload.is_none() {
            let channel = text("channel", &event.channel)?.ok_or(missing("channel"))?;
            let account = text("account", &event.account)?.unwrap_or("default");
            let inbound = message(channel, account, &event)?.ok_or(EventError::NoSender)?;
            return Ok(Self::Message(inbound.with_meta(event.meta.unwrap_or_default())));
        }
        let topic = text("topic", &event.topic)?.ok_or(missing("topic"))?;
        let (channel, account) = read_topic(topic)?;
        let Some(Field::Object(Some(payload))) = event.payload else {
            return Err(EventError::Field { field: "payload", expected: "a JSON object" });
        };
        if let Some(inbound) = message(channel, account, &payload)? {
            let names = Some(payload.names).filter(|names| !names.is_empty());
            let meta = payload.meta.or(names.map(Value::Object));
            return Ok(Self::Message(inbound.with_meta(meta.unwrap_or_default())));
        }
        let kind = text("kind", &payload.kind)?.unwrap_or_default();
        if NOTICES.contains(&kind) && !payload.has_content {
            let [channel, account, kind] = [channel, account, kind].map(str::to_owned);
            return Ok(Self::Notice { channel, account, kind });
        }
        Err(EventError::NoSender)
    }
}

/// The message in `fields`, if it has a sender.
fn message(
    channel: &str,
    account: &str,
    fields: &Fields<'_>,
) -> Result<Option<Inbound>, EventError> {
    let Some(sender) = text("from", &fields.from)? else { return Ok(None) };
    let is_group = match &fields.is_group {
        None | Some(Field::Null) => false,
        Some(Field::Bool(is_group)) => *is_group,
        Some(_) => return Err(EventError::Field { field: "is_group", expected: "true or false" }),
    };
    let alt = match &fields.alt {
        None | Some(Field::Null) => Vec::new(),
        Some(Field::Text(id)) => vec![id.to_string()],
        Some(Field::List(Some(ids))) => ids.iter().map(Cow::to_string).collect(),
        Some(_) => {
            return Err(EventError::Field { field: "alt", expected: "an id or a list of ids" });
        }
    };
    Ok(Some(Inbound::direct(channel, account, sender).with_alt(alt).in_group(is_group)))
}

fn read_topic(topic: &str) -> Result<(&str, &str), EventError> {
    let wrong = || EventError::Topic { topic: topic.chars().take(200).collect() };
    let mut parts = topic.strip_prefix("plugin.inbound.").ok_or_else(wrong)?.split('.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(channel), account, None) if !channel.is_empty() && account != Some("") => {
            Ok((channel, account.unwrap_or("default")))
        }
        _ => Err(wrong()),
    }
}

/// A field that is text, if it is there.
fn text<'a>(
    name: &'static str,
    field: &'a Option<Field<'_>>,
) -> Result<Option<&'a str>, EventError> {
    match field {
        None | Some(Field::Null) => Ok(None),
        Some(Field::Text(text)) => Ok(Some(text)),
        Some(_) => Err(EventError::Field { field: name, expected: "text" }),
    }
}

fn missing(field: &'static str) -> EventError {
    EventError::Field { field, expected: "there" }
}
