//! The forms that a field of a notice may have.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The longest QR code drawn with blocks, in bytes: WhatsApp's has about 3000.
const MAX_BLOCKS_BYTES: usize = 16 << 10;

/// The longest PNG image, in bytes of base64: WhatsApp's code has about 2000.
const MAX_PNG_BYTES: usize = 64 << 10;

/// The start of a PNG image in base64: its signature and the head of its first chunk.
const PNG_START: &str = "iVBORw0KGgoAAAANSUhEUgAA";

/// The longest id, in bytes.
const MAX_ID_BYTES: usize = 64;

/// The servers of WhatsApp's ids.
const SERVERS: [&str; 7] =
    ["s.whatsapp.net", "c.us", "lid", "hosted", "hosted.lid", "g.us", "newsletter"];

/// The form of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// `true` or `false`.
    Bool,
    /// A whole number of 64 bits.
    Number,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A UUID with its hyphens.
    Uuid,
    /// A number of up to 20 digits, as Telegram writes ids, or WhatsApp's id of an account or a chat.
    Id,
    /// The user name of a bot on Telegram: 5 to 32 of `A-Za-z0-9_`, with `bot` at the end.
    BotName,
    /// A QR code drawn with blocks.
    Blocks,
    /// A PNG image in base64.
    Png,
    /// The id of a chat, or of the author of a change. What is not an [`Id`](Self::Id) is free text.
    Named,
    /// Free text: it passes only if one of those named is allowed.
    Text,
}

impl Form {
    /// Whether `value` has this form. Free text has none.
    pub(super) fn fits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Bool, Value::Bool(_)) => true,
            (Self::Number | Self::Id | Self::Named, Value::Number(number)) => {
                number.is_i64() || number.is_u64()
            }
            (Self::Word(words), Value::String(text)) => words.contains(&text.as_str()),
            (Self::Uuid, Value::String(text)) => is_uuid(text),
            (Self::Id | Self::Named, Value::String(text)) => is_id(text),
            (Self::BotName, Value::String(text)) => is_bot_name(text),
            (Self::Blocks, Value::String(text)) => is_drawn_with_blocks(text),
            (Self::Png, Value::String(text)) => is_png(text),
            _ => false,
        }
    }
}

/// The same time in one spelling; `None` if `text` is not a time stamp of RFC 3339.
pub(super) fn timestamp(text: &str) -> Option<String> {
    OffsetDateTime::parse(text, &Rfc3339).ok()?.format(&Rfc3339).ok()
}

pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_id(text: &str) -> bool {
    if text.len() > MAX_ID_BYTES {
        return false;
    }
    let (user, server) = match text.split_once('@') {
        Some((user, server)) => (user, Some(server)),
        None => (text, None),
    };
    let user = user.strip_prefix(['+', '-']).or(user.strip_prefix("lid:")).unwrap_or(user);
    // Groups, agents and devices add numbers of their own.
    let mut numbers = user.split(['-', '.', '_', ':']);
    let has_number = numbers.next().is_some_and(is_number);
    has_number
        && numbers.clone().count() <= 2
        && numbers.all(is_number)
        && server.is_none_or(|server| SERVERS.contains(&server))
}

fn is_number(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_bot_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (5..=32).contains(&text.len())
        && text.bytes().all(is_inner)
        && text.to_ascii_lowercase().ends_with("bot")
}

fn is_drawn_with_blocks(text: &str) -> bool {
    let is_block = |c| matches!(c, '\u{2580}' | '\u{2584}' | '\u{2588}' | ' ' | '\n');
    text.len() <= MAX_BLOCKS_BYTES && text.chars().all(is_block)
}

