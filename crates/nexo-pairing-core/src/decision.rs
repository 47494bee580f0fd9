//! What the gate decides.

use time::OffsetDateTime;

use crate::{DecisionKind, DropReason, PairingCode, SenderKey, UpsertOutcome};

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

    /// The decision of this kind, unless it needs a code.
    #[must_use]
    #[inline]
    pub fn without_code(kind: DecisionKind) -> Option<Self> {
        match kind {
            DecisionKind::Challenge => None,
            DecisionKind::Admit => Some(Self::Admit),
            DecisionKind::Drop(reason) => Some(Self::Drop(reason)),
        }
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
