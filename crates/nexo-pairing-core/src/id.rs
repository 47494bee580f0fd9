//! Ids of channels, accounts, senders, actors and sessions: parsed once, at the edge, then trusted.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a string is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The id is empty.
    #[error("the {kind} is empty")]
    Empty {
        /// Which id: `channel`, `account`, `sender`, `actor` or `session`.
        kind: &'static str,
    },
    /// The id is longer than its kind allows.
    #[error("the {kind} has {length} bytes, at most {max} are allowed")]
    TooLong {
        /// Which id.
        kind: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The most that is allowed, in bytes.
        max: usize,
    },
    /// The id does not have the form of its kind.
    #[error("the {kind} `{}` is not of the form {form}", .value.escape_debug())]
    Form {
        /// Which id.
        kind: &'static str,
        /// The rejected value; no longer than its kind allows.
        value: String,
        /// The expected form.
        form: &'static str,
    },
}

/// What all kinds of id have in common.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $form:literal, $is_valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        pub struct $name(Box<str>);

        impl $name {
            /// The longest such id, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// The form of such an id, as errors and documents show it.
            pub const FORM: &str = $form;

            /// Parses an id that comes from outside.
            ///
            /// # Errors
            ///
            /// [`IdError`] when it is empty, too long or of another form.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                Self::check(text).map(|()| Self(text.into()))
            }

            /// Checks that `text` is such an id, without allocating one.
            ///
            /// # Errors
            ///
            /// The same as [`parse`](Self::parse).
            pub fn check(text: &str) -> Result<(), IdError> {
                let is_valid: fn(&str) -> bool = $is_valid;
                if text.is_empty() {
                    Err(IdError::Empty { kind: $kind })
                } else if text.len() > Self::MAX_BYTES {
                    let (length, max) = (text.len(), Self::MAX_BYTES);
                    Err(IdError::TooLong { kind: $kind, length, max })
                } else if !is_valid(text) {
                    Err(IdError::Form { kind: $kind, value: text.into(), form: Self::FORM })
                } else {
                    Ok(())
                }
            }

            /// Takes an id from a database unchecked: rows that predate today's rules must still
            /// match themselves, to be listed, revoked and blocked.
            #[must_use]
            pub fn from_stored(text: String) -> Self {
                Self(text.into_boxed_str())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// A channel, such as `whatsapp`: `[a-z0-9][a-z0-9_-]{0,31}`.
    ChannelId, "channel", 32, "[a-z0-9][a-z0-9_-]{0,31}",
    |text| {
        text.bytes().all(|byte| is_name_byte(byte) && !byte.is_ascii_uppercase())
            && !text.starts_with(['_', '-'])
    }
);

id!(
    /// A bot account on a channel, such as `personal`: `[A-Za-z0-9_-]{1,64}`.
    AccountId, "account", 64, "[A-Za-z0-9_-]{1,64}",
    |text| text.bytes().all(is_name_byte)
);

id!(
    /// The canonical id of a sender, unique within a channel: 1 to 256 bytes, no control characters.
    SenderId, "sender", 256, "1 to 256 bytes without control characters",
    |text| !has_control_character(text)
);

id!(
    /// Who did something, as authenticated by the caller: `cli`, `seed`, `console:<name>`,
    /// `api:<name>`. 1 to 128 bytes, no control characters.
    Actor, "actor", 128, "1 to 128 bytes without control characters",
    |text| !has_control_character(text)
);

id!(
    /// The id of a session: 16 lower-case hexadecimal digits. It is not a secret; operators name
    /// sessions by it.
    SessionId, "session", 16, "[0-9a-f]{16}",
    |text| {
        text.len() == SessionId::MAX_BYTES
            && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }
);

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Checks bytes first, as most ids are ASCII: this runs for every message.
fn has_control_character(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    !is_plain && text.chars().any(char::is_control)
}

impl SessionId {
    /// How many random bytes an id is made of.
    pub const RANDOM_BYTES: usize = Self::MAX_BYTES / 2;

    /// An id of these random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; Self::RANDOM_BYTES]) -> Self {
        Self(data_encoding::HEXLOWER.encode(&bytes).into())
    }
}

impl AccountId {
    /// The account of a channel that has only one: `default`.
    #[must_use]
    pub fn default_account() -> Self {
        Self("default".into())
    }
}