fn is_png(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let inner = text.strip_suffix("==").or(text.strip_suffix('=')).unwrap_or(text);
    text.len() <= MAX_PNG_BYTES
        && text.len().is_multiple_of(4)
        && text.starts_with(PNG_START)
        && inner.bytes().all(is_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(form: Form, fitting: &[Value], others: &[Value]) {
        for value in fitting {
            assert!(form.fits(value), "{form:?}: {value}");
        }
        for value in others.iter().chain(&[json!([]), json!({}), json!(null), json!("obey")]) {
            assert!(!form.fits(value), "{form:?}: {value}");
        }
    }

    #[test]
    fn each_form_accepts_only_its_values() {
        let large: Value = serde_json::from_str("[1e30, 18446744073709551616, -0, 1.0]").unwrap();
        check(Form::Bool, &[json!(true), json!(false)], &[json!(1), json!("true")]);
        check(
            Form::Number,
            &[json!(0), json!(i64::MIN), json!(u64::MAX)],
            large.as_array().unwrap(),
        );
        check(Form::Number, &[], &[json!("1"), json!(true)]);
        check(Form::Word(&["left"]), &[json!("left")], &[json!("Left"), json!("left "), json!("")]);
        let uuid = "a8d42934-33e7-48a0-a81f-9b0cbf4e7af6";
        let plain = uuid.replace('-', "");
        check(
            Form::Uuid,
            &[json!(uuid)],
            &[json!(plain), json!(uuid.replace('a', "g")), json!("")],
        );
        let bots = [json!("cody_nexo_bot"), json!("aaBOT")];
        check(Form::BotName, &bots, &[json!("bot"), json!("cody nexo bot"), json!("cody_nexo")]);
        check(
            Form::BotName,
            &[],
            &[json!(format!("{}bot", "a".repeat(30))), json!("\u{ff42}ot12bot")],
        );
        let blocks = json!("\u{2588}\u{2580}\u{2584} \n");
        check(Form::Blocks, &[blocks, json!("")], &[json!(" ".repeat(MAX_BLOCKS_BYTES + 1))]);
    }

    #[test]
    fn ids_are_numbers_with_the_parts_that_whatsapp_adds() {
        let ids = [
            "5491150001111@s.whatsapp.net",
            "5491150001111:12@s.whatsapp.net",
            "5491150001111.0:12@s.whatsapp.net",
            "5491150001111_1:2@c.us",
            "123456789012345@lid",
            "123456789012345:99@hosted.lid",
            "120363025246125486@g.us",
            "5491155557777-1415550100@g.us",
            "lid:123456789012345",
            "+5491150001111",
            "-1001234567890",
            "1194292426",
        ];
        let others = [
            "",
            "@",
            "ana",
            "ana@s.whatsapp.net",
            "1@example.org",
            "1@",
            "1@c.us@c.us",
            "1:obey@c.us",
            "+-1",
            "1:2:3:4",
            "1 2",
            "1\n",
            "1\u{0}",
            "\u{661}",
            "123456789012345678901",
            &"1".repeat(65),
        ];
        check(Form::Id, &ids.map(Value::from), &others.map(Value::from));
        check(Form::Id, &[json!(7_000_000_001_u64), json!(-1)], &[json!(1.5)]);
    }

    #[test]
    fn images_are_base64_with_the_start_of_a_png() {
        let image = format!(
            "{PNG_START}AAEAAAABAQAAAAA3bvkkAAAACklEQVR4AWNgAAAAAgABc3UBGAAAAABJRU5ErkJggg=="
        );
        let spaced = image.replace("AAEA", "A EA");
        let long = format!("{PNG_START}{}", "A".repeat(MAX_PNG_BYTES));
        let others = [image[4..].to_owned(), image[..image.len() - 1].to_owned(), spaced, long];
        check(Form::Png, &[json!(image)], &others.map(Value::from));
    }

    #[test]
    fn a_time_stamp_is_rewritten() {
        let same = "2026-03-01T09:15:00.123456789Z";
        assert_eq!(timestamp(same).as_deref(), Some(same));
        assert_eq!(timestamp("2026-03-01t09:15:00z").as_deref(), Some("2026-03-01T09:15:00Z"));
        for wrong in ["", "now", "2026-03-01", "2026-13-01T09:15:00Z", "2026-03-01T09:15:00Z obey"]
        {
            assert_eq!(timestamp(wrong), None, "{wrong}");
        }
    }
}
