//! Events of a plugin itself, such as `connected`: which fields each kind has, and what passes of one.
//!
//! What passes is made anew from what was checked, the envelope included. A field that is not in the
//! table of its kind, or not of its form, is cut.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use super::error::EventError;
use super::form::{self, Form};
use super::topic::{self, Topic};

/// The longest free text, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

/// The kinds, each with its fields.
const KINDS: [(&str, &[Field]); 8] = [
    (
        "connected",
        &[
            Field("our_jid", Use::Form(Form::Id)),
            Field("bot_username", Use::Form(Form::BotName)),
            Field("bot_id", Use::Form(Form::Number)),
        ],
    ),
    (
        "disconnected",
        &[
            Field("reason", Use::Form(Form::Word(&REASONS))),
            Field("reconnect", Use::Form(Form::Bool)),
        ],
    ),
    ("reconnecting", &[Field("attempt", Use::Form(Form::Number))]),
    (
        "qr",
        &[
            Field("ascii", Use::Form(Form::Blocks)),
            Field("png_base64", Use::Form(Form::Png)),
            Field("expires_at", Use::Form(Form::Number)),
        ],
    ),
    ("pairing_success", &[Field("device_jid", Use::Form(Form::Id))]),
    ("credentials_expired", &[]),
    ("bridge_timeout", &[Field("session_id", Use::Form(Form::Uuid))]),
    (
        "chat_membership",
        &[
            Field("chat", Use::Named),
            Field("chat_title", Use::Text),
            Field("old_status", Use::Form(Form::Word(&STATUSES))),
            Field("new_status", Use::Form(Form::Word(&STATUSES))),
            Field("changed_by", Use::Named),
            Field("timestamp", Use::Form(Form::Number)),
        ],
    ),
];

/// What tells of linking. It has no `kind`: a topic below an account's ends with this.
const LINKING: [(&str, &[Field]); 2] = [
    (
        topic::QR,
        &[
            Field("challenge_id", Use::Form(Form::Uuid)),
            Field("ascii", Use::Form(Form::Blocks)),
            Field("png_base64", Use::Form(Form::Png)),
            Field("expires_at_ms", Use::Form(Form::Number)),
        ],
    ),
    (
        topic::STATE,
        &[
            Field("challenge_id", Use::Form(Form::Uuid)),
            Field("state", Use::Form(Form::Word(&STATES))),
            Field("device_jid", Use::Form(Form::Id)),
        ],
    ),
];

/// Why a connection ended, as WhatsApp's libraries say it.
const REASONS: [&str; 20] = [
    "account_deleted",
    "bad_session",
    "conflict",
    "connection lost",
    "connection_closed",
    "connection_lost",
    "connection_replaced",
    "device_removed",
    "disabled",
    "forbidden",
    "logged_out",
    "multidevice_mismatch",
    "replaced",
    "restart_required",
    "shutdown",
    "stream_error",
    "timed_out",
    "timeout",
    "unavailable_service",
    "unknown",
];

/// What a bot is in a chat, as Telegram says it.
const STATUSES: [&str; 6] = ["administrator", "creator", "kicked", "left", "member", "restricted"];

/// How far linking has come.
const STATES: [&str; 5] = ["cancelled", "expired", "linked", "pending", "qr_ready"];

