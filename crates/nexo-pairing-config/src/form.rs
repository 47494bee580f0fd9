//! Which texts a key takes.

use std::net::IpAddr;

use nexo_pairing_core::{PairingPolicy, PolicyOptions, limits};
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};

/// Whether `T` can be read from `text`.
pub(crate) fn reads<T: DeserializeOwned>(text: &str) -> bool {
    T::deserialize(StrDeserializer::<Error>::new(text)).is_ok()
}

pub(crate) fn is_url(text: &str) -> bool {
    limits::PUBLIC_URL_BYTES.contains(&text.len()) && !text.contains(char::is_control)
}

pub(crate) fn is_host(text: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=limits::MAX_HOST_BYTES).contains(&text.len()) && text.chars().all(is_name)
        || text.parse::<IpAddr>().is_ok()
}

/// Whether a plugin may be asked below this subject. What the gate itself reads and writes is none of
/// a plugin's: a question there would come back as a message.
pub(crate) fn is_plugin_prefix(text: &str) -> bool {
    let mut words = text.split('.');
    let is_ours = match (words.next(), words.next()) {
        (Some("plugin"), Some("inbound" | "outbound")) | (Some("pairing"), _) => true,
        (Some(first), _) => first.eq_ignore_ascii_case("_inbox"),
        (None, _) => true,
    };
    is_subject(text) && !is_ours
}

fn is_subject(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    text.len() <= 128 && text.split('.').all(|word| !word.is_empty() && word.chars().all(is_inner))
}

pub(crate) fn is_nats_server(text: &str) -> bool {
    let place = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://"));
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "@/?#\\".contains(c);
    place.is_some_and(|place| (1..=300).contains(&place.len()) && !place.contains(is_odd))
}

pub(crate) fn is_nats_user(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.contains(char::is_control)
}

pub(crate) fn is_challenge(text: &str) -> bool {
    let options = PolicyOptions::default().with_challenge_text(text);
    PairingPolicy::default().with(&options).is_ok()
}
