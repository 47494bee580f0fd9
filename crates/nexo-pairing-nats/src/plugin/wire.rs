//! What is said to a plugin, and what is understood of its answers.

use bytes::Bytes;
use nexo_pairing_core::SenderId;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Shape;
use crate::Event;
use crate::answers::MAX_ANSWER_BYTES;

/// The longest text for a challenge, in characters.
const MAX_TEXT: usize = 4096;

/// A question that plugins are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    NormalizeSender,
    FormatChallengeText,
    SendReply,
    SendQrImage,
}

impl Question {
    pub(super) const ALL: [Self; 4] =
        [Self::NormalizeSender, Self::FormatChallengeText, Self::SendReply, Self::SendQrImage];

    /// The end of its subject.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NormalizeSender => "normalize_sender",
            Self::FormatChallengeText => "format_challenge_text",
            Self::SendReply => "send_reply",
            Self::SendQrImage => "send_qr_image",
        }
    }
}

/// The message that asks, in the shape that the plugin speaks.
pub(super) fn request(
    shape: Shape,
    subject: &str,
    id: Uuid,
    reply_to: &str,
    body: &Map<String, Value>,
) -> Vec<u8> {
    let mut message = match shape {
        Shape::Plain => Map::new(),
        Shape::Nexo | Shape::Both => {
            let payload =
                json!({"id": id, "topic": subject, "reply_to": reply_to, "payload": body});
            Event::new(subject, payload).into_map()
        }
    };
    if shape != Shape::Nexo {
        message.extend(body.clone());
    }
    // A map with names for keys is always JSON.
    serde_json::to_vec(&message).unwrap_or_default()
}

/// What a plugin answered to a plain request: the bare answer, or one of Nexo's events around it.
pub(super) fn plain_answer(bytes: &Bytes, id: &Uuid) -> Result<Value, &'static str> {
    if bytes.len() > MAX_ANSWER_BYTES {
        return Err("it is too long");
    }
    let mut answer: Value = serde_json::from_slice(bytes).map_err(|_| "it is no JSON")?;
    let Some(inside) = answer.get_mut("payload").filter(|inside| inside.is_object()) else {
        return Ok(answer);
    };
    let answered = inside["id"].as_str().and_then(|id| Uuid::try_parse(id).ok());
    if answered.as_ref() != Some(id) {
        return Err("it is the answer to another question");
    }
    Ok(inside["payload"].take())
}

/// Why an answer is no use.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// The plugin says that it failed.
    Failed(String),
    /// It is not what was asked for. Somebody else may have sent it.
    Invalid(&'static str),
}

/// `{"normalized": string|null}`
pub(super) fn normalized(answer: &Value) -> Result<Option<String>, Unusable> {
    match answer.get("normalized") {
        Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if SenderId::check(id).is_ok() => Ok(Some(id.clone())),
        Some(Value::String(_)) => Err(Unusable::Invalid("`normalized` is no id of a sender")),
        Some(_) => Err(Unusable::Invalid("`normalized` is neither a string nor null")),
        None => Err(failure(answer).unwrap_or(Unusable::Invalid("it has no `normalized`"))),
    }
}

/// `{"text": string}`
pub(super) fn text(answer: &Value) -> Result<String, Unusable> {
    match answer.get("text") {
        Some(Value::String(text)) if text.trim().is_empty() => {
            Err(Unusable::Invalid("`text` is empty"))
        }
        Some(Value::String(text)) if text.chars().count() > MAX_TEXT => {
            Err(Unusable::Invalid("`text` is too long"))
        }
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Unusable::Invalid("`text` is no string")),
        None => Err(failure(answer).unwrap_or(Unusable::Invalid("it has no `text`"))),
    }
}

