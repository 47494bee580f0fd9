//! Moments as people write them: `2027-01-31`, `2027-01-31T08:00:00Z`, or an age such as `2d`.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::duration;

const EXPECTED: &str = "write a date such as 2027-01-31 (its beginning in UTC), a time such as \
                        2027-01-31T08:00:00Z, or an age such as 90s, 15m, 12h, 7d or 2w";

/// Reads a moment; an age counts back from `now`.
pub(crate) fn parse(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    let text = text.trim();
    if let Ok(age) = duration::parse(text) {
        return now.checked_sub(age.try_into().map_err(|_| EXPECTED)?).ok_or(EXPECTED.to_owned());
    }
    let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339);
    time(text).or_else(|_| time(&format!("{text}T00:00:00Z"))).map_err(|_| EXPECTED.to_owned())
}

/// [`parse`], for an argument.
pub(crate) fn parse_now(text: &str) -> Result<OffsetDateTime, String> {
    parse(text, OffsetDateTime::now_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<i64, String> {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).map_err(|e| e.to_string())?;
        parse(text, now).map(OffsetDateTime::unix_timestamp)
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
    fn everything_else_is_refused() {
        for text in
            ["", "yesterday", "2027", "2027-1-5", "2027-02-30", "2027-01-15T08:00", "-2d", "0s"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
