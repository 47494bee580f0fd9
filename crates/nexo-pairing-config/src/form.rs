//! Which texts a key allows.

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

/// Whether requests to a plugin may be published below this subject: not where the gate itself reads and
/// writes, since a request there would come back as a message.
pub(crate) fn is_plugin_prefix(text: &str) -> bool {
    let mut tokens = text.split('.');
    let is_reserved = match (tokens.next(), tokens.next()) {
        (Some("plugin"), Some("inbound" | "outbound")) | (Some("pairing"), _) => true,
        (Some(first), _) => first.eq_ignore_ascii_case("_inbox"),
        (None, _) => true,
    };
    is_subject(text) && !is_reserved
}

fn is_subject(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    text.len() <= 128
        && text.split('.').all(|token| !token.is_empty() && token.chars().all(is_inner))
}

pub(crate) fn is_nats_server(text: &str) -> bool {
    let address = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://"));
    let is_invalid = |c: char| c.is_whitespace() || c.is_control() || "@/?#\\".contains(c);
    address.is_some_and(|it| (1..=300).contains(&it.len()) && !it.contains(is_invalid))
}

pub(crate) fn is_nats_user(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.contains(char::is_control)
}

pub(crate) fn is_challenge(text: &str) -> bool {
    let options = PolicyOptions::default().with_challenge_text(text);
    PairingPolicy::default().with(&options).is_ok()
}
