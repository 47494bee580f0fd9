//! Policies: how an account treats strangers, and how a replayed setup code is handled.

use std::ops::RangeInclusive;
use std::time::Duration;

use derive_setters::Setters;
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::{self, Bounds};
use crate::{Language, NewRequest};

/// What an account does with senders who are not on its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// Everybody but blocked senders is admitted. The default, so that installing pairing changes
    /// nothing until an operator configures it.
    #[default]
    Open,
    /// Strangers are dropped silently.
    Allowlist,
    /// Strangers are sent a code.
    Pairing,
}

names! {
    /// Its name in the configuration: `open`, `allowlist` or `pairing`.
    Mode { Open => "open", Allowlist => "allowlist", Pairing => "pairing" }
}

/// What happens to a session when its setup code is presented a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnReplay {
    /// The second claim is refused and the session of the first is revoked: one of the two devices
    /// stole the code, and there is no telling which. The default.
    #[default]
    Revoke,
    /// The second claim is refused; the session stays valid.
    Refuse,
}

/// How an account treats strangers.
///
/// Deserializes from [`PolicyOptions`] over the defaults. That and [`with`](Self::with) check ranges;
/// the setters and direct assignment do not.
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
    /// What happens to strangers. Default: [`Mode::Open`].
    pub mode: Mode,
    /// The maximum number of live requests on the account, within
    /// [`MAX_PENDING`](limits::MAX_PENDING).
    pub max_pending: u32,
    /// The lifetime of a code, within [`PENDING_TTL`](limits::PENDING_TTL).
    pub pending_ttl: Duration,
    /// The minimum time between two challenges to the same sender, within
    /// [`CHALLENGE_COOLDOWN`](limits::CHALLENGE_COOLDOWN).
    pub challenge_cooldown: Duration,
    /// The language of the built-in challenge text. Default: English.
    pub language: Language,
    /// A text that replaces the built-in one; `{code}`, `{minutes}` and `{command}` are filled in.
    /// Default: the built-in text.
    #[setters(into, strip_option)]
    pub challenge_text: Option<String>,
}

impl PairingPolicy {
    /// The default policy in this mode.
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

    /// This policy with the fields that `options` sets replaced.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] if an option is out of range or contradicts another.
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

/// The limits that the rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of live requests on the account.
    pub max_pending: u32,
    /// The maximum number of live requests on all accounts together.
    pub max_pending_total: u32,
    /// The minimum time between two challenges to the same sender.
    pub challenge_cooldown: Duration,
}

impl Limits {
    /// The limits of a policy, with that over all accounts.
    #[must_use]
    #[inline]
    pub fn of_policy(policy: &PairingPolicy, max_pending_total: u32) -> Self {
        let PairingPolicy { max_pending, challenge_cooldown, .. } = *policy;
        Self { max_pending, max_pending_total, challenge_cooldown }
    }

    /// The limits that a request carries.
    #[must_use]
    pub fn of_request(request: &NewRequest) -> Self {
        let NewRequest { max_pending, max_pending_total, cooldown, .. } = *request;
        Self { max_pending, max_pending_total, challenge_cooldown: cooldown }
    }
}

/// The policy section of a configuration. A field that is not set leaves the policy as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(prefix = "with_", strip_option)]
pub struct PolicyOptions {
    /// See [`PairingPolicy::mode`].
    pub mode: Option<Mode>,
    /// 0.1.8's name for mode `pairing` (`true`) and `open` (`false`).
    pub auto_challenge: Option<bool>,
    /// See [`PairingPolicy::max_pending`].
    pub max_pending: Option<u32>,
    /// See [`PairingPolicy::pending_ttl`], in seconds.
    pub pending_ttl_secs: Option<u64>,
    /// See [`PairingPolicy::challenge_cooldown`], in seconds.
    pub challenge_cooldown_secs: Option<u64>,
    /// See [`PairingPolicy::language`].
    pub language: Option<Language>,
    /// See [`PairingPolicy::challenge_text`]; within
    /// [`CHALLENGE_TEXT_BYTES`](limits::CHALLENGE_TEXT_BYTES), with `{code}` or `{command}` in it.
    #[setters(into)]
    pub challenge_text: Option<String>,
}

impl PolicyOptions {
    /// The mode that `mode` or `auto_challenge` sets.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Contradiction`] if the two differ.
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

/// Why options are invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A number (or a length) is out of range.
    #[error("{name} is {value}, it has to be within {min} and {max}")]
    Range {
        /// The option.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The minimum.
        min: u64,
        /// The maximum.
        max: u64,
    },
    /// `mode` and `auto_challenge` differ.
    #[error("mode is {mode} but auto_challenge is {auto_challenge}; keep `mode` only")]
    Contradiction {
        /// The value of `mode`.
        mode: Mode,
        /// The value of `auto_challenge`.
        auto_challenge: bool,
    },
    /// The text does not contain the code.
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
    fn the_default_policy_is_open() {
        assert_eq!(policy("{}").unwrap(), PairingPolicy::new(Mode::Open));
    }

    #[test]
    fn a_mode_has_one_name_everywhere() {
        for (mode, name) in
            [(Mode::Open, "open"), (Mode::Allowlist, "allowlist"), (Mode::Pairing, "pairing")]
        {
            assert_eq!((mode.as_str(), mode.to_string().as_str()), (name, name));
            assert_eq!(serde_json::to_value(mode).unwrap(), name);
        }
    }

    #[test]
    fn a_text_needs_the_code_or_the_command() {
        for text in ["{code}", "{command}", "{code} or {command}"] {
            let options = PolicyOptions { challenge_text: Some(text.into()), ..Default::default() };
            let policy = PairingPolicy::default().with(&options).unwrap();
            assert_eq!(policy.challenge_text.as_deref(), Some(text));
        }
    }

    #[test]
    fn a_contradiction_is_reported_as_written() {
        let error = policy(r#"{"auto_challenge":false,"mode":"pairing"}"#).unwrap_err().to_string();
        assert!(error.contains("mode is pairing but auto_challenge is false"), "{error}");
        let error = policy(r#"{"auto_challenge":true,"mode":"open"}"#).unwrap_err().to_string();
        assert!(error.contains("mode is open but auto_challenge is true"), "{error}");
    }

    #[test]
    fn auto_challenge_of_0_1_8_sets_the_mode() {
        assert_eq!(policy(r#"{"auto_challenge":true}"#).unwrap().mode, Mode::Pairing);
        assert_eq!(policy(r#"{"auto_challenge":false}"#).unwrap().mode, Mode::Open);
        assert!(policy(r#"{"auto_challenge":true,"mode":"allowlist"}"#).is_err());
        assert!(policy(r#"{"auto_challenge":true,"mode":"pairing"}"#).is_ok());
    }

    #[test]
    fn values_out_of_range_and_unknown_keys_are_refused() {
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