impl Actor {
    /// The operator at the command line.
    #[must_use]
    pub fn cli() -> Self {
        Self("cli".into())
    }

    /// A list of senders that was admitted at once.
    #[must_use]
    pub fn seed() -> Self {
        Self("seed".into())
    }

    /// The gate, for what it does by itself.
    #[must_use]
    pub fn gate() -> Self {
        Self("gate".into())
    }

    /// The configuration, for changes that it causes.
    #[must_use]
    pub fn config() -> Self {
        Self("config".into())
    }

    /// A companion device, for what it does with its setup code or session.
    #[must_use]
    pub fn device() -> Self {
        Self("device".into())
    }
}

/// The key of grants and requests: one sender on one account of one channel.
///
/// A grant on one account says nothing about another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SenderKey {
    /// The channel.
    pub channel: ChannelId,
    /// The bot account on it.
    pub account_id: AccountId,
    /// The sender.
    pub sender_id: SenderId,
}

impl SenderKey {
    /// A key from its three parts.
    #[must_use]
    pub fn new(channel: ChannelId, account_id: AccountId, sender_id: SenderId) -> Self {
        Self { channel, account_id, sender_id }
    }
}

impl fmt::Display for SenderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.channel, self.account_id, self.sender_id)
    }
}

/// One account of a channel, or all of them, including future ones. Written `*` for all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AccountScope {
    /// Every account of the channel.
    All,
    /// This account.
    One(AccountId),
}

impl AccountScope {
    /// The account's name, or `*`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::All => "*",
            Self::One(account) => account.as_str(),
        }
    }

    /// Takes a scope from a database unchecked.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        if text == "*" { Self::All } else { Self::One(AccountId::from_stored(text)) }
    }

    /// Whether this scope includes `account`.
    #[must_use]
    pub fn covers(&self, account: &AccountId) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == account,
        }
    }
}

impl From<Option<AccountId>> for AccountScope {
    fn from(account: Option<AccountId>) -> Self {
        account.map_or(Self::All, Self::One)
    }
}

impl fmt::Display for AccountScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for AccountScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for AccountScope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "*" {
            return Ok(Self::All);
        }
        AccountId::parse(&text).map(Self::One).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_lower_case_words() {
        for good in ["whatsapp", "a", "0", "my-channel_2", &"c".repeat(32)] {
            assert!(ChannelId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "WhatsApp", "a.b", "a b", "*", "ñ", &"c".repeat(33)] {
            assert!(ChannelId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn accounts_have_no_dots_and_no_wildcards() {
        for good in ["personal", "cody_nexo_bot", "A-1", &"a".repeat(64)] {
            assert!(AccountId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "*", ">", "a.b", "a b", "é", &"a".repeat(65)] {
            assert!(AccountId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn senders_are_kept_unchanged() {
        for good in
            ["+5491155556666", "'; DROP TABLE pairing_allow_from; --", "ünï", &"s".repeat(256)]
        {
            assert_eq!(SenderId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a\nb", "a\0b", "\u{85}", "a\u{7f}", &"s".repeat(257)] {
            assert!(SenderId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_error_shows_no_control_character() {
        let error = SenderId::parse("a\u{1b}[2Jb").unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
        assert!(error.contains("\\u{1b}"), "{error}");
    }

    #[test]
    fn a_stored_id_is_not_checked_but_one_from_outside_is() {
        assert_eq!(ChannelId::from_stored("Old Channel".into()).as_str(), "Old Channel");
        assert!(serde_json::from_str::<ChannelId>("\"Old Channel\"").is_err());
    }

    #[test]
    fn a_scope_of_all_covers_every_account() {
        let account = AccountId::parse("work").unwrap();
        assert!(AccountScope::All.covers(&account));
        assert!(AccountScope::One(account.clone()).covers(&account));
        assert!(!AccountScope::from_stored("personal".into()).covers(&account));
        assert_eq!(serde_json::to_string(&AccountScope::All).unwrap(), "\"*\"");
        let one = AccountScope::One(account);
        for scope in [AccountScope::All, one.clone()] {
            let json = serde_json::to_string(&scope).unwrap();
            assert_eq!(serde_json::from_str::<AccountScope>(&json).unwrap(), scope);
        }
        assert_eq!((AccountScope::All.to_string(), one.to_string()), ("*".into(), "work".into()));
    }
}