/// `{"ok": bool, "error"?: string}`
pub(super) fn sent(answer: &Value) -> Result<(), Unusable> {
    match answer.get("ok") {
        Some(Value::Bool(true)) => Ok(()),
        Some(Value::Bool(false)) => {
            Err(failure(answer).unwrap_or(Unusable::Failed("it does not say why".to_owned())))
        }
        Some(_) => Err(Unusable::Invalid("`ok` is neither true nor false")),
        None => Err(failure(answer).unwrap_or(Unusable::Invalid("it has no `ok`"))),
    }
}

fn failure(answer: &Value) -> Option<Unusable> {
    let error = answer.get("error")?.as_str()?;
    // It ends in a log and on a terminal.
    let error: String = error.chars().take(200).collect();
    Some(Unusable::Failed(error.escape_debug().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    fn asked(shape: Shape) -> Value {
        let Value::Object(body) = json!({"raw": "1"}) else { panic!() };
        let bytes = request(shape, "p.pairing.normalize_sender", ID, "_inbox.req.x", &body);
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn one_message_is_both_shapes() {
        let event = asked(Shape::Nexo);
        assert_eq!(event["topic"], "p.pairing.normalize_sender");
        assert_eq!(event["source"], "core.pairing");
        assert_eq!(event["session_id"], Value::Null);
        let inside = json!({"id": ID, "topic": "p.pairing.normalize_sender",
                            "reply_to": "_inbox.req.x", "payload": {"raw": "1"}});
        assert_eq!(event["payload"], inside);
        assert_eq!(event.as_object().unwrap().len(), 6);

        assert_eq!(asked(Shape::Plain), json!({"raw": "1"}));

        let both = asked(Shape::Both);
        assert_eq!(both["payload"], inside);
        assert_eq!(both["raw"], "1");
        assert_eq!(both.as_object().unwrap().len(), 7);
    }

    #[test]
    fn an_event_that_answers_a_plain_request_has_to_name_it() {
        let answer = |value: Value| plain_answer(&Bytes::from(value.to_string()), &ID);
        assert_eq!(answer(json!({"ok": true})), Ok(json!({"ok": true})));
        let event = |id: &str| json!({"payload": {"id": id, "payload": {"ok": true}}});
        assert_eq!(answer(event(&ID.to_string())), Ok(json!({"ok": true})));
        assert!(answer(event("00000000-0000-0000-0000-000000000008")).is_err());
        assert!(answer(json!({"payload": {"ok": true}})).is_err());
        assert!(plain_answer(&Bytes::from_static(b"nonsense"), &ID).is_err());
        let long = json!({"ok": true, "x": "x".repeat(MAX_ANSWER_BYTES)}).to_string();
        assert_eq!(plain_answer(&Bytes::from(long), &ID), Err("it is too long"));
    }

    #[test]
    fn only_what_was_asked_for_is_an_answer() {
        assert_eq!(normalized(&json!({"normalized": null})), Ok(None));
        assert_eq!(normalized(&json!({"normalized": "+1"})), Ok(Some("+1".to_owned())));
        for answer in [
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
            assert!(matches!(normalized(&answer), Err(Unusable::Invalid(_))), "{answer}");
        }
        assert!(sent(&json!({"ok": true})).is_ok());
        assert!(matches!(sent(&json!({"ok": "true"})), Err(Unusable::Invalid(_))));
        assert!(matches!(text(&json!({"text": "x".repeat(5000)})), Err(Unusable::Invalid(_))));
        assert_eq!(text(&json!({"text": "Code: 1"})), Ok("Code: 1".to_owned()));
    }

    #[test]
    fn what_a_plugin_says_of_its_failure_is_cut_and_escaped() {
        let answer = json!({"ok": false, "error": format!("a\u{1b}[2J\n{}", "x".repeat(1000))});
        let Err(Unusable::Failed(error)) = sent(&answer) else { panic!() };
        assert!(error.starts_with("a\\u{1b}[2J\\nx") && error.len() < 250, "{error}");
        assert!(matches!(sent(&json!({"ok": false})), Err(Unusable::Failed(_))));
        assert!(matches!(normalized(&json!({"error": "no"})), Err(Unusable::Failed(_))));
    }
}
