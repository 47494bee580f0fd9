//! Generated lines of `gate` and events of Nexo: the result equals that of a reader that builds a
//! tree of the whole line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nexo_pairing_gate::InboundEvent;
use serde_json::{Map, Value, json};

/// What may be read of a line.
#[derive(Debug, PartialEq)]
enum Read {
    Message { ids: [String; 3], alt: Vec<String>, is_group: bool, meta: Value },
    /// The last one is whether it is about linking.
    Notice([String; 3], bool),
    Nothing(&'static str),
}

fuzz_target!(|input: &[u8]| {
    // The first byte selects how the others are used: the payload of an event, or the whole line.
    let Some((kind, bytes)) = input.split_first() else { return };
    let line = match kind {
        b'e' => [br#"{"topic":"plugin.inbound.telegram.bot","payload":"#, bytes, b"}"].concat(),
        _ => bytes.to_vec(),
    };
    let read = ours(&line);
    let Ok(tree) = serde_json::from_slice::<Value>(&line) else {
        return assert_eq!(read, Read::Nothing("invalid_json"));
    };
    let theirs = theirs(&tree);
    if let (Read::Nothing("no_sender" | "invalid_topic"), Read::Notice(..)) = (&read, &theirs) {
        // A tree keeps only the last of two fields of one name.
        return assert_eq!(ours(tree.to_string().as_bytes()), theirs);
    }
    assert_eq!(read, theirs);
});

fn ours(line: &[u8]) -> Read {
    match InboundEvent::parse(line) {
        Ok(InboundEvent::Message(message)) => Read::Message {
            ids: [message.channel, message.account, message.raw_sender],
            alt: message.alt,
            is_group: message.is_group,
            meta: message.meta,
        },
        Ok(InboundEvent::Notice { channel, account, kind, notice }) => {
            Read::Notice([channel, account, kind], notice.is_linking())
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            assert!(error.to_string().len() < 1024);
            Read::Nothing(error.kind())
        }
    }
}

/// The same by the tree.
fn theirs(tree: &Value) -> Read {
    read(tree).unwrap_or_else(Read::Nothing)
}

fn read(tree: &Value) -> Result<Read, &'static str> {
    let line = tree.as_object().ok_or("invalid_field")?;
    if !line.contains_key("topic") && !line.contains_key("payload") {
        let channel = text(line, "channel")?.ok_or("invalid_field")?;
        let account = text(line, "account")?.unwrap_or("default");
        let meta = line.get("meta").cloned().unwrap_or_default();
        return message(channel, account, line, meta)?.ok_or("no_sender");
    }
    let topic = text(line, "topic")?.ok_or("invalid_field")?;
    let words: Vec<&str> = topic.split('.').collect();
    let (channel, account, linking) = match words[..] {
        ["plugin", "inbound", channel] => (channel, "default", None),
        ["plugin", "inbound", channel, account] => (channel, account, None),
        ["plugin", "inbound", channel, account, "pairing", "qr"] => {
            (channel, account, Some("pairing.qr"))
        }
        ["plugin", "inbound", channel, account, "pairing", "state"] => {
            (channel, account, Some("pairing.state"))
        }
        _ => return Err("invalid_topic"),
    };
    if channel.is_empty() || account.is_empty() {
        return Err("invalid_topic");
    }
    let payload = line.get("payload").and_then(Value::as_object).ok_or("invalid_field")?;
    let names: Map<String, Value> = nexo_pairing_core::Inbound::DISPLAY_NAMES
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), json!(payload.get(name)?.as_str()?))))
        .collect();
    let names = if names.is_empty() { Value::Null } else { names.into() };
    let meta = payload.get("meta").cloned().unwrap_or(names);
    let message = message(channel, account, payload, meta)?;
    if let (Some(_), Some(_)) = (&message, linking) {
        return Err("invalid_topic");
    }
    if let Some(message) = message {
        return Ok(message);
    }
    let kind = match linking {
        Some(kind) => kind,
        None => text(payload, "kind")?.unwrap_or_default(),
    };
    let kinds = [
        "connected",
        "disconnected",
        "reconnecting",
        "qr",
        "pairing_success",
        "credentials_expired",
        "bridge_timeout",
        "chat_membership",
    ];
    let is_known = linking.is_some() || kinds.contains(&kind);
    let has_content = payload.iter().any(|(name, value)| {
        // Of meta data there may be any.
        let is_named = ["text", "caption", "body", "content", "message", "data", "url"]
            .contains(&name.as_str())
            || name.starts_with("media")
            || name.ends_with("_path")
            || name.ends_with("_url");
        name != "meta" && (value.is_array() || value.is_object() || is_named && !value.is_null())
    });
    if linking.is_some() && has_content {
        return Err("invalid_topic");
    }
    if is_known && !has_content {
        let names = [channel, account, kind].map(str::to_owned);
        return Ok(Read::Notice(names, linking.is_some()));
    }
    Err("no_sender")
}

fn message(
    channel: &str,
    account: &str,
    fields: &Map<String, Value>,
    meta: Value,
) -> Result<Option<Read>, &'static str> {
    let Some(sender) = text(fields, "from")? else { return Ok(None) };
    let is_group = match fields.get("is_group").unwrap_or(&Value::Null) {
        Value::Null => false,
        Value::Bool(is_group) => *is_group,
        _ => return Err("invalid_field"),
    };
    let alt = match fields.get("alt").unwrap_or(&Value::Null) {
        Value::Null => Vec::new(),
        Value::String(id) => vec![id.clone()],
        Value::Array(ids) => {
            let ids: Option<Vec<&str>> = ids.iter().map(Value::as_str).collect();
            ids.ok_or("invalid_field")?.into_iter().map(str::to_owned).collect()
        }
        _ => return Err("invalid_field"),
    };
    let ids = [channel, account, sender].map(str::to_owned);
    Ok(Some(Read::Message { ids, alt, is_group, meta }))
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, &'static str> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("invalid_field"),
    }
}
