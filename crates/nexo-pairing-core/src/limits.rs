//! The bounds and defaults that several places share: the libraries, the configuration, errors, `--help`
//! and the documents.
//!
//! A number is changed here and nowhere else. What only one module needs, such as the length of a queue,
//! stays in that module.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A minimum, a maximum and a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds<T> {
    /// The minimum.
    pub min: T,
    /// The maximum.
    pub max: T,
    /// The default.
    pub default: T,
}

impl<T: Copy> Bounds<T> {
    /// Bounds with a default.
    #[must_use]
    pub const fn new(min: T, max: T, default: T) -> Self {
        Self { min, max, default }
    }
}

impl<T: PartialOrd> Bounds<T> {
    /// Whether `value` is within the bounds.
    ///
    /// ```
    /// use nexo_pairing_core::limits::SETUP_CODE_TTL;
    ///
    /// assert!(SETUP_CODE_TTL.contains(&SETUP_CODE_TTL.default));
    /// assert!(!SETUP_CODE_TTL.contains(&std::time::Duration::ZERO));
    /// ```
    pub fn contains(&self, value: &T) -> bool {
        (&self.min..=&self.max).contains(&value)
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

// Requests.

/// The number of live requests on an account. An operator can review a few; the more there are, the
/// likelier a guessed code is one of them.
pub const MAX_PENDING: Bounds<u32> = Bounds { min: 1, max: 1000, default: 3 };

/// The default maximum of live requests on all accounts together. They take about 2 MB on disk and,
/// in a gate, about 20 MB of memory if each is on its own account.
pub const MAX_PENDING_TOTAL: u32 = 4096;

/// The lifetime of a pairing code: long enough for an operator to notice it, short enough that codes do
/// not pile up.
pub const PENDING_TTL: Bounds<Duration> =
    Bounds { min: Duration::from_secs(60), max: DAY, default: Duration::from_secs(60 * 60) };

/// The minimum time between two challenges to the same sender. Its minimum keeps a bot that answers
/// itself from flooding a chat.
pub const CHALLENGE_COOLDOWN: Bounds<Duration> =
    Bounds { min: Duration::from_secs(10), max: DAY, default: Duration::from_secs(5 * 60) };

/// The length of a configured challenge text, in bytes. No channel accepts much longer messages.
pub const CHALLENGE_TEXT_BYTES: RangeInclusive<usize> = 1..=1000;

/// The form of a challenge text, for errors: see [`CHALLENGE_TEXT_BYTES`].
pub const CHALLENGE_TEXT_FORM: &str = "1 to 1000 bytes with `{code}` or `{command}` in it";

/// The maximum length of a raw sender id that is passed to an adapter, in bytes.
pub const MAX_RAW_ID_BYTES: usize = 1024;

/// The maximum size of an event that a gate reads from a pipe, without its newline, or a bus, in bytes.
/// Longer ones are rejected.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// The maximum number of other ids of a sender. Channels name one or two.
pub const MAX_OTHER_IDS: usize = 8;

/// The maximum size of metadata stored with a request, in bytes of JSON. Longer metadata is left out.
pub const MAX_META_BYTES: usize = 4096;

/// The maximum age of a gate's copy of a store that cannot be read. Beyond that, nothing is decided.
pub const MAX_STALENESS: Duration = Duration::from_secs(5);

/// How far ahead of the clock a timestamp may be without counting as future: the difference to expect
/// between synchronized clocks.
pub const TIMESTAMP_LEEWAY: Duration = Duration::from_secs(5);

/// How long a plugin's answer about an id is cached. With the default, a plugin is asked about the same
/// id once an hour.
pub const ID_CACHE_TTL: Bounds<Duration> =
    Bounds { min: Duration::from_secs(1), max: DAY, default: Duration::from_secs(60 * 60) };

// Operators.

/// The lifetime of a grant that expires.
pub const GRANT_TTL: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(10 * 365 * DAY.as_secs());

/// [`GRANT_TTL`], for errors.
pub const GRANT_TTL_FORM: &str = "at least a second, at most ten years";

/// The maximum length of a note, in bytes.
pub const MAX_NOTE_BYTES: usize = 500;

/// The form of a note, for errors: see [`MAX_NOTE_BYTES`].
pub const NOTE_FORM: &str = "at most 500 bytes, no control characters";

/// The retention of the audit log in days, up to a hundred years.
pub const AUDIT_DAYS: Bounds<u32> = Bounds { min: 1, max: 36_500, default: 365 };

/// The maximum number of accounts with remembered modes. All of them are read at every start.
pub const MAX_KNOWN_ACCOUNTS: usize = 10_000;

/// The maximum number of remembered channels with an adapter in another process.
pub const MAX_REMOTE_CHANNELS: usize = 1000;

// Setup codes.

/// The lifetime of a setup code: it is scanned at once, or carried to another room.
pub const SETUP_CODE_TTL: Bounds<Duration> =
    Bounds { min: Duration::from_secs(1), max: DAY, default: Duration::from_secs(60) };

/// The maximum length of a device label, in bytes of UTF-8.
pub const MAX_LABEL_BYTES: usize = 128;

/// The form of a device label, for errors: see [`MAX_LABEL_BYTES`].
pub const LABEL_FORM: &str = "1 to 128 bytes, no control characters";

/// [`LABEL_FORM`] after "must".
pub(crate) const LABEL_RULE: &str = "have 1 to 128 bytes and no control characters";

/// The maximum length of a profile, in bytes.
pub const MAX_PROFILE_BYTES: usize = 64;

/// The form of a profile, for errors: see [`MAX_PROFILE_BYTES`].
pub const PROFILE_FORM: &str = "[a-z0-9][a-z0-9._-]{0,63}";

/// [`PROFILE_FORM`] after "must".
pub(crate) const PROFILE_RULE: &str = "be of the form [a-z0-9][a-z0-9._-]{0,63}";

/// The maximum length of a URL in a setup code, in bytes.
pub const MAX_URL_BYTES: usize = 1024;

/// The maximum length of a bootstrap token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 2048;

/// The maximum length of a setup code's payload, in bytes, with surrounding white space.
pub const MAX_PAYLOAD_BYTES: usize = 4096;

/// How long after its expiry a companion still tries a setup code, as its own clock may be wrong. The
/// server decides by its clock, without leeway.
pub const SETUP_CODE_LEEWAY: Duration = Duration::from_secs(30);

/// The length of a configured public URL, in bytes: more than a setup code takes, so that the error can
/// name the part that is too long.
pub const PUBLIC_URL_BYTES: RangeInclusive<usize> = 1..=2048;

/// The form of a public URL, for errors: see [`PUBLIC_URL_BYTES`].
pub const PUBLIC_URL_FORM: &str = "a URL of 1 to 2048 bytes";

/// The maximum length of a host name in the DNS, in bytes.
pub const MAX_HOST_BYTES: usize = 253;

// Sessions.

/// The lifetime of a session, and of its extension by a renewal.
pub const SESSION_TTL: Bounds<Duration> = Bounds {
    min: Duration::from_secs(1),
    max: Duration::from_secs(365 * DAY.as_secs()),
    default: DAY,
};

/// [`SESSION_TTL`], for errors.
pub const SESSION_TTL_FORM: &str = "at least a second, at most 365 days";

/// The lifetime of a session, as it can be configured: below a minute, companions would renew
/// constantly.
pub const CONFIGURED_SESSION_TTL: Bounds<Duration> =
    Bounds { min: Duration::from_secs(60), ..SESSION_TTL };

/// How long after its beginning a session can be renewed. Zero disables renewal.
pub const SESSION_RENEWAL: Bounds<Duration> = Bounds {
    min: Duration::ZERO,
    max: SESSION_TTL.max,
    default: Duration::from_secs(30 * DAY.as_secs()),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_within_their_bounds() {
        for bounds in [
            PENDING_TTL,
            CHALLENGE_COOLDOWN,
            ID_CACHE_TTL,
            SETUP_CODE_TTL,
            SESSION_TTL,
            CONFIGURED_SESSION_TTL,
            SESSION_RENEWAL,
        ] {
            assert!(bounds.contains(&bounds.default), "{bounds:?}");
            assert!(bounds.contains(&bounds.min) && bounds.contains(&bounds.max), "{bounds:?}");
            assert!(!bounds.contains(&(bounds.max + Duration::from_nanos(1))), "{bounds:?}");
        }
        for bounds in [MAX_PENDING, AUDIT_DAYS] {
            assert!(bounds.contains(&bounds.default), "{bounds:?}");
            assert!(!bounds.contains(&(bounds.min - 1)) && !bounds.contains(&(bounds.max + 1)));
        }
    }

    #[test]
    fn forms_contain_the_numbers() {
        assert!(NOTE_FORM.contains(&format!("at most {MAX_NOTE_BYTES} bytes")));
        for (text, bytes) in
            [(CHALLENGE_TEXT_FORM, CHALLENGE_TEXT_BYTES), (PUBLIC_URL_FORM, PUBLIC_URL_BYTES)]
        {
            assert!(
                text.contains(&format!("{} to {} bytes", bytes.start(), bytes.end())),
                "{text}"
            );
        }
        for text in [LABEL_FORM, LABEL_RULE] {
            assert!(text.contains(&format!("1 to {MAX_LABEL_BYTES} bytes")), "{text}");
        }
        for text in [PROFILE_FORM, PROFILE_RULE] {
            assert!(text.ends_with(&format!("{{0,{}}}", MAX_PROFILE_BYTES - 1)), "{text}");
        }
        assert_eq!(*GRANT_TTL.start(), Duration::from_secs(1), "{GRANT_TTL_FORM}");
        assert_eq!(*GRANT_TTL.end(), DAY * 365 * 10, "{GRANT_TTL_FORM}");
        assert_eq!(SESSION_TTL.min, Duration::from_secs(1), "{SESSION_TTL_FORM}");
        let days = SESSION_TTL.max.as_secs() / DAY.as_secs();
        assert!(SESSION_TTL_FORM.contains(&format!("at most {days} days")));
    }
}
