//! The messages between the gate and a plugin.

use bytes::Bytes;
use nexo_pairing_core::SenderId;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CallError, Shape};
use crate::event::Event;
use crate::replies::MAX_REPLY_BYTES;

/// The longest text of a challenge, in characters.
const MAX_TEXT: usize = 4096;

/// A method of plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    NormalizeSender,
    FormatChallengeText,
    SendReply,
    SendQrImage,
}

impl Method {
    pub(super) const ALL: [Self; 4] =
        [Self::NormalizeSender, Self::FormatChallengeText, Self::SendReply, Self::SendQrImage];

    /// The last token of its subject.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NormalizeSender => "normalize_sender",
            Self::FormatChallengeText => "format_challenge_text",
            Self::SendReply => "send_reply",
            Self::SendQrImage => "send_qr_image",
        }
    }
}

/// A request, in the shape that the plugin understands. `body` is an object.
pub(super) fn request(
    shape: Shape,
    subject: &str,
    id: Uuid,
    reply_to: &str,
    body: &Value,
) -> Vec<u8> {
    #[derive(Serialize)]
    struct Request<'a> {
        #[serde(flatten)]
        event: Option<Event<'a>>,
        #[serde(flatten)]
        plain: Option<&'a Value>,
    }
    let event = (shape != Shape::Plain).then(|| {
        let payload = json!({"id": id, "topic": subject, "reply_to": reply_to, "payload": body});
        Event::new(subject, payload)
    });
    let request = Request { event, plain: (shape != Shape::Nexo).then_some(body) };
    // Objects with text for keys are always valid JSON.
    serde_json::to_vec(&request).unwrap_or_default()
}

/// The reply to a plain request: the bare result, or one of Nexo's events around it.
pub(super) fn plain_reply(bytes: &Bytes, id: &Uuid) -> Result<Value, CallError> {
    if bytes.len() > MAX_REPLY_BYTES {
        return Err(CallError::Invalid("it is too long"));
    }
    let parsed = serde_json::from_slice(bytes);
    let mut reply: Value = parsed.map_err(|_| CallError::Invalid("it is not JSON"))?;
    let Some(inner) = reply.get_mut("payload").filter(|inner| inner.is_object()) else {
        return Ok(reply);
    };
    let replies_to = inner["id"].as_str().and_then(|id| Uuid::try_parse(id).ok());
    if replies_to.as_ref() != Some(id) {
        return Err(CallError::Invalid("it is the reply to another request"));
    }
    Ok(inner["payload"].take())
}

/// `{"normalized": string|null}`
pub(super) fn normalized(reply: &Value) -> Result<Option<String>, CallError> {
    match field(reply, "normalized", "it has no `normalized`")? {
        Value::Null => Ok(None),
        Value::String(id) if SenderId::check(id).is_ok() => Ok(Some(id.clone())),
        Value::String(_) => Err(CallError::Invalid("`normalized` is not a valid sender id")),
        _ => Err(CallError::Invalid("`normalized` is neither a string nor null")),
    }
}

/// `{"text": string}`
pub(super) fn text(reply: &Value) -> Result<String, CallError> {
    match field(reply, "text", "it has no `text`")? {
        Value::String(text) if text.trim().is_empty() => Err(CallError::Invalid("`text` is empty")),
        Value::String(text) if text.chars().count() > MAX_TEXT => {
            Err(CallError::Invalid("`text` is too long"))
        }
        Value::String(text) => Ok(text.clone()),
        _ => Err(CallError::Invalid("`text` is not a string")),
    }
}

/// `{"ok": bool, "error"?: string}`
pub(super) fn sent(reply: &Value) -> Result<(), CallError> {
    match field(reply, "ok", "it has no `ok`")? {
        Value::Bool(true) => Ok(()),
        Value::Bool(false) => {
            Err(failure(reply).unwrap_or(CallError::Failed("no reason given".to_owned())))
        }
        _ => Err(CallError::Invalid("`ok` is neither true nor false")),
    }
}

/// A field of a reply. Without it, the reply is a failure or invalid.
fn field<'a>(reply: &'a Value, name: &str, missing: &'static str) -> Result<&'a Value, CallError> {
    reply.get(name).ok_or_else(|| failure(reply).unwrap_or(CallError::Invalid(missing)))
}

