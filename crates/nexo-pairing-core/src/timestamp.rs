//! Formats times for errors and the audit log.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A time in RFC 3339, in UTC, with a fraction if it has one: `2026-01-31T09:05:00Z`. Years beyond 9999
/// have no such form; they yield the seconds since 1970.
///
/// ```
/// use nexo_pairing_core::timestamp::rfc3339;
/// use time::OffsetDateTime;
///
/// assert_eq!(rfc3339(OffsetDateTime::UNIX_EPOCH), "1970-01-01T00:00:00Z");
/// ```
#[must_use]
pub fn rfc3339(at: OffsetDateTime) -> String {
    let utc = at.checked_to_offset(UtcOffset::UTC).and_then(|at| at.format(&Rfc3339).ok());
    utc.unwrap_or_else(|| at.unix_timestamp().to_string())
}

/// [`rfc3339`] in whole seconds, for people.
#[must_use]
pub fn rfc3339_seconds(at: OffsetDateTime) -> String {
    rfc3339(at.truncate_to_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_800_000_000_123_000_000).unwrap();
        let at = at.to_offset(UtcOffset::from_hms(-3, 0, 0).unwrap());
        assert_eq!(rfc3339(at), "2027-01-15T08:00:00.123Z");
        assert_eq!(rfc3339_seconds(at), "2027-01-15T08:00:00Z");
    }

    #[test]
    fn a_time_without_such_a_form_is_a_number() {
        let last = OffsetDateTime::from_unix_timestamp(253_402_300_799).unwrap();
        assert_eq!(rfc3339(last), "9999-12-31T23:59:59Z");
        let beyond = last.replace_offset(UtcOffset::from_hms(-1, 0, 0).unwrap());
        assert_eq!(rfc3339(beyond), "253402304399");
    }
}
