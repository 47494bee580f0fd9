//! Why a setup code gave no session.

use std::io;
use std::time::Duration;

use nexo_pairing::PairingError;
use time::OffsetDateTime;

use super::Step;
use crate::exit::Exit;
use crate::text::{cut, moment};

/// How much of what a gateway says is told.
const MAX_TOLD: usize = 200;

/// Why a gateway refuses a code; for programs it is the same here.
const KINDS: &[&str] =
    &["malformed", "invalid_signature", "expired", "replayed", "cancelled", "throttled"];

/// Why a setup code gave no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    /// It is too late by this machine's clock, so the gateway was not asked.
    #[error("the setup code expired at {}", moment(*at))]
    Expired { at: OffsetDateTime },
    /// The code leads to no place that there is.
    #[error("the url of the setup code {rule}")]
    Url { rule: &'static str },
    /// Nothing was sent.
    #[error("failed to {step} {peer}")]
    Unreachable {
        step: Step,
        peer: String,
        #[source]
        source: io::Error,
    },
    /// There was no time left.
    #[error("failed to {step} {peer} within {} s", limit.as_secs_f64())]
    TimedOut { step: Step, peer: String, limit: Duration },
    /// The claim was sent, perhaps, and what became of it is not known.
    #[error("failed to get an answer from {peer}")]
    Lost {
        peer: String,
        #[source]
        source: io::Error,
    },
    /// Something answered that is no gateway.
    #[error("{peer} does not answer as a gateway does: {what}")]
    BadAnswer { peer: String, what: String },
    /// The gateway said no.
    #[error("{peer} refuses the setup code: {message}")]
    Refused { kind: &'static str, peer: String, message: String },
    /// This machine has no randomness.
    #[error(transparent)]
    Pairing(#[from] PairingError),
}

impl ClaimError {
    /// A gateway's words for a refusal: a kind that is known here, or any text from 0.1.8.
    pub(super) fn refused(peer: String, kind: &str, message: Option<&str>) -> Self {
        let message = cut(message.unwrap_or(kind), MAX_TOLD);
        match kind {
            "unavailable" => return Self::Lost { peer, source: io::Error::other(message) },
            // There is a gateway, but not where the code leads.
            "not_found" | "method_not_allowed" | "upgrade_required" => {
                return Self::BadAnswer { peer, what: message };
            }
            _ => {}
        }
        let kind = KINDS.iter().find(|known| **known == kind).copied().unwrap_or("refused");
        Self::Refused { kind, peer, message }
    }

    /// The same, when a claim was sent before and its answer was lost: it may have been granted.
    pub(super) fn after_sending(self) -> Self {
        match self {
            Self::Unreachable { peer, source, .. } => Self::Lost { peer, source },
            Self::TimedOut { peer, limit, .. } => {
                Self::TimedOut { step: Step::Answer, peer, limit }
            }
            other => other,
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "expired",
            Self::Url { .. } => "malformed",
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Lost { .. } => "unreachable",
            Self::BadAnswer { .. } => "bad_answer",
            Self::Refused { kind, .. } => kind,
            Self::Pairing(error) => error.kind(),
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Expired { .. } | Self::Url { .. } | Self::Refused { .. } => Exit::Refused,
            _ => Exit::Storage,
        }
    }

    /// What can be done about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Expired { .. } => {
                "have another one issued; if it is new, set this machine's clock right"
            }
            Self::Url { .. } => "have another one issued",
            Self::Unreachable { step: Step::Tls, .. } => {
                "if the gateway's certificate is from an authority of your own, name that with \
                 --ca-cert FILE"
            }
            Self::TimedOut { step: Step::Answer, .. } | Self::Lost { .. } => {
                "the code may be used up by now: have another one issued, and see with \
                 `nexo-pair devices list` at the gateway whether there is a session to revoke"
            }
            Self::Unreachable { .. } | Self::TimedOut { .. } => {
                "see that the gateway runs (`nexo-pair serve`) and can be reached from here"
            }
            Self::BadAnswer { .. } => "see that the url of the code is the gateway's",
            Self::Refused { kind: "replayed", .. } => {
                "a code works once, and presenting it again may end the session that it gave: have \
                 another one issued; if it was not you who used it, tell the operator, who finds \
                 it in `nexo-pair log`"
            }
            Self::Refused { kind: "throttled", .. } => "wait a minute, and try again",
            Self::Refused { .. } => "have another one issued",
            Self::Pairing(_) => return None,
        };
        Some(hint.to_owned())
    }
}
