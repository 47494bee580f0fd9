//! The types that stores, gates and setup codes share.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A request that awaits the operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PendingRequest {
    /// The channel.
    pub channel: String,
    /// The account that received the message.
    pub account_id: String,
    /// The sender.
    pub sender_id: String,
    /// The code that the operator approves.
    pub code: String,
    /// When the sender first wrote.
    pub created_at: DateTime<Utc>,
    /// Metadata of the sender, from the channel.
    #[serde(default)]
    pub meta: serde_json::Value,
}

/// The result of an approval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovedRequest {
    /// The channel.
    pub channel: String,
    /// The account.
    pub account_id: String,
    /// The admitted sender.
    pub sender_id: String,
    /// When the grant was made.
    pub approved_at: DateTime<Utc>,
}

/// A grant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AllowedSender {
    /// The channel.
    pub channel: String,
    /// The account.
    pub account_id: String,
    /// The admitted sender.
    pub sender_id: String,
    /// When the grant was made.
    pub approved_at: DateTime<Utc>,
    /// Who made it: `cli`, `seed`, or an actor of 0.2.
    pub approved_via: String,
    /// When the grant ended; `None` if it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A new request or the existing one.
#[derive(Debug, Clone)]
pub struct UpsertOutcome {
    /// Its code.
    pub code: String,
    /// Whether it is new.
    pub created: bool,
}

/// The decision of a gate on a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Deliver the message.
    Admit,
    /// Withhold it, and send its sender the code.
    Challenge {
        /// The code.
        code: String,
    },
    /// Withhold it silently.
    Drop,
}

/// How an account treats strangers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairingPolicy {
    /// Whether strangers are challenged. Default: they are admitted.
    #[serde(default)]
    pub auto_challenge: bool,
}

/// The content of a setup code, for a companion. `Debug` does not show the token.
#[derive(Clone, Serialize, Deserialize)]
pub struct SetupCode {
    /// The URL to connect to.
    pub url: String,
    /// The token to present there.
    pub bootstrap_token: String,
    /// When the token expires.
    pub expires_at: DateTime<Utc>,
}

impl fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetupCode")
            .field("url", &self.url)
            .field("bootstrap_token", &format_args!("redacted"))
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// The claims of a bootstrap token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenClaims {
    /// The kind of device.
    pub profile: String,
    /// When the token expires.
    pub expires_at: DateTime<Utc>,
    /// A random value that makes the token unique.
    pub nonce: String,
    /// The operator's label for the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_label: Option<String>,
}

/// Why an operation was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    /// No live request has this code.
    #[error("unknown code")]
    UnknownCode,
    /// The code or the token expired.
    #[error("expired")]
    Expired,
    /// The token was not signed with this key.
    #[error("invalid signature")]
    InvalidSignature,
    /// The account, or all accounts together, have the maximum number of live requests.
    #[error("max pending reached for {channel}:{account_id}")]
    MaxPending {
        /// The channel.
        channel: String,
        /// The account.
        account_id: String,
    },
    /// The store failed.
    #[error("storage: {0}")]
    Storage(String),
    /// A file could not be used.
    #[error("io: {0}")]
    Io(String),
    /// An argument is invalid, or the operation is refused for this sender.
    #[error("invalid: {0}")]
    Invalid(&'static str),
}
