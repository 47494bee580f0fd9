//! Parses times: durations such as `90s`, `15m` or `7d`, and moments such as `2027-01-31`,
//! `2027-01-31T08:00:00Z` or an age.

use std::time::Duration;

use nexo_pairing::limits::GRANT_TTL;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Result;

/// The format of `--for`.
const EXPECTED_DURATION: &str =
    "write a whole number and s, m, h, d or w, such as 90s, 15m, 12h, 7d or 2w";

/// The longest duration, in days.
pub(crate) const MAX_DAYS: u64 = GRANT_TTL.end().as_secs() / 86_400;

/// Parses a duration within [`GRANT_TTL`].
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match text[digits.len()..].trim_start() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(EXPECTED_DURATION.to_owned()),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(EXPECTED_DURATION.to_owned());
    }
    // A number that overflows is too long as well.
    let secs = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match secs.map(Duration::from_secs) {
        Some(Duration::ZERO) => Err("the minimum is 1s".to_owned()),
        Some(duration) if duration <= *GRANT_TTL.end() => Ok(duration),
        _ => Err(format!("the maximum is {} years, which is {MAX_DAYS}d", MAX_DAYS / 365)),
    }
}

/// The format of `--since` and `--until`.
const EXPECTED_TIME: &str = "write a date such as 2027-01-31 (midnight UTC), a time such as \
                             2027-01-31T08:00:00Z, or an age such as 90s, 15m, 12h, 7d or 2w";

/// Parses a moment; an age counts back from `now`.
fn parse_time(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    let text = text.trim();
    if let Ok(age) = parse_duration(text) {
        return now
            .checked_sub(age.try_into().map_err(|_| EXPECTED_TIME)?)
            .ok_or(EXPECTED_TIME.to_owned());
    }
    let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339);
    time(text).or_else(|_| time(&format!("{text}T00:00:00Z"))).map_err(|_| EXPECTED_TIME.to_owned())
}

/// [`parse_time`], for an argument.
pub(crate) fn parse_time_now(text: &str) -> Result<OffsetDateTime, String> {
    parse_time(text, OffsetDateTime::now_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_accepted() {
        for (text, secs) in [
            ("90s", 90),
            ("15m", 900),
            ("12h", 43_200),
            ("7d", 604_800),
            ("2w", 1_209_600),
            ("1 d", 86_400),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(secs)), "{text}");
        }
        assert_eq!(parse_duration("3650d"), Ok(*GRANT_TTL.end()));
    }

    #[test]
    fn other_text_is_not_a_duration() {
        for text in [
            "",
            "s",
            "7",
            "7y",
            "7 days",
            "-7d",
            "+7d",
            "1.5h",
            "7dd",
            "7d7d",
            "0s",
            "000w",
            "3651d",
            "99999999999999999999d",
            "18446744073709551615w",
            "٧d",
            "7\u{a0}d\u{301}",
            "∞",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    fn read(text: &str) -> Result<i64, String> {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).map_err(|e| e.to_string())?;
        parse_time(text, now).map(OffsetDateTime::unix_timestamp)
    }

    #[test]
    fn dates_times_and_ages_are_moments() {
        for (text, at) in [
            ("2027-01-15", 1_799_971_200),
            ("2027-01-15T08:00:00Z", 1_800_000_000),
            (" 2027-01-15T05:00:00-03:00 ", 1_800_000_000),
            ("90s", 1_799_999_910),
            ("2d", 1_799_827_200),
        ] {
            assert_eq!(read(text), Ok(at), "{text}");
        }
    }

    #[test]
    fn other_text_is_not_a_moment() {
        for text in
            ["", "yesterday", "2027", "2027-1-5", "2027-02-30", "2027-01-15T08:00", "-2d", "0s"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