fn failure(reply: &Value) -> Option<CallError> {
    let error = reply.get("error")?.as_str()?;
    // It is logged and shown on terminals.
    let error: String = error.chars().take(200).collect();
    Some(CallError::Failed(error.escape_debug().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    fn sent_as(shape: Shape) -> Value {
        let body = json!({"raw": "1"});
        let bytes = request(shape, "p.pairing.normalize_sender", ID, "_inbox.req.x", &body);
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn one_message_is_both_shapes() {
        let event = sent_as(Shape::Nexo);
        assert_eq!(event["topic"], "p.pairing.normalize_sender");
        assert_eq!(event["source"], "core.pairing");
        assert_eq!(event["session_id"], Value::Null);
        let inside = json!({"id": ID, "topic": "p.pairing.normalize_sender",
                            "reply_to": "_inbox.req.x", "payload": {"raw": "1"}});
        assert_eq!(event["payload"], inside);
        assert_eq!(event.as_object().unwrap().len(), 6);

        assert_eq!(sent_as(Shape::Plain), json!({"raw": "1"}));

        let both = sent_as(Shape::Both);
        assert_eq!(both["payload"], inside);
        assert_eq!(both["raw"], "1");
        assert_eq!(both.as_object().unwrap().len(), 7);
    }

    #[test]
    fn an_event_in_reply_to_a_plain_request_has_to_name_it() {
        let reply = |value: Value| plain_reply(&Bytes::from(value.to_string()), &ID);
        assert_eq!(reply(json!({"ok": true})).unwrap(), json!({"ok": true}));
        let event = |id: &str| json!({"payload": {"id": id, "payload": {"ok": true}}});
        assert_eq!(reply(event(&ID.to_string())).unwrap(), json!({"ok": true}));
        assert!(reply(event("00000000-0000-0000-0000-000000000008")).is_err());
        assert!(reply(json!({"payload": {"ok": true}})).is_err());
        assert!(plain_reply(&Bytes::from_static(b"nonsense"), &ID).is_err());
        let long = json!({"ok": true, "x": "x".repeat(MAX_REPLY_BYTES)}).to_string();
        let too_long = plain_reply(&Bytes::from(long), &ID);
        assert!(matches!(too_long, Err(CallError::Invalid("it is too long"))), "{too_long:?}");
    }

    #[test]
    fn only_the_requested_result_is_valid() {
        assert_eq!(normalized(&json!({"normalized": null})).unwrap(), None);
        assert_eq!(normalized(&json!({"normalized": "+1"})).unwrap().as_deref(), Some("+1"));
        for reply in [
            json!({"normalized": 1}),
            json!({"normalized": ["+1"]}),
            json!({"normalized": ""}),
            json!({"normalized": "a\nb"}),
            json!({"normalized": "x".repeat(257)}),
            json!({}),
            json!([]),
            json!("+1"),
            json!(null),
            json!({"stream": "EVENTS", "seq": 1}),
        ] {
            assert!(matches!(normalized(&reply), Err(CallError::Invalid(_))), "{reply}");
        }
        assert!(sent(&json!({"ok": true})).is_ok());
        assert!(matches!(sent(&json!({"ok": "true"})), Err(CallError::Invalid(_))));
        assert!(matches!(text(&json!({"text": "x".repeat(5000)})), Err(CallError::Invalid(_))));
        assert_eq!(text(&json!({"text": "Code: 1"})).unwrap(), "Code: 1");
    }

    #[test]
    fn the_reason_of_a_failure_is_truncated_and_escaped() {
        let reply = json!({"ok": false, "error": format!("a\u{1b}[2J\n{}", "x".repeat(1000))});
        let Err(CallError::Failed(error)) = sent(&reply) else { panic!() };
        assert!(error.starts_with("a\\u{1b}[2J\\nx") && error.len() < 250, "{error}");
        assert!(matches!(sent(&json!({"ok": false})), Err(CallError::Failed(_))));
        assert!(matches!(normalized(&json!({"error": "no"})), Err(CallError::Failed(_))));
    }
}
