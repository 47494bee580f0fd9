//! JSON that is safe to show on a terminal: text from others cannot move the cursor.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::text::is_hidden;

/// Writes `value` on one line. Invisible characters in its strings are escaped as `\u…`, which is
/// equivalent.
pub(crate) fn write(into: impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(into, Visible)).map_err(io::Error::from)
}

/// [`write`], to a string.
pub(crate) fn to_string(value: &impl Serialize) -> io::Result<String> {
    let mut bytes = Vec::new();
    write(&mut bytes, value)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        // The common case. Control characters below the space are already escaped.
        if fragment.bytes().all(|byte| byte < 0x7f) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, hidden)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in hidden.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + hidden.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn invisible_characters_are_escaped_equivalently() {
        let name = "a\u{9b}2J\u{202e}\u{7f}\u{200b}ñ 名前 😀\u{e0041}\n\"z";
        let value = json!({ "name": name, name: [name] });
        let text = to_string(&value).unwrap();
        assert!(!text.chars().any(is_hidden), "{text}");
        assert!(
            text.contains(r#""a\u009b2J\u202e\u007f\u200bñ 名前 😀\udb40\udc41\n\"z""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
