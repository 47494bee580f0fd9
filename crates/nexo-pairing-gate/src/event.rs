//! Reads a message from JSON: our own short form, or an event as Nexo's plugins publish it.

mod error;
mod form;
mod json;
mod notice;
mod topic;

use std::borrow::Cow;

use nexo_pairing_core::Inbound;
use serde_json::Value;

pub use error::EventError;
use json::{Field, Fields};
pub use notice::Notice;
use topic::Topic;

/// What came in on a channel.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum InboundEvent {
    /// A message, to be screened.
    Message(Inbound),
    /// An event of the plugin itself (`connected`, `qr`, …), without a sender, text or media: what
    /// passes of it is [made anew](crate::PairingGate::screen_notice).
    Notice {
        /// The channel.
        channel: String,
        /// The account.
        account: String,
        /// The kind of event; `pairing.qr` or `pairing.state` for those of linking, below an account.
        kind: String,
        /// What was checked of it.
        notice: Notice,
    },
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
        let topic = Topic::read(topic)?;
        let (channel, account) = (topic.channel, topic.account);
        let Some(Field::Object(Some(payload))) = event.payload else {
            return Err(EventError::Field { field: "payload", expected: "a JSON object" });
        };
        let inbound = message(channel, account, &payload)?;
        // Linking has neither: a message there has no topic that a message may have.
        if topic.linking.is_some() && (inbound.is_some() || payload.has_content) {
            return Err(topic.wrong());
        }
        if let Some(inbound) = inbound {
            let names = Some(payload.names).filter(|names| !names.is_empty());
            let meta = payload.meta.or(names.map(Value::Object));
            return Ok(Self::Message(inbound.with_meta(meta.unwrap_or_default())));
        }
        let kind = match topic.linking {
            Some(kind) => kind,
            None => text("kind", &payload.kind)?.unwrap_or_default(),
        };
        if payload.has_content {
            return Err(EventError::NoSender);
        }
        let notice = Notice::read(json, &topic, kind)?.ok_or(EventError::NoSender)?;
        let [channel, account, kind] = [channel, account, kind].map(str::to_owned);
        Ok(Self::Notice { channel, account, kind, notice })
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
    Ok(Some(Inbound::direct(channel, account, sender).with_alt(alt).with_is_group(is_group)))
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
