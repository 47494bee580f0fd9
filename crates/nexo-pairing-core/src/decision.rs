//! What the gate decides.

use serde::Serialize;
use time::OffsetDateTime;

use crate::{PairingCode, SenderKey, UpsertOutcome};

/// What to do with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Deliver it.
    Admit,
    /// Withhold it and send its sender this code now. A caller that sends one message for each
    /// `Challenge` never floods anyone.
    Challenge {
        /// The code that the operator approves.
        code: PairingCode,
    },
    /// Withhold it silently.
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

/// What a rule decides: a [`Decision`] without its code.
///
/// Exhaustive on purpose: code that acts on it does not compile until it handles a new kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecisionKind {
    /// Deliver the message.
    Admit,
    /// Withhold it. The store makes a request, or repeats the pending one, and its code is sent.
    Challenge,
    /// Withhold it silently.
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

/// Why a message is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// Accounts are configured, and this one is not among them.
    UnknownAccount,
    /// The adapter derives no sender from the raw id.
    NotPairable,
    /// The sender is blocked, or has an unreadable id while anybody on the channel is blocked.
    Blocked,
    /// The mode is `allowlist`, and the sender is not on the list.
    NotAllowed,
    /// The message came in a group; challenges are only sent in direct chats.
    NotDirect,
    /// The sender was rejected or let codes expire, and has to wait.
    Waiting,
    /// The sender was sent a code within the cooldown.
    AlreadyChallenged,
    /// The account, or all accounts together, have the maximum number of live requests.
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
    /// The decision; for a challenge also the key of the request and the expiry of the code.
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
    fn decisions_have_the_names_in_metrics() {
        let code = PairingCode::from_stored("K7M9PQ2X".into());
        assert_eq!(Decision::Admit.as_str(), "admit");
        assert_eq!(Decision::Challenge { code }.as_str(), "challenge");
        assert_eq!(Decision::Drop(DropReason::Waiting).as_str(), "drop");
    }
}
