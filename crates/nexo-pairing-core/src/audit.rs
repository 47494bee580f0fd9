//! Entries of the audit log.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use time::OffsetDateTime;
use time::serde::rfc3339;

use crate::{AccountScope, Actor, ChannelId, SenderId};

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditEvent {
    /// The sequence number, which only grows.
    pub seq: i64,
    /// When it happened.
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
    /// The actor.
    pub actor: Actor,
    /// The action.
    pub action: AuditAction,
    /// The channel, if any.
    pub channel: Option<ChannelId>,
    /// The account or `*`, if any.
    pub account_id: Option<AccountScope>,
    /// The sender, if any; a hash once they were forgotten.
    pub sender_id: Option<SenderId>,
    /// Details; never a code.
    pub detail: Value,
}

impl AuditEvent {
    /// Builds an entry without channel, account and sender, for stores.
    #[must_use]
    pub fn new(
        seq: i64,
        at: OffsetDateTime,
        actor: Actor,
        action: AuditAction,
        detail: Value,
    ) -> Self {
        let (channel, account_id, sender_id) = (None, None, None);
        Self { seq, at, actor, action, channel, account_id, sender_id, detail }
    }
}

/// An action in the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "String")]
#[non_exhaustive]
pub enum AuditAction {
    /// A stranger made a request.
    Request,
    /// A request was approved.
    Approve,
    /// A request was rejected.
    Reject,
    /// A request expired.
    Expire,
    /// A list of senders was admitted.
    Seed,
    /// A grant was revoked.
    Revoke,
    /// A sender was blocked.
    Block,
    /// A block was removed.
    Unblock,
    /// A person was erased.
    Forget,
    /// An actor was locked out.
    Lockout,
    /// A lockout was removed.
    Unlock,
    /// A mode in force changed.
    Mode,
    /// A remembered mode was forgotten.
    ForgetMode,
    /// A channel's adapter moved to or from another process.
    Adapter,
    /// A remembered adapter was forgotten.
    ForgetAdapter,
    /// A setup code was issued.
    CodeIssued,
    /// A setup code was cancelled.
    CodeCancelled,
    /// A new key became the signing key.
    KeyRotated,
    /// A key was retired.
    KeyRetired,
    /// A session began.
    SessionIssued,
    /// A session got a new token, as its claim was repeated.
    SessionReissued,
    /// A device ended its session.
    SessionEnded,
    /// A session was revoked.
    SessionRevoked,
    /// Sessions were imported.
    SessionsImported,
    /// A used setup code was presented again.
    Replay,
    /// An action that this version does not know, by its name in the log.
    Other(Box<str>),
}

macro_rules! action_names {
    ($($action:ident => $name:literal,)+) => {
        impl AuditAction {
            /// Its name in the log.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$action => $name,)+
                    Self::Other(name) => name,
                }
            }
        }

        impl From<&str> for AuditAction {
            fn from(name: &str) -> Self {
                match name {
                    $($name => Self::$action,)+
                    other => Self::Other(other.into()),
                }
            }
        }
    };
}

action_names! {
    Request => "request",
    Approve => "approve",
    Reject => "reject",
    Expire => "expire",
    Seed => "seed",
    Revoke => "revoke",
    Block => "block",
    Unblock => "unblock",
    Forget => "forget",
    Lockout => "lockout",
    Unlock => "unlock",
    Mode => "mode",
    ForgetMode => "forget_mode",
    Adapter => "adapter",
    ForgetAdapter => "forget_adapter",
    CodeIssued => "code_issued",
    CodeCancelled => "code_cancelled",
    KeyRotated => "key_rotated",
    KeyRetired => "key_retired",
    SessionIssued => "session_issued",
    SessionReissued => "session_reissued",
    SessionEnded => "session_ended",
    SessionRevoked => "session_revoked",
    SessionsImported => "sessions_imported",
    Replay => "replay",
}

impl From<String> for AuditAction {
    fn from(name: String) -> Self {
        name.as_str().into()
    }
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for AuditAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_of_another_version_keeps_its_name() {
        let known = AuditAction::from("session_issued");
        assert_eq!(known, AuditAction::SessionIssued);
        let other = AuditAction::from("session_cloned".to_owned());
        assert_eq!(other, AuditAction::Other("session_cloned".into()));
        for action in [known, other] {
            let json = serde_json::to_value(&action).unwrap();
            assert_eq!(json, action.as_str());
            assert_eq!(serde_json::from_value::<AuditAction>(json).unwrap(), action);
        }
    }
}
