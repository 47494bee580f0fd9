//! Reads a message from JSON: our own short form, or an event as Nexo's plugins publish it.

mod form;
mod json;
mod notice;

use nexo_pairing_core::Inbound;
use serde_json::{Map, Value};

use json::{Json, Object};
pub use notice::Notice;

/// The ends of the topics of linking, below an account's.
const QR: &str = "pairing.qr";
const STATE: &str = "pairing.state";

/// Fields that make an event without a sender a message. So do those that begin with `media`, that end
/// with `_path` or `_url`, or that have more than a single value.
const CONTENT: [&str; 7] = ["text", "caption", "body", "content", "message", "data", "url"];

/// An event of a channel.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum InboundEvent {
    /// A message, to be screened.
    Message(Inbound),
    /// An event of the plugin itself (`connected`, `qr`, …), without a sender, text or media. What
    /// passes of it is [rebuilt](crate::PairingGate::screen_notice).
    Notice {
        /// The channel.
        channel: String,
        /// The account.
        account: String,
        /// The kind of event; `pairing.qr` or `pairing.state` for those of linking, below an account.
        kind: String,
        /// The fields that were checked.
        notice: Notice,
    },
}

/// Why JSON is not an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// It is not JSON, or not UTF-8.
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
    /// The topic is not an inbound topic.
    #[error("the topic `{topic}` is not plugin.inbound.<channel>[.<account>]")]
    Topic {
        /// The topic, at most 200 characters of it.
        topic: String,
    },
    /// It has no sender, and is not an event of the plugin itself.
    #[error("`from` is missing, and this is not an event of the plugin itself")]
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

    fn missing(field: &'static str) -> Self {
        Self::Field { field, expected: "there" }
    }
}

impl InboundEvent {
    /// Reads `{"channel", "account"?, "from", "alt"?, "text"?, "is_group"?, "meta"?}` or a whole
    /// event, `{"topic", "payload", …}`, whose topic names channel and account. The account defaults
    /// to `default`.
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
    /// [`EventError`] if it is neither.
    pub fn parse(line: &[u8]) -> Result<Self, EventError> {
        let expected = |field| EventError::Field { field, expected: "a JSON object" };
        let Json::Object(event) = json::read(line).map_err(EventError::Json)? else {
            return Err(expected("the line"));
        };
        if event.get("topic").is_none() && event.get("payload").is_none() {
            let channel = event.text("channel")?.ok_or(EventError::missing("channel"))?;
            let account = event.text("account")?.unwrap_or("default");
            let inbound = message(channel, account, &event)?.ok_or(EventError::NoSender)?;
            return Ok(Self::Message(inbound.with_meta(event.meta().unwrap_or_default())));
        }
        let topic = event.text("topic")?.ok_or(EventError::missing("topic"))?;
        let topic = Topic::parse(topic)?;
        let Topic { channel, account, linking, .. } = topic;
        let Some(Json::Object(payload)) = event.get("payload") else {
            return Err(expected("payload"));
        };
        let inbound = message(channel, account, payload)?;
        if linking.is_some() && (inbound.is_some() || has_content(payload)) {
            return Err(topic.error());
        }
        if let Some(inbound) = inbound {
            let meta = payload.meta().unwrap_or_else(|| display_names(payload));
            return Ok(Self::Message(inbound.with_meta(meta)));
        }
        let kind = match linking {
            Some(kind) => kind,
            None => payload.text("kind")?.unwrap_or_default(),
        };
        if has_content(payload) {
            return Err(EventError::NoSender);
        }
        let notice = Notice::read(line, &topic, kind)?.ok_or(EventError::NoSender)?;
        let [channel, account, kind] = [channel, account, kind].map(str::to_owned);
        Ok(Self::Notice { channel, account, kind, notice })
    }
}

/// The message in `fields`, if it has a sender.
fn message(
    channel: &str,
    account: &str,
    fields: &Object<'_>,
) -> Result<Option<Inbound>, EventError> {
    let Some(sender) = fields.text("from")? else { return Ok(None) };
    let is_group = match fields.get("is_group") {
        None | Some(Json::Null) => false,
        Some(Json::Bool(is_group)) => *is_group,
        Some(_) => return Err(EventError::Field { field: "is_group", expected: "true or false" }),
    };
    let alt = match fields.get("alt") {
        None | Some(Json::Null) => Some(Vec::new()),
        Some(Json::Text(id)) => Some(vec![id.to_string()]),
        Some(Json::List(ids)) => ids.iter().map(|id| id.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    };
    let expected = "an id or a list of ids";
    let alt = alt.ok_or(EventError::Field { field: "alt", expected })?;
    Ok(Some(Inbound::direct(channel, account, sender).with_alt(alt).with_is_group(is_group)))
}

/// What helps an operator to recognize a sender.
fn display_names(payload: &Object<'_>) -> Value {
    let name = |key: &&str| Some(((*key).to_owned(), payload.get(key)?.as_str()?.into()));
    let names: Map<_, _> = Inbound::DISPLAY_NAMES.iter().filter_map(name).collect();
    if names.is_empty() { Value::Null } else { Value::Object(names) }
}

/// Whether a field carries text, media or more than a single value. An event of the plugin itself must
/// not: it would be a message without a sender.
fn has_content(payload: &Object<'_>) -> bool {
    payload.fields().iter().any(|(name, value)| match value {
        Json::Null | Json::Meta(_) => false,
        Json::List(_) | Json::Object(_) => true,
        Json::Bool(_) | Json::Number | Json::Text(_) => {
            CONTENT.contains(&&**name)
                || name.starts_with("media")
                || name.ends_with("_path")
                || name.ends_with("_url")
        }
    })
}

struct Topic<'a> {
    text: &'a str,
    channel: &'a str,
    account: &'a str,
    /// [`QR`] or [`STATE`], if it is a topic of linking.
    linking: Option<&'static str>,
}

impl<'a> Topic<'a> {
    /// Parses `plugin.inbound.<channel>[.<account>]`, or one of linking below an account.
    fn parse(text: &'a str) -> Result<Self, EventError> {
        let mut topic = Self { text, channel: "", account: "default", linking: None };
        let mut names = text.strip_prefix("plugin.inbound.").ok_or_else(|| topic.error())?;
        let linking = [QR, STATE].into_iter().find_map(|kind| {
            let account = names.strip_suffix(kind)?.strip_suffix('.')?;
            account.contains('.').then_some((account, kind))
        });
        if let Some((account, kind)) = linking {
            (names, topic.linking) = (account, Some(kind));
        }
        let mut parts = names.split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(channel), account, None) if !channel.is_empty() && account != Some("") => {
                topic.channel = channel;
                topic.account = account.unwrap_or(topic.account);
                Ok(topic)
            }
            _ => Err(topic.error()),
        }
    }

    fn error(&self) -> EventError {
        EventError::Topic { topic: self.text.chars().take(200).collect() }
    }
}
