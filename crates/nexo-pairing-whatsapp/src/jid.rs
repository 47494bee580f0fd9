//! Normalizes a WhatsApp sender id (a JID), or what an operator types, to a canonical id.
//!
//! A JID is `user@server`, where the user may carry an agent and a device: whatsmeow writes them
//! `user.agent:device`, Baileys `user_agent:device`.

use std::borrow::Cow;
use std::ops::RangeInclusive;

/// The digits of a phone number with its country code, by ITU-T E.164. No number in use has fewer
/// than 7.
const PHONE_DIGITS: RangeInclusive<usize> = 7..=15;

/// The digits of a linked id. WhatsApp's have 14 or 15 today; an unsigned 64-bit number has at most
/// 20.
const LID_DIGITS: RangeInclusive<usize> = 1..=20;

/// The prefix of a canonical linked id. The colon sets it apart from phone numbers.
const LID_PREFIX: &str = "lid:";

/// The maximum length of an input, in bytes. The longest valid JID has 41.
const MAX_BYTES: usize = 64;

/// The canonical id of `raw`: `+<digits>` for a phone number, `lid:<digits>` for a linked id.
pub(crate) fn canonical(raw: &str) -> Option<String> {
    if raw.len() > MAX_BYTES {
        return None;
    }
    match raw.split_once('@') {
        Some((user, "s.whatsapp.net" | "c.us")) => {
            let user = without_agent(without_device(user)?)?;
            phone(user.strip_prefix('+').unwrap_or(user))
        }
        Some((user, "lid")) => lid(without_device(user)?),
        Some(_) => None,
        None => match (raw.strip_prefix('+'), raw.strip_prefix(LID_PREFIX)) {
            (Some(number), _) => formatted_phone(number),
            (_, Some(digits)) => lid(digits),
            _ => phone(raw),
        },
    }
}

/// The address that WhatsApp's plugin takes for a canonical id.
pub(crate) fn address(canonical: &str) -> Cow<'_, str> {
    match canonical.strip_prefix(LID_PREFIX) {
        Some(digits) => Cow::Owned(format!("{digits}@lid")),
        None => Cow::Borrowed(canonical),
    }
}

fn without_device(user: &str) -> Option<&str> {
    match user.split_once(':') {
        Some((user, device)) => is_number(device, u16::MAX).then_some(user),
        None => Some(user),
    }
}

fn without_agent(user: &str) -> Option<&str> {
    match user.split_once(['.', '_']) {
        Some((user, agent)) => is_number(agent, u16::from(u8::MAX)).then_some(user),
        None => Some(user),
    }
}

/// Whether `text` is a decimal number up to `max`, without sign and leading zeros.
fn is_number(text: &str, max: u16) -> bool {
    let is_plain = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
    is_plain && text.parse::<u16>().is_ok_and(|number| number <= max)
}

fn phone(digits: &str) -> Option<String> {
    is_id(digits, PHONE_DIGITS).then(|| ["+", digits].concat())
}

fn lid(digits: &str) -> Option<String> {
    is_id(digits, LID_DIGITS).then(|| [LID_PREFIX, digits].concat())
}

/// Whether `text` has only digits, as many as `length` allows, and no leading 0: ids are numbers, so
/// `0123` would be a second spelling of `123`.
fn is_id(text: &str, length: RangeInclusive<usize>) -> bool {
    length.contains(&text.len())
        && !text.starts_with('0')
        && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Parses what follows the `+` of a number as people write it: it begins and ends with a digit and may
/// have spaces, hyphens, dots and digits in parentheses in between.
fn formatted_phone(number: &str) -> Option<String> {
    let mut digits = [0; *PHONE_DIGITS.end()];
    let mut count = 0;
    let mut is_open = false;
    let mut previous = b' ';
    for byte in number.bytes() {
        // Refuses `()`, `((` and the national `(0)`, which is not dialled from abroad.
        if previous == b'(' && !matches!(byte, b'1'..=b'9') {
            return None;
        }
        match byte {
            b'0'..=b'9' => {
                *digits.get_mut(count)? = byte;
                count += 1;
            }
            _ if count == 0 => return None,
            b' ' | b'-' | b'.' => {}
            b'(' if !is_open => is_open = true,
            b')' if is_open => is_open = false,
            _ => return None,
        }
        previous = byte;
    }
    let is_complete = !is_open && previous.is_ascii_digit();
    phone(str::from_utf8(&digits[..count]).ok()?).filter(|_| is_complete)
}

#[cfg(test)]
mod tests;
