//! Every bound and default that more than one place has to know: the libraries, the configuration,
//! what errors and `--help` say, and the documents.
//!
//! A number is changed here and nowhere else. What only one module needs (how long a queue is, when
//! a connection counts as idle) stays in that module.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The least, the most, and the value where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds<T> {
    /// The least that is allowed.
    pub min: T,
    /// The most that is allowed.
    pub max: T,
    /// The value where nothing is said.
    pub default: T,
}

impl<T: Copy> Bounds<T> {
    /// The bounds and the default of a number that only one place has to know.
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

// Strangers and their requests.

/// How many live requests an account may have. An operator can look through a few; the more there
/// are, the likelier a guessed code is one of them.
pub const MAX_PENDING: Bounds<u32> = Bounds { min: 1, max: 1000, default: 3 };

/// How many live requests there may be over all accounts, where nothing else is said: a store with
/// so many takes some 2 MB on the disk, and a gate some 20 MB if each is on an account of its own.
pub const MAX_PENDING_TOTAL: u32 = 4096;

/// How long a pairing code lives from its creation: long enough for an operator to notice it, and
/// not so long that codes pile up.
pub const PENDING_TTL: Bounds<Duration> =
    Bounds { min: Duration::from_secs(60), max: DAY, default: Duration::from_secs(60 * 60) };

/// How long after a challenge the same sender is not challenged again. The least keeps a bot that
/// answers itself from filling a chat.
pub const CHALLENGE_COOLDOWN: Bounds<Duration> =
    Bounds { min: Duration::from_secs(10), max: DAY, default: Duration::from_secs(5 * 60) };

/// The length of a configured challenge text, in bytes: no channel takes much longer messages.
pub const CHALLENGE_TEXT_BYTES: RangeInclusive<usize> = 1..=1000;

/// What a challenge text has to be, in words: see [`CHALLENGE_TEXT_BYTES`].
pub const CHALLENGE_TEXT_FORM: &str = "1 to 1000 bytes with `{code}` or `{command}` in it";

/// The longest sender id, as its channel wrote it, that an adapter is asked about, in bytes.
pub const MAX_RAW_ID_BYTES: usize = 1024;

/// The longest event that a gate reads, on a pipe without the end of its line, or on a bus, in bytes.
/// Longer ones are rejected.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// How many other ids of a sender are looked at: channels name one or two.
pub const MAX_OTHER_IDS: usize = 8;

/// The longest metadata that is kept with a request, in bytes of JSON. Longer ones are left out.
pub const MAX_META_BYTES: usize = 4096;

/// How old what a gate knows may be when its store cannot be read. Beyond that, nothing is decided.
pub const MAX_STALENESS: Duration = Duration::from_secs(5);

/// How far ahead of the clock a time stamp may be without being from the future: no more than clocks
/// that are kept in time differ.
pub const TIMESTAMP_LEEWAY: Duration = Duration::from_secs(5);

/// How long the canonical form of an id that a plugin gave is remembered, as it can be configured:
/// the default asks a plugin once an hour about the same id.
pub const ID_CACHE_TTL: Bounds<Duration> =
    Bounds { min: Duration::from_secs(1), max: DAY, default: Duration::from_secs(60 * 60) };

// What operators write.

/// How long a grant that expires may be limited to. Whoever means longer leaves the limit out.
pub const GRANT_TTL: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(10 * 365 * DAY.as_secs());

/// [`GRANT_TTL`] in words.
pub const GRANT_TTL_FORM: &str = "at least a second, at most ten years";

/// The longest note, in bytes.
pub const MAX_NOTE_BYTES: usize = 500;

/// What a note has to be, in words: see [`MAX_NOTE_BYTES`].
pub const NOTE_FORM: &str = "at most 500 bytes, no control characters";

/// For how many days the audit log is kept; the most is a hundred years.
pub const AUDIT_DAYS: Bounds<u32> = Bounds { min: 1, max: 36_500, default: 365 };

/// How many accounts can be remembered with their modes. All of them are read at every start.
pub const MAX_KNOWN_ACCOUNTS: usize = 10_000;

/// How many channels with an adapter in another process are remembered at most.
pub const MAX_REMOTE_CHANNELS: usize = 1000;

// Setup codes.

/// How long a setup code lives: it is scanned at once, or taken to another room.
pub const SETUP_CODE_TTL: Bounds<Duration> =
    Bounds { min: Duration::from_secs(1), max: DAY, default: Duration::from_secs(60) };

/// The longest device label, in bytes of UTF-8.
pub const MAX_LABEL_BYTES: usize = 128;

/// What a device label has to be, in words: see [`MAX_LABEL_BYTES`].
pub const LABEL_FORM: &str = "1 to 128 bytes, no control characters";

/// The same, for errors that say what a part must.
pub(crate) const LABEL_RULE: &str = "have 1 to 128 bytes and no control characters";

/// The longest profile, in bytes.
pub const MAX_PROFILE_BYTES: usize = 64;

/// What a profile has to be, in words: see [`MAX_PROFILE_BYTES`].
pub const PROFILE_FORM: &str = "[a-z0-9][a-z0-9._-]{0,63}";

/// The same, for errors that say what a part must.
pub(crate) const PROFILE_RULE: &str = "be of the form [a-z0-9][a-z0-9._-]{0,63}";

/// The longest URL in a setup code, in bytes.
pub const MAX_URL_BYTES: usize = 1024;

/// The longest bootstrap token that is read or written, in bytes.
pub const MAX_TOKEN_BYTES: usize = 2048;

/// The longest payload that is read or written, in bytes, with the white space around it.
pub const MAX_PAYLOAD_BYTES: usize = 4096;

/// How long after its expiry a companion still tries a setup code, since its clock may be wrong. The
/// server, which decides, allows none of it.
pub const SETUP_CODE_LEEWAY: Duration = Duration::from_secs(30);

/// The length of a public URL as it is configured, in bytes: more than a setup code takes, so that
/// the error can be about what is too long in it.
pub const PUBLIC_URL_BYTES: RangeInclusive<usize> = 1..=2048;

/// What a public URL has to be, in words: see [`PUBLIC_URL_BYTES`].
pub const PUBLIC_URL_FORM: &str = "a URL of 1 to 2048 bytes";

/// The longest host name, in bytes: that of the DNS.
pub const MAX_HOST_BYTES: usize = 253;

// Sessions.

/// How long a session lives, also from a renewal on.
pub const SESSION_TTL: Bounds<Duration> = Bounds {
    min: Duration::from_secs(1),
    max: Duration::from_secs(365 * DAY.as_secs()),
    default: DAY,
};

/// [`SESSION_TTL`] in words.
pub const SESSION_TTL_FORM: &str = "at least a second, at most 365 days";

/// How long a session lives, as it can be configured: below a minute, companions would do nothing
/// but renew theirs.
pub const CONFIGURED_SESSION_TTL: Bounds<Duration> =
    Bounds { min: Duration::from_secs(60), ..SESSION_TTL };

/// For how long a session can be renewed, from its beginning on. Zero is not at all.
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
    fn words_say_the_numbers() {
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
