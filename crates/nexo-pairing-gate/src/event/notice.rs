//! Events of the plugin itself, such as `connected`: the fields of each kind, and what passes of one.
//!
//! What passes is rebuilt from what was checked, the envelope included. A field that is not in the
//! table of its kind, or has not its form, is removed.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use super::form::{self, Form};
use super::{EventError, QR, STATE, Topic};

/// The longest free text, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

type Fields = &'static [(&'static str, Form)];

/// The kinds, each with its fields.
const KINDS: [(&str, Fields); 8] = [
    (
        "connected",
        &[("our_jid", Form::Id), ("bot_username", Form::BotName), ("bot_id", Form::Number)],
    ),
    ("disconnected", &[("reason", Form::Word(&REASONS)), ("reconnect", Form::Bool)]),
    ("reconnecting", &[("attempt", Form::Number)]),
    ("qr", &[("ascii", Form::Blocks), ("png_base64", Form::Png), ("expires_at", Form::Number)]),
    ("pairing_success", &[("device_jid", Form::Id)]),
    ("credentials_expired", &[]),
    ("bridge_timeout", &[("session_id", Form::Uuid)]),
    (
        "chat_membership",
        &[
            ("chat", Form::Named),
            ("chat_title", Form::Text),
            ("old_status", Form::Word(&STATUSES)),
            ("new_status", Form::Word(&STATUSES)),
            ("changed_by", Form::Named),
            ("timestamp", Form::Number),
        ],
    ),
];

/// The kinds of linking. They have no `kind`: the topic ends with it.
const LINKING: [(&str, Fields); 2] = [
    (
        QR,
        &[
            ("challenge_id", Form::Uuid),
            ("ascii", Form::Blocks),
            ("png_base64", Form::Png),
            ("expires_at_ms", Form::Number),
        ],
    ),
    (
        STATE,
        &[("challenge_id", Form::Uuid), ("state", Form::Word(&STATES)), ("device_jid", Form::Id)],
    ),
];

/// Why a connection ended, in the words of WhatsApp's libraries.
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

/// The statuses of a bot in a chat, in Telegram's words.
const STATUSES: [&str; 6] = ["administrator", "creator", "kicked", "left", "member", "restricted"];

/// The states of linking.
const STATES: [&str; 5] = ["cancelled", "expired", "linked", "pending", "qr_ready"];

/// The checked part of an event of the plugin itself.
///
/// [`PairingGate::screen_notice`](crate::PairingGate::screen_notice) decides what passes.
#[derive(Clone)]
pub struct Notice {
    pub(crate) channel: String,
    pub(crate) account: String,
    /// The raw ids of the chat and of the author.
    pub(crate) named: Vec<String>,
    envelope: Map<String, Value>,
    fields: Map<String, Value>,
    /// Free text: it passes only if one of those named is allowed.
    guarded: Map<String, Value>,
    is_linking: bool,
}

impl Notice {
    /// Whether it is about linking the plugin's own account. Such notices are never published as admitted
    /// messages.
    #[must_use]
    pub fn is_linking(&self) -> bool {
        self.is_linking
    }

    /// Reads a notice from its line; `None` if the kind is unknown. Topics of linking have their own
    /// kinds.
    pub(super) fn read(
        line: &[u8],
        topic: &Topic<'_>,
        kind: &str,
    ) -> Result<Option<Self>, EventError> {
        let kinds = if topic.linking.is_some() { LINKING.as_slice() } else { &KINDS };
        let Some((_, fields)) = kinds.iter().find(|(name, _)| *name == kind) else {
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
        for &(name, form) in *fields {
            if let Some(value) = payload.remove(name) {
                notice.add(name, form, value);
            }
        }
        Ok(Some(notice))
    }

    fn add(&mut self, name: &str, form: Form, value: Value) {
        if let Form::Named = form {
            self.named.extend(id(&value).map(Cow::into_owned));
        }
        let is_free_text = matches!(form, Form::Named | Form::Text) && is_text(&value);
        if value.is_null() || form.fits(&value) {
            self.fields.insert(name.to_owned(), value);
        } else if is_free_text {
            self.guarded.insert(name.to_owned(), value);
        }
    }

    /// The event that passes, with or without free text.
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

/// Without values, which may be text of a stranger.
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

/// The envelope, rebuilt from what is valid in it.
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
