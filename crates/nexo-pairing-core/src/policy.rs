//! How an account treats strangers, and what a setup code that is used twice does.

use std::ops::RangeInclusive;
use std::time::Duration;

use derive_setters::Setters;
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::{self, Bounds};
use crate::{Language, NewRequest};

/// What an account does with somebody who is not on its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// Nobody is asked; only blocked senders are dropped. The default, so that nothing changes
    /// until the operator says so.
    #[default]
    Open,
    /// Strangers are dropped in silence.
    Allowlist,
    /// Strangers are sent a code.
    Pairing,
}

names! {
    /// Its name in the configuration: `open`, `allowlist` or `pairing`.
    Mode { Open => "open", Allowlist => "allowlist", Pairing => "pairing" }
}

/// What a setup code that is presented twice does to the session that it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnReplay {
    /// The second one is refused and the session that the first one got is revoked: one of the two
    /// was a thief, and nobody knows which. The default.
    #[default]
    Revoke,
    /// The second one is refused, the session lives on.
    Refuse,
}

/// How an account treats strangers.
///
/// Deserializes from a [`PolicyOptions`], over the defaults; that and [`with`](Self::with) keep it
/// within range, what is assigned to its fields is taken as it is.
///
/// ```
/// use nexo_pairing_core::{Mode, PairingPolicy};
///
/// assert_eq!(PairingPolicy::default().mode, Mode::Open);
/// assert_eq!(PairingPolicy::new(Mode::Pairing).max_pending, 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_")]
pub struct PairingPolicy {
    /// What happens to strangers. Default [`Mode::Open`].
    pub mode: Mode,
    /// How many live requests the account may have, within [`MAX_PENDING`](limits::MAX_PENDING).
    pub max_pending: u32,
    /// How long a code lives from its creation, within [`PENDING_TTL`](limits::PENDING_TTL).
    pub pending_ttl: Duration,
    /// How long after a challenge the same sender is not challenged again, within
    /// [`CHALLENGE_COOLDOWN`](limits::CHALLENGE_COOLDOWN).
    pub challenge_cooldown: Duration,
    /// The language of the built-in challenge text. Default English.
    pub language: Language,
    /// A text to send instead of the built-in one, with `{code}`, `{minutes}` and `{command}`.
    #[setters(into, strip_option)]
    pub challenge_text: Option<String>,
}

impl PairingPolicy {
    /// The defaults, in this mode.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            max_pending: limits::MAX_PENDING.default,
            pending_ttl: limits::PENDING_TTL.default,
            challenge_cooldown: limits::CHALLENGE_COOLDOWN.default,
            language: Language::default(),
            challenge_text: None,
        }
    }

    /// This policy, with what `options` says in place of what it said.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] when an option is out of range or contradicts another.
    pub fn with(mut self, options: &PolicyOptions) -> Result<Self, PolicyError> {
        if let Some(mode) = options.mode()? {
            self.mode = mode;
        }
        if let Some(max) = options.max_pending {
            let Bounds { min, max: most, .. } = limits::MAX_PENDING;
            in_range("max_pending", max.into(), min.into()..=most.into())?;
            self.max_pending = max;
        }
        if let Some(secs) = options.pending_ttl_secs {
            self.pending_ttl = seconds("pending_ttl_secs", secs, limits::PENDING_TTL)?;
        }
        if let Some(secs) = options.challenge_cooldown_secs {
            let bounds = limits::CHALLENGE_COOLDOWN;
            self.challenge_cooldown = seconds("challenge_cooldown_secs", secs, bounds)?;
        }
        if let Some(language) = options.language {
            self.language = language;
        }
        if let Some(text) = &options.challenge_text {
            let (min, max) = limits::CHALLENGE_TEXT_BYTES.into_inner();
            in_range("challenge_text", text.len() as u64, min as u64..=max as u64)?;
            if !text.contains("{code}") && !text.contains("{command}") {
                return Err(PolicyError::NoCode);
            }
            self.challenge_text = Some(text.clone());
        }
        Ok(self)
    }
}

impl Default for PairingPolicy {
    fn default() -> Self {
        Self::new(Mode::default())
    }
}

impl<'de> Deserialize<'de> for PairingPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let options = PolicyOptions::deserialize(deserializer)?;
        Self::default().with(&options).map_err(serde::de::Error::custom)
    }
}

/// The limits of an account that the rules go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many live requests the account may have.
    pub max_pending: u32,
    /// How many live requests there may be over all accounts.
    pub max_pending_total: u32,
    /// How long after a challenge the same sender is not challenged again.
    pub challenge_cooldown: Duration,
}

impl Limits {
    /// The limits of a policy, beside that over all accounts.
    #[must_use]
    #[inline]
    pub fn of_policy(policy: &PairingPolicy, max_pending_total: u32) -> Self {
        let PairingPolicy { max_pending, challenge_cooldown, .. } = *policy;
        Self { max_pending, max_pending_total, challenge_cooldown }
    }

    /// The limits that a request was made with.
    #[must_use]
    pub fn of_request(request: &NewRequest) -> Self {
        let NewRequest { max_pending, max_pending_total, cooldown, .. } = *request;
        Self { max_pending, max_pending_total, challenge_cooldown: cooldown }
    }
}

