//! Why a call to a gateway failed.

use std::fmt;
use std::io;
use std::time::Duration;

use nexo_pairing_core::RandomError;
use nexo_pairing_core::limits::LABEL_FORM;
use nexo_pairing_core::text::truncate;

/// The length to which text from a gateway is truncated, in characters.
pub(crate) const MAX_TEXT: usize = 200;

/// The steps of a call, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Resolving the gateway's host name.
    Resolve,
    /// Opening a TCP connection.
    Connect,
    /// The TLS handshake, with the check of the certificate.
    Tls,
    /// Sending the request and waiting for the answer, including the pauses before retries.
    Answer,
}

impl fmt::Display for Step {
    /// A phrase between "failed to" and the name of the gateway.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "find the address of",
            Self::Connect => "connect to",
            Self::Tls => "agree on TLS with",
            Self::Answer => "get an answer from",
        })
    }
}

/// Why a call to a gateway failed.
///
/// Text from the gateway is escaped and truncated to 200 characters. Errors contain no secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL of the gateway is invalid.
    #[error("the url of the setup code {rule}")]
    Url {
        /// The rule that it breaks, as the end of a sentence.
        rule: &'static str,
    },
    /// The device label is invalid.
    #[error("a device label must have {LABEL_FORM}")]
    DeviceLabel,
    /// The operating system provides no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The gateway could not be reached. Nothing was sent.
    #[error("failed to {step} {gateway}")]
    Unreachable {
        /// The step that failed.
        step: Step,
        /// Host and port of the gateway.
        gateway: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The time limit was reached. At [`Step::Answer`] the outcome is unknown.
    #[error("failed to {step} {gateway} within {} s", limit.as_secs_f64())]
    TimedOut {
        /// The step that took too long.
        step: Step,
        /// Host and port of the gateway.
        gateway: String,
        /// The time limit of the call.
        limit: Duration,
    },
    /// The connection broke, or the gateway was unavailable, before the answer was complete. The
    /// outcome is unknown.
    #[error("failed to get an answer from {gateway}")]
    Lost {
        /// Host and port of the gateway.
        gateway: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The answer is not that of a gateway.
    #[error("{gateway} does not answer like a gateway: {what}")]
    BadAnswer {
        /// Host and port of the gateway.
        gateway: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// The gateway refused the setup code.
    #[error("{gateway} refuses the setup code: {message}")]
    Refused {
        /// The reason, for programs.
        refusal: Refusal,
        /// Host and port of the gateway.
        gateway: String,
        /// The reason, in the words of the gateway.
        message: String,
        /// When to retry, if the gateway says.
        retry_after: Option<Duration>,
    },
    /// The session is not live: it never existed, has expired or was ended.
    #[error("{gateway} has no live session for this token")]
    NoSession {
        /// Host and port of the gateway.
        gateway: String,
    },
}

/// The reason why a gateway refused a setup code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The claim or the code is malformed.
    Malformed,
    /// The gateway did not sign the code.
    InvalidSignature,
    /// The code has expired.
    Expired,
    /// The code was already used. Presenting it again may have ended the session that it gave.
    Replayed,
    /// The operator cancelled the code.
    Cancelled,
    /// Too many claims from this address failed.
    Throttled,
    /// Another reason; see the message.
    Other,
}

impl Refusal {
    /// The stable name, for programs: that of the protocol, or `refused`.
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

    /// The refusal of this name. A gateway of 0.1.8 sends any text instead.
    fn parse(name: &str) -> Self {
        match name {
            "malformed" => Self::Malformed,
            "invalid_signature" => Self::InvalidSignature,
            "expired" => Self::Expired,
            "replayed" => Self::Replayed,
            "cancelled" => Self::Cancelled,
            "throttled" => Self::Throttled,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl ClientError {
    /// The error for a refusal of the gateway.
    pub(crate) fn refused(
        gateway: String,
        kind: &str,
        message: Option<&str>,
        retry_after: Option<Duration>,
    ) -> Self {
        let message = truncate(message.unwrap_or(kind), MAX_TEXT);
        match kind {
            "unavailable" => Self::Lost { gateway, source: io::Error::other(message) },
            // A gateway, but at another URL than the one in the code.
            "not_found" | "method_not_allowed" | "upgrade_required" => {
                Self::BadAnswer { gateway, what: message }
            }
            _ => Self::Refused { refusal: Refusal::parse(kind), gateway, message, retry_after },
        }
    }

    /// The error after an earlier attempt that may have succeeded.
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
