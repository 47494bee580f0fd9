//! The names of session files: one for each device label and gateway, never a path.

use data_encoding::HEXLOWER;
use nexo_pairing_core::limits::MAX_LABEL_BYTES;
use nexo_pairing_core::text::is_hidden;
use ring::digest::{SHA256, digest};

use crate::Gateway;

/// The name for a device without a label, as in 0.1.8.
const NO_LABEL: &str = "default";

/// The longest parts of a file name, in bytes: of a label, as long as the longest label, and of a gateway.
/// File systems allow 255 bytes for `label@gateway.token`.
const MAX_LABEL_PART: usize = MAX_LABEL_BYTES;
const MAX_GATEWAY_PART: usize = 120;

/// The name of the file for a device at a gateway.
pub(super) fn of(gateway: &Gateway, label: Option<&str>) -> String {
    let label = label.map_or(NO_LABEL.into(), label_part);
    format!("{label}@{}.token", gateway_part(gateway))
}

/// The part of the file name for a label, different for each label: letters, digits, `-` and `_` are
/// unchanged.
fn label_part(label: &str) -> String {
    let part = encoded(label, |c| matches!(c, '-' | '_') || c.is_alphanumeric() && !is_hidden(c));
    bounded(part, MAX_LABEL_PART)
}

/// The part of the file name for a gateway, different for each gateway: `host_port`, and the path unless it
/// is the root.
fn gateway_part(gateway: &Gateway) -> String {
    let is_plain = |c: char| matches!(c, '-' | '.') || c.is_ascii_alphanumeric();
    let base = gateway.base_path().trim_start_matches('/');
    let host = encoded(&gateway.host.to_ascii_lowercase(), is_plain);
    let mut part = format!("{host}_{}", gateway.port);
    if !base.is_empty() {
        part = format!("{part}_{}", encoded(base, is_plain));
    }
    bounded(part, MAX_GATEWAY_PART)
}

/// The text with `%XX` for each byte of all other characters.
fn encoded(text: &str, is_plain: impl Fn(char) -> bool) -> String {
    let mut part = String::new();
    for c in text.chars() {
        if is_plain(c) {
            part.push(c);
        } else {
            let mut bytes = [0; 4];
            part.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    part
}

/// The part or, if it is too long, its beginning and a hash of the whole.
fn bounded(mut part: String, max: usize) -> String {
    if part.len() > max {
        let hash = digest(&SHA256, part.as_bytes());
        let hash = HEXLOWER.encode(&hash.as_ref()[..16]);
        part.truncate(part.floor_char_boundary(max - 1 - hash.len()));
        part = format!("{part}~{hash}");
    }
    part
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_label_gives_a_name_without_a_path() {
        for (label, name) in [
            ("myphone-1", "myphone-1"),
            ("Ana's iPhone", "Ana%27s%20iPhone"),
            ("../../etc/passwd", "%2E%2E%2F%2E%2E%2Fetc%2Fpasswd"),
            (".", "%2E"),
            ("Teléfono Ñandú", "Teléfono%20Ñandú"),
            ("电话", "电话"),
            ("a\u{3164}b", "a%E3%85%A4b"),
            ("100%", "100%25"),
        ] {
            assert_eq!(label_part(label), name);
        }
    }

    #[test]
    fn two_labels_never_share_a_name() {
        let labels = [
            "a b",
            "a_b",
            "a%20b",
            "a%b",
            "a/b",
            "A b",
            "a\u{301}",
            "\u{e1}",
            "a~b",
            "default",
            "%64efault",
        ];
        let long =
            [" ".repeat(128), format!("{}!", " ".repeat(127)), "ñ".repeat(64), "😀".repeat(32)];
        let labels: Vec<&str> = labels.into_iter().chain(long.iter().map(String::as_str)).collect();
        let names: HashSet<String> = labels.iter().map(|label| label_part(label)).collect();
        assert_eq!(names.len(), labels.len());
        assert!(
            names.iter().all(|name| name.len() <= MAX_LABEL_PART && !name.contains(['/', '.']))
        );
        // A truncated name has a `~`, which no whole one has.
        assert_eq!(names.iter().filter(|name| name.contains('~')).count(), 3);
    }

    #[test]
    fn each_gateway_has_a_name_of_its_own() {
        for (url, part) in [
            ("wss://nexo.example.com/pair", "nexo.example.com_443"),
            ("https://NEXO.example.com:443/pair", "nexo.example.com_443"),
            ("ws://nexo.example.com/pair", "nexo.example.com_80"),
            ("ws://127.0.0.1:7780/pair", "127.0.0.1_7780"),
            ("ws://[fd00::1]:7780/pair", "fd00%3A%3A1_7780"),
            ("wss://example.com/ana/pair", "example.com_443_ana"),
            ("wss://example.com/bob/x/pair", "example.com_443_bob%2Fx"),
            ("wss://example.com/_443/pair", "example.com_443_%5F443"),
            ("wss://a_b.example.com/pair", "a%5Fb.example.com_443"),
        ] {
            assert_eq!(gateway_part(&Gateway::parse(url).unwrap()), part, "{url}");
        }
        let long = format!("wss://example.com/{}/pair", "x".repeat(300));
        let part = gateway_part(&Gateway::parse(&long).unwrap());
        assert!(part.len() <= MAX_GATEWAY_PART && part.contains('~'), "{part}");
    }
}