/// What a configuration may say of a policy; what it leaves out keeps its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(prefix = "with_", strip_option)]
pub struct PolicyOptions {
    /// See [`PairingPolicy::mode`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The name that 0.1.8 had for mode `pairing` (`true`) and `open` (`false`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_challenge: Option<bool>,
    /// See [`PairingPolicy::max_pending`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pending: Option<u32>,
    /// See [`PairingPolicy::pending_ttl`]; in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_ttl_secs: Option<u64>,
    /// See [`PairingPolicy::challenge_cooldown`]; in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge_cooldown_secs: Option<u64>,
    /// See [`PairingPolicy::language`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// See [`PairingPolicy::challenge_text`]; within
    /// [`CHALLENGE_TEXT_BYTES`](limits::CHALLENGE_TEXT_BYTES), with `{code}` or `{command}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[setters(into)]
    pub challenge_text: Option<String>,
}

impl PolicyOptions {
    /// The mode that these options name, in either way.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Contradiction`] when they name two.
    pub fn mode(&self) -> Result<Option<Mode>, PolicyError> {
        let legacy = self.auto_challenge.map(|on| if on { Mode::Pairing } else { Mode::Open });
        match (self.mode, legacy) {
            (Some(mode), Some(legacy)) if mode != legacy => {
                Err(PolicyError::Contradiction { mode, auto_challenge: legacy == Mode::Pairing })
            }
            (mode, legacy) => Ok(mode.or(legacy)),
        }
    }
}

/// Why options make no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A number (or a length) is out of range.
    #[error("{name} is {value}, it has to be within {min} and {max}")]
    Range {
        /// The option.
        name: &'static str,
        /// What it says.
        value: u64,
        /// The least that is allowed.
        min: u64,
        /// The most that is allowed.
        max: u64,
    },
    /// Two options say different things about the mode.
    #[error("mode is {mode} but auto_challenge is {auto_challenge}; keep `mode` only")]
    Contradiction {
        /// What `mode` says.
        mode: Mode,
        /// What `auto_challenge` says.
        auto_challenge: bool,
    },
    /// The text would not tell the sender his code.
    #[error("challenge_text has neither {{code}} nor {{command}}, so nobody would learn the code")]
    NoCode,
}

fn seconds(
    name: &'static str,
    secs: u64,
    Bounds { min, max, .. }: Bounds<Duration>,
) -> Result<Duration, PolicyError> {
    in_range(name, secs, min.as_secs()..=max.as_secs())?;
    Ok(Duration::from_secs(secs))
}

fn in_range(name: &'static str, value: u64, range: RangeInclusive<u64>) -> Result<(), PolicyError> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(PolicyError::Range { name, value, min: *range.start(), max: *range.end() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> Result<PairingPolicy, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn nothing_changes_until_the_operator_says_so() {
        assert_eq!(policy("{}").unwrap(), PairingPolicy::new(Mode::Open));
    }

    #[test]
    fn a_mode_is_called_the_same_everywhere() {
        for (mode, name) in
            [(Mode::Open, "open"), (Mode::Allowlist, "allowlist"), (Mode::Pairing, "pairing")]
        {
            assert_eq!((mode.as_str(), mode.to_string().as_str()), (name, name));
            assert_eq!(serde_json::to_value(mode).unwrap(), name);
        }
    }

    #[test]
    fn a_text_has_the_code_or_the_command() {
        for text in ["{code}", "{command}", "{code} or {command}"] {
            let options = PolicyOptions { challenge_text: Some(text.into()), ..Default::default() };
            let policy = PairingPolicy::default().with(&options).unwrap();
            assert_eq!(policy.challenge_text.as_deref(), Some(text));
        }
    }

    #[test]
    fn a_contradiction_is_told_as_it_was_written() {
        let error = policy(r#"{"auto_challenge":false,"mode":"pairing"}"#).unwrap_err().to_string();
        assert!(error.contains("mode is pairing but auto_challenge is false"), "{error}");
        let error = policy(r#"{"auto_challenge":true,"mode":"open"}"#).unwrap_err().to_string();
        assert!(error.contains("mode is open but auto_challenge is true"), "{error}");
    }

    #[test]
    fn the_old_name_of_the_modes_is_understood() {
        assert_eq!(policy(r#"{"auto_challenge":true}"#).unwrap().mode, Mode::Pairing);
        assert_eq!(policy(r#"{"auto_challenge":false}"#).unwrap().mode, Mode::Open);
        assert!(policy(r#"{"auto_challenge":true,"mode":"allowlist"}"#).is_err());
        assert!(policy(r#"{"auto_challenge":true,"mode":"pairing"}"#).is_ok());
    }

    #[test]
    fn what_is_out_of_range_or_unknown_is_refused() {
        for bad in [
            r#"{"max_pending":0}"#,
            r#"{"max_pending":1001}"#,
            r#"{"pending_ttl_secs":59}"#,
            r#"{"pending_ttl_secs":86401}"#,
            r#"{"challenge_cooldown_secs":9}"#,
            r#"{"challenge_cooldown_secs":86401}"#,
            r#"{"challenge_text":"hello"}"#,
            r#"{"mode":"closed"}"#,
            r#"{"bogus":1}"#,
        ] {
            assert!(policy(bad).is_err(), "{bad}");
        }
    }
}
