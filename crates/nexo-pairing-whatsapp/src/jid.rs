//! Turns what WhatsApp calls a sender (a JID), or what an operator types, into one canonical id.
//!
//! A JID is `user@server`, where the user may carry an agent and a device: whatsmeow writes them
//! `user.agent:device`, Baileys `user_agent:device`.

use std::borrow::Cow;
use std::ops::RangeInclusive;

/// How many digits a phone number has, country code included, by ITU-T E.164; none is in use with
/// fewer than 7.
const PHONE_DIGITS: RangeInclusive<usize> = 7..=15;

/// How many digits a linked id has: WhatsApp's are of 14 or 15 today, an unsigned 64-bit number
/// has at most 20.
const LID_DIGITS: RangeInclusive<usize> = 1..=20;

/// What a linked id begins with when it is canonical. The colon keeps it apart from every number.
const LID_PREFIX: &str = "lid:";

/// The longest input that is looked at, in bytes. The longest JID that is taken has 41.
const MAX_BYTES: usize = 64;

/// The canonical id of `raw`: `+<digits>` of a phone number, `lid:<digits>` of a linked id.
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

/// The name by which WhatsApp's plugin reaches a canonical id.
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

/// Whether `text` is a decimal number up to `max`, written without sign and leading zeros.
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

/// Whether `text` is as many digits as `length` allows, the first of them not 0: both kinds of id
/// are numbers, so that `0123` would be a second name for `123`.
fn is_id(text: &str, length: RangeInclusive<usize>) -> bool {
    length.contains(&text.len())
        && !text.starts_with('0')
        && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads what follows the `+` of a number as people write it: begins and ends with a digit, with
/// spaces, hyphens, dots and digits in parentheses in between.
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