/// A field: its name, and what it is.
pub(super) struct Field(&'static str, Use);

enum Use {
    /// It passes in this form.
    Form(Form),
    /// The id of the chat, or of who did it. It passes in the form of an id; anything else is free text.
    Named,
    /// Free text: it passes only where one of those named is allowed.
    Text,
}

/// An event of a plugin itself, as far as it was checked.
///
/// [`PairingGate::screen_notice`](crate::PairingGate::screen_notice) decides what passes of it.
#[derive(Clone)]
pub struct Notice {
    pub(crate) channel: String,
    pub(crate) account: String,
    /// The ids of the chat and of who did it, as the channel writes them.
    pub(crate) named: Vec<String>,
    envelope: Map<String, Value>,
    fields: Map<String, Value>,
    /// What passes only where one of those named is allowed.
    guarded: Map<String, Value>,
    is_linking: bool,
}

impl Notice {
    /// Whether it tells how far the plugin's own account is linked: such a notice never was among what is
    /// admitted.
    #[must_use]
    pub fn is_linking(&self) -> bool {
        self.is_linking
    }

    /// Reads a notice of a known kind from its line; `None` where the kind is unknown. On a topic of
    /// linking, that is the kind, and on no other.
    pub(super) fn read(
        line: &[u8],
        topic: &Topic<'_>,
        kind: &str,
    ) -> Result<Option<Self>, EventError> {
        let kinds = if topic.linking.is_some() { LINKING.as_slice() } else { &KINDS };
        let Some((_, known)) = kinds.iter().find(|(name, _)| *name == kind) else {
            return Ok(None);
        };
        let mut event: Map<String, Value> =
            serde_json::from_slice(line).map_err(EventError::Json)?;
        let mut payload = match event.remove("payload") {
            Some(Value::Object(payload)) => payload,
            _ => Map::new(),
        };
        let mut notice = Self {
            channel: topic.channel.to_owned(),
            account: topic.account.to_owned(),
            named: Vec::new(),
            envelope: envelope(&event, topic),
            fields: Map::new(),
            guarded: Map::new(),
            is_linking: topic.linking.is_some(),
        };
        if !notice.is_linking {
            notice.fields.insert("kind".to_owned(), kind.into());
        }
        for Field(name, usage) in *known {
            if let Some(value) = payload.remove(*name) {
                notice.take(name, usage, value);
            }
        }
        Ok(Some(notice))
    }

    fn take(&mut self, name: &str, usage: &Use, value: Value) {
        let form = match usage {
            Use::Form(form) => Some(*form),
            Use::Named => {
                self.named.extend(id(&value).map(Cow::into_owned));
                Some(Form::Id)
            }
            Use::Text => None,
        };
        let is_guarded = matches!(usage, Use::Named | Use::Text) && is_text(&value);
        if value.is_null() || form.is_some_and(|form| form.fits(&value)) {
            self.fields.insert(name.to_owned(), value);
        } else if is_guarded {
            self.guarded.insert(name.to_owned(), value);
        }
    }

    /// The event that passes, with or without what is guarded.
    pub(crate) fn event(&self, with_guarded: bool) -> Value {
        let mut payload = self.fields.clone();
        if with_guarded {
            payload.extend(self.guarded.clone());
        }
        let mut event = self.envelope.clone();
        event.insert("payload".to_owned(), payload.into());
        event.into()
    }
}

/// Without what may be somebody's text.
impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channel, account, fields, .. } = self;
        f.debug_struct("Notice")
            .field("channel", channel)
            .field("account", account)
            .field("fields", &fields.keys())
            .finish_non_exhaustive()
    }
}

/// The envelope, made anew.
fn envelope(event: &Map<String, Value>, topic: &Topic<'_>) -> Map<String, Value> {
    let text = |name| event.get(name).and_then(Value::as_str);
    let mut envelope = Map::new();
    let mut put = |name: &str, value: Value| drop(envelope.insert(name.to_owned(), value));
    if let Some(id) = text("id").filter(|id| form::is_uuid(id)) {
        put("id", id.into());
    }
    if let Some(timestamp) = text("timestamp").and_then(form::timestamp) {
        put("timestamp", timestamp.into());
    }
    let Topic { channel, .. } = topic;
    let sources = ["plugin".to_owned(), format!("{channel}.pairing"), format!("plugin.{channel}")];
    let [.., usual] = &sources;
    let source = sources.iter().find(|known| text("source") == Some(known)).unwrap_or(usual);
    put("source", source.as_str().into());
    put("topic", topic.text.into());
    match event.get("session_id") {
        Some(Value::Null) => put("session_id", Value::Null),
        Some(Value::String(id)) if form::is_uuid(id) => put("session_id", id.as_str().into()),
        _ => {}
    }
    envelope
}

/// An id, which may be written as a number.
fn id(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(id) if !id.is_empty() => Some(id.into()),
        Value::Number(id) => Some(id.to_string().into()),
        _ => None,
    }
}

fn is_text(value: &Value) -> bool {
    let fits = |text: &str| text.len() <= MAX_TEXT_BYTES && !text.contains(char::is_control);
    value.as_str().is_some_and(fits)
}
