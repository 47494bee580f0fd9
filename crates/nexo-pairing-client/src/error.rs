//! Why a call to a gateway failed.

use std::fmt;
use std::io;
use std::time::Duration;

use nexo_pairing_core::RandomError;
use nexo_pairing_core::limits::LABEL_FORM;
use nexo_pairing_core::text::truncate;

use crate::Step;

/// How much of what a gateway says is told, in characters.
pub(crate) const MAX_TOLD: usize = 200;

/// Why a call to a gateway failed.
///
/// What a gateway says of itself is cut to 200 characters, and what cannot be seen in it is written
/// out. No error has a secret in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The setup code leads to no place that there is.
    #[error("the url of the setup code {rule}")]
    Url {
        /// What the URL must be.
        rule: &'static str,
    },
    /// What the device calls itself has not the form of a device label.
    #[error("a device label must have {LABEL_FORM}")]
    DeviceLabel,
    /// The operating system gave no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// There is no connection to the gateway. Nothing was sent.
    #[error("failed to {step} {gateway}")]
    Unreachable {
        /// At which step.
        step: Step,
        /// Host and port of the gateway.
        gateway: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There was no time left. If the step is [`Step::Answer`], what became of the call is not known.
    #[error("failed to {step} {gateway} within {} s", limit.as_secs_f64())]
    TimedOut {
        /// At which step.
        step: Step,
        /// Host and port of the gateway.
        gateway: String,
        /// How long the call was allowed to take.
        limit: Duration,
    },
    /// The request was sent, perhaps, and what became of it is not known.
    #[error("failed to get an answer from {gateway}")]
    Lost {
        /// Host and port of the gateway.
        gateway: String,
        /// What happened instead.
        #[source]
        source: io::Error,
    },
    /// Something answered that is no gateway.
    #[error("{gateway} does not answer as a gateway does: {what}")]
    BadAnswer {
        /// Host and port of what answered.
        gateway: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// The gateway refuses the setup code.
    #[error("{gateway} refuses the setup code: {message}")]
    Refused {
        /// Why, for programs.
        refusal: Refusal,
        /// Host and port of the gateway.
        gateway: String,
        /// Why, in the gateway's words.
        message: String,
        /// After what time it makes sense to ask again, if the gateway says so.
        retry_after: Option<Duration>,
    },
    /// The session is not live: it never was, has run out or was ended.
    #[error("{gateway} knows no live session of this token")]
    NoSession {
        /// Host and port of the gateway.
        gateway: String,
    },
}

/// Why a gateway refuses a setup code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It cannot read the claim or the code.
    Malformed,
    /// It has not signed the code.
    InvalidSignature,
    /// The code has expired.
    Expired,
    /// The code was used already. That it came again may have ended the session that it gave.
    Replayed,
    /// The operator took the code back.
    Cancelled,
    /// Too many claims from here failed.
    Throttled,
    /// Something else, which the message says.
    Other,
}

impl Refusal {
    const ALL: [Self; 7] = [
        Self::Malformed,
        Self::InvalidSignature,
        Self::Expired,
        Self::Replayed,
        Self::Cancelled,
        Self::Throttled,
        Self::Other,
    ];

    /// Its stable name, for programs: that of the protocol, or `refused`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::InvalidSignature => "invalid_signature",
            Self::Expired => "expired",
            Self::Replayed => "replayed",
            Self::Cancelled => "cancelled",
            Self::Throttled => "throttled",
            Self::Other => "refused",
        }
    }

    /// A kind that is known here, or [`Other`](Self::Other): from 0.1.8 it is any text.
    fn of(kind: &str) -> Self {
        Self::ALL.into_iter().find(|known| known.as_str() == kind).unwrap_or(Self::Other)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl ClientError {
    /// A gateway's words for a refusal.
    pub(crate) fn refused(
        gateway: String,
        kind: &str,
        message: Option<&str>,
        retry_after: Option<Duration>,
    ) -> Self {
        let message = truncate(message.unwrap_or(kind), MAX_TOLD);
        match kind {
            "unavailable" => Self::Lost { gateway, source: io::Error::other(message) },
            // There is a gateway, but not where the code leads.
            "not_found" | "method_not_allowed" | "upgrade_required" => {
                Self::BadAnswer { gateway, what: message }
            }
            _ => Self::Refused { refusal: Refusal::of(kind), gateway, message, retry_after },
        }
    }

    /// The same, when a claim was sent before and its answer was lost: it may have been granted.
    pub(crate) fn after_sending(self) -> Self {
        match self {
            Self::Unreachable { gateway, source, .. } => Self::Lost { gateway, source },
            Self::TimedOut { gateway, limit, .. } => {
                Self::TimedOut { step: Step::Answer, gateway, limit }
            }
            other => other,
        }
    }

    /// The stable name of this kind of error, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Url { .. } => "malformed",
            Self::DeviceLabel => "device_label",
            Self::Random(_) => "random",
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Lost { .. } => "unreachable",
            Self::BadAnswer { .. } => "bad_answer",
            Self::Refused { refusal, .. } => refusal.as_str(),
            Self::NoSession { .. } => "no_session",
        }
    }
}
