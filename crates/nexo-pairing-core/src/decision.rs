//! What the gate answers, and which of its rules said so.

use std::fmt;

use serde::Serialize;

use crate::PairingCode;

/// What to do with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Deliver it.
    Admit,
    /// Withhold it and send its sender this code, now. A caller that answers each `Challenge` with
    /// one message never floods anyone.
    Challenge {
        /// What the operator approves.
        code: PairingCode,
    },
    /// Withhold it and say nothing.
    Drop(DropReason),
}

impl Decision {
    /// Its name in logs, metrics and JSON: `admit`, `challenge` or `drop`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Challenge { .. } => "challenge",
            Self::Drop(_) => "drop",
        }
    }
}

/// Why a message is withheld in silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// Accounts are configured and this one is not among them.
    UnknownAccount,
    /// The adapter says that this is nobody that can be paired.
    NotPairable,
    /// The operator blocked the sender, or somebody on the channel who may be the sender.
    Blocked,
    /// Nobody is challenged in mode `allowlist`, and the sender is not on the list.
    NotAllowed,
    /// The message came in a group: nobody is challenged in front of others.
    NotDirect,
    /// The sender was rejected, or let codes expire, and has to wait.
    Waiting,
    /// The sender has a code that was sent less than the cooldown ago.
    AlreadyChallenged,
    /// The account has as many requests pending as it may.
    PendingFull,
}

impl DropReason {
    /// Every reason there is.
    pub const ALL: [Self; 8] = [
        Self::UnknownAccount,
        Self::NotPairable,
        Self::Blocked,
        Self::NotAllowed,
        Self::NotDirect,
        Self::Waiting,
        Self::AlreadyChallenged,
        Self::PendingFull,
    ];

    /// Its name in logs, metrics and JSON, in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownAccount => "unknown_account",
            Self::NotPairable => "not_pairable",
            Self::Blocked => "blocked",
            Self::NotAllowed => "not_allowed",
            Self::NotDirect => "not_direct",
            Self::Waiting => "waiting",
            Self::AlreadyChallenged => "already_challenged",
            Self::PendingFull => "pending_full",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The rules of the gate; the first that matches decides. The discriminant is the number that
/// `explain` and the documentation use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Rule {
    /// The state cannot be trusted: nothing is decided, the caller drops.
    Stale = 1,
    /// Accounts are configured and this one is not among them.
    UnknownAccount = 2,
    /// The adapter makes no sender of the raw id.
    NotPairable = 3,
    /// The sender, or an id he also has, is blocked; or the event has an id of which no canonical one
    /// can be made while anybody on the channel is blocked.
    Blocked = 4,
    /// Mode `open`: nobody is asked.
    Open = 5,
    /// The sender, or an id he also has, holds a live grant.
    Allowed = 6,
    /// Mode `allowlist`: strangers are dropped in silence.
    NotAllowed = 7,
    /// The message came in a group, or the id is a group's.
    NotDirect = 8,
    /// The sender was rejected, or let codes expire.
    Waiting = 9,
    /// A request is pending and was challenged less than the cooldown ago.
    AlreadyChallenged = 10,
    /// A request is pending: the same code again.
    ChallengeAgain = 11,
    /// The account has as many live requests as it may.
    PendingFull = 12,
    /// A new request, a new code.
    Challenge = 13,
}

impl Rule {
    /// The number of the rule, 1 to 13.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Its name in metrics, in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::UnknownAccount => DropReason::UnknownAccount.as_str(),
            Self::NotPairable => DropReason::NotPairable.as_str(),
            Self::Blocked => DropReason::Blocked.as_str(),
            Self::Open => "open",
            Self::Allowed => "allowed",
            Self::NotAllowed => DropReason::NotAllowed.as_str(),
            Self::NotDirect => DropReason::NotDirect.as_str(),
            Self::Waiting => DropReason::Waiting.as_str(),
            Self::AlreadyChallenged => DropReason::AlreadyChallenged.as_str(),
            Self::ChallengeAgain => "challenge_again",
            Self::PendingFull => DropReason::PendingFull.as_str(),
            Self::Challenge => "challenge",
        }
    }

    /// What the rule says, as a sentence for the operator.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Stale => "the state of the store is not known, so nobody is let in",
            Self::UnknownAccount => "accounts are configured and this one is not among them",
            Self::NotPairable => {
                "the channel's adapter says that nobody can be paired with this id"
            }
            Self::Blocked => {
                "one of the sender's ids is blocked, or cannot be read while somebody on the channel is \
                 blocked"
            }
            Self::Open => "the account's mode is open: nobody is asked",
            Self::Allowed => "the sender, or another of his ids, is allowed",
            Self::NotAllowed => "the account's mode is allowlist and the sender is not on the list",
            Self::NotDirect => "groups are never challenged; let a group in with `seed`",
            Self::Waiting => "the sender was rejected, or let codes expire, and has to wait",
            Self::AlreadyChallenged => "the sender was sent his code only a moment ago",
            Self::ChallengeAgain => "the sender's request is pending: the same code is sent again",
            Self::PendingFull => {
                "as many requests are pending as may be, on this account or in all"
            }
            Self::Challenge => "a stranger in mode pairing: a new code is sent",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The rules in their order, by the names that metrics and logs have.
    const RULES: [(Rule, &str); 13] = [
        (Rule::Stale, "stale"),
        (Rule::UnknownAccount, "unknown_account"),
        (Rule::NotPairable, "not_pairable"),
        (Rule::Blocked, "blocked"),
        (Rule::Open, "open"),
        (Rule::Allowed, "allowed"),
        (Rule::NotAllowed, "not_allowed"),
        (Rule::NotDirect, "not_direct"),
        (Rule::Waiting, "waiting"),
        (Rule::AlreadyChallenged, "already_challenged"),
        (Rule::ChallengeAgain, "challenge_again"),
        (Rule::PendingFull, "pending_full"),
        (Rule::Challenge, "challenge"),
    ];

    #[test]
    fn rules_have_their_numbers_their_names_and_a_sentence_each() {
        for (number, (rule, name)) in (1..).zip(RULES) {
            assert_eq!((rule.number(), rule.as_str()), (number, name));
        }
        let sentences: HashSet<&str> = RULES.iter().map(|(rule, _)| rule.reason()).collect();
        assert_eq!(sentences.len(), RULES.len());
        assert!(sentences.iter().all(|sentence| sentence.contains(' ')), "{sentences:?}");
    }

    #[test]
    fn a_reason_is_called_the_same_everywhere() {
        for reason in DropReason::ALL {
            let name = reason.as_str();
            assert!(RULES.iter().any(|(_, rule)| *rule == name), "{name}");
            assert_eq!(reason.to_string(), name);
            assert_eq!(serde_json::to_value(reason).unwrap(), name);
        }
    }

    #[test]
    fn decisions_have_the_names_of_the_metrics() {
        let code = PairingCode::from_stored("K7M9PQ2X".into());
        assert_eq!(Decision::Admit.as_str(), "admit");
        assert_eq!(Decision::Challenge { code }.as_str(), "challenge");
        assert_eq!(Decision::Drop(DropReason::Waiting).as_str(), "drop");
    }
}
