//! Times in the form of 0.1.8: RFC 3339 in UTC with `Z`, and nothing else.

use serde::{Serialize, Serializer, ser};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// For `serde(with)`.
pub(super) fn serialize<S: Serializer>(at: &OffsetDateTime, to: S) -> Result<S::Ok, S::Error> {
    match format(*at) {
        Some(text) => text.serialize(to),
        None => Err(ser::Error::custom("a time outside the years 1 to 9999")),
    }
}

/// `2026-11-23T00:10:49Z`; a fraction has 3, 6 or 9 digits, as few as it needs. `None` outside the
/// years 1 to 9999.
pub(super) fn format(at: OffsetDateTime) -> Option<String> {
    let at = at.checked_to_offset(UtcOffset::UTC).filter(has_year)?;
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, nano) = at.to_hms_nano();
    let fraction = match nano {
        0 => String::new(),
        _ if nano % 1_000_000 == 0 => format!(".{:03}", nano / 1_000_000),
        _ if nano % 1_000 == 0 => format!(".{:06}", nano / 1_000),
        _ => format!(".{nano:09}"),
    };
    let month = u8::from(month);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
}

/// Parses a time of this form; a fraction may have 1 to 9 digits.
pub(super) fn parse(text: &str) -> Option<OffsetDateTime> {
    // The parser, like RFC 3339, accepts more: other separators, offsets, leap seconds.
    const SHAPE: &[u8; 19] = b"0000-00-00T00:00:00";
    let (seconds, fraction) = text.strip_suffix('Z')?.as_bytes().split_at_checked(SHAPE.len())?;
    let fits = |(&byte, &shape): (&u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        _ => byte == shape,
    };
    let has_shape = seconds.iter().zip(SHAPE).all(fits) && !seconds.ends_with(b"60");
    let has_fraction = match fraction {
        [] => true,
        [b'.', digits @ ..] => {
            (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    let parsed = (has_shape && has_fraction).then(|| OffsetDateTime::parse(text, &Rfc3339).ok())?;
    parsed.filter(has_year)
}

/// The years of RFC 3339 without the year 0, which few calendars have.
fn has_year(at: &OffsetDateTime) -> bool {
    (1..=9999).contains(&at.year())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fractions_have_as_many_digits_as_chrono_gives_them() {
        for (nanoseconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (500_000_000, "1970-01-01T00:00:00.500Z"),
            (129_613_000, "1970-01-01T00:00:00.129613Z"),
            (129_613_444, "1970-01-01T00:00:00.129613444Z"),
            (1, "1970-01-01T00:00:00.000000001Z"),
        ] {
            let at = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap();
            assert_eq!(format(at).unwrap(), text);
            let elsewhere = at.to_offset(UtcOffset::from_hms(2, 0, 0).unwrap());
            assert_eq!(format(elsewhere).unwrap(), text);
        }
    }

    #[test]
    fn only_utc_with_a_z_is_accepted() {
        assert!(parse("2096-11-05T00:10:48.1Z").is_some());
        for text in [
            "",
            "Z",
            "2096-11-05T00:10:48",
            "2096-11-05T00:10:48z",
            "2096-11-05t00:10:48Z",
            "2096-11-05 00:10:48Z",
            "2096-11-05T00:10:48+00:00",
            "2096-11-05T00:10:48.Z",
            "2096-11-05T00:10:48.1234567890Z",
            "2096-11-05T00:10:48,5Z",
            "2096-11-05T00:10:48ZZ",
            "0000-12-31T23:59:59Z",
            "2096-13-05T00:10:48Z",
            "2095-02-29T00:10:48Z",
            "2096-11-05T24:00:00Z",
            "2016-12-31T23:59:60Z",
            "+12096-11-05T00:10:48Z",
            " 2096-11-05T00:10:48Z",
            "2096-11-05T00:10:4\u{0664}Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_formatted_time_parses_back(
            seconds in -62_135_596_800_i64..253_402_300_800, nanoseconds in 0_i128..1_000_000_000,
        ) {
            let nanoseconds = i128::from(seconds) * 1_000_000_000 + nanoseconds;
            let at = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap();
            prop_assert_eq!(parse(&format(at).unwrap()), Some(at));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
