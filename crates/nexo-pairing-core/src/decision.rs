//! What the gate answers.

use serde::Serialize;
use time::OffsetDateTime;

use crate::{PairingCode, SenderKey, UpsertOutcome};

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
            Self::Admit => DecisionKind::Admit.as_str(),
            Self::Challenge { .. } => DecisionKind::Challenge.as_str(),
            Self::Drop(reason) => DecisionKind::Drop(*reason).as_str(),
        }
    }
}

/// What a rule decides: a [`Decision`](crate::Decision) whose code, if it needs one, is not known yet.
///
/// It is exhaustive on purpose: code that acts on it does not compile until it says what it does with
/// a new kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecisionKind {
    /// Deliver the message.
    Admit,
    /// Withhold it. The storage makes a request, or repeats the one there is, and its code is sent.
    Challenge,
    /// Withhold it and say nothing.
    Drop(DropReason),
}

impl DecisionKind {
    /// Its name in logs, metrics and JSON: `admit`, `challenge` or `drop`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Challenge => "challenge",
            Self::Drop(_) => "drop",
        }
    }

    /// The decision, unless it needs a code.
    #[must_use]
    #[inline]
    pub fn without_code(self) -> Option<Decision> {
        match self {
            Self::Challenge => None,
            Self::Admit => Some(Decision::Admit),
            Self::Drop(reason) => Some(Decision::Drop(reason)),
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

names! {
    /// Its name in logs, metrics and JSON, in snake case.
    DropReason {
        UnknownAccount => "unknown_account",
        NotPairable => "not_pairable",
        Blocked => "blocked",
        NotAllowed => "not_allowed",
        NotDirect => "not_direct",
        Waiting => "waiting",
        AlreadyChallenged => "already_challenged",
        PendingFull => "pending_full",
    }
}

impl UpsertOutcome {
    /// The decision that it comes to; for a challenge with whose request it is and when the code
    /// expires.
    #[must_use]
    pub fn into_decision(self) -> (Decision, Option<(SenderKey, OffsetDateTime)>) {
        let reason = match self {
            Self::Created { key, code, expires_at } | Self::Repeated { key, code, expires_at } => {
                return (Decision::Challenge { code }, Some((key, expires_at)));
            }
            Self::Allowed => return (Decision::Admit, None),
            Self::AlreadyChallenged => DropReason::AlreadyChallenged,
            Self::Waiting => DropReason::Waiting,
            Self::PendingFull => DropReason::PendingFull,
            Self::Blocked => DropReason::Blocked,
        };
        (Decision::Drop(reason), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_have_the_names_of_the_metrics() {
        let code = PairingCode::from_stored("K7M9PQ2X".into());
        assert_eq!(Decision::Admit.as_str(), "admit");
        assert_eq!(Decision::Challenge { code }.as_str(), "challenge");
        assert_eq!(Decision::Drop(DropReason::Waiting).as_str(), "drop");
    }
}
