//! Errors of keys, of issuing and of verifying.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nexo_pairing_core::SetupCodeError;
use nexo_pairing_core::limits::SETUP_CODE_TTL;
use nexo_pairing_core::timestamp::rfc3339_seconds;
use time::OffsetDateTime;

use crate::paths::{owner_hint, quoted};
use crate::{KeyId, RandomError};

/// Why a key cannot be used or the key ring cannot be changed. A refused file is left unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key does not exist.
    #[error("there is no key at {}", .path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The path is a directory, a device or another kind of file.
    #[error("{} is not a regular file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The path is a symbolic link, and the key is not external.
    #[error("the key {} is a symbolic link", .path.display())]
    Symlink {
        /// The path.
        path: PathBuf,
    },
    /// The file does not hold exactly 32 bytes.
    #[error("the key {} must have 32 bytes, not {length}", .path.display())]
    Length {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
    },
    /// Other users can read or write the key; for an external key, write it.
    #[error("others have access to the key {} (mode {mode:04o})", .path.display())]
    Mode {
        /// The path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Whether the key is external.
        external: bool,
    },
    /// The key belongs to another user.
    #[error("the key {} belongs to user {owner}, not to {expected}", .path.display())]
    Owner {
        /// The path.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of this process, or the owner of the folder if that is a third user.
        expected: u32,
    },
    /// There is no permission to read or write the key or its folder.
    #[error("no permission to use the key {}", .path.display())]
    Permission {
        /// The path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A file in the key ring holds a different key than its name says.
    #[error("{} holds the key {found}", .path.display())]
    Name {
        /// The path.
        path: PathBuf,
        /// The id of the key in the file.
        found: KeyId,
    },
    /// A file operation failed.
    #[error("failed to use {}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// No random bytes were available for a key.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A text is not a key id.
    #[error("a key id must be 8 lower-case hexadecimal digits")]
    Id,
    /// The key ring has no such key.
    #[error("the key ring has no key {id}")]
    Unknown {
        /// The id that was given.
        id: KeyId,
    },
    /// The current key cannot be retired.
    #[error("the key {id} is the current one")]
    Current {
        /// Its id.
        id: KeyId,
    },
    /// The keys are external, so they are not changed here.
    #[error("the key {} is external and is not changed here", .path.display())]
    External {
        /// The path.
        path: PathBuf,
    },
}

impl KeyError {
    /// The stable name of this kind of error, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Random(_) => "random",
            Self::Id => "invalid",
            Self::Unknown { .. } => "unknown_key",
            Self::Current { .. } => "current_key",
            Self::External { .. } => "external_key",
            _ => "key_file",
        }
    }

    /// What the operator can do about it: if possible, the command that fixes it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Missing { path } => format!(
                "put 32 random bytes there: (umask 077; head -c 32 /dev/urandom > {})",
                quoted(path)
            ),
            Self::NotAFile { path } => format!(
                "set pairing.setup_code.secret_path to a file in it: {}",
                quoted(&path.join("pairing.key"))
            ),
            Self::Symlink { path } => format!(
                "replace the link with the file: mv \"$(readlink -f {0})\" {0}; or, for a mounted \
                 secret, set pairing.setup_code.secret_external: true",
                quoted(path)
            ),
            Self::Length { path, .. } => {
                let mut aside = path.clone().into_os_string();
                aside.push(".damaged");
                format!(
                    "restore a copy of the key; without one, move the file aside, and a new key is \
                     created: mv {} {}",
                    quoted(path),
                    quoted(Path::new(&aside))
                )
            }
            Self::Mode { path, external: false, .. } => format!("chmod 600 {}", quoted(path)),
            Self::Mode { path, external: true, .. } => format!("chmod go-w {}", quoted(path)),
            Self::Owner { path, owner, expected } => owner_hint(path, *owner, *expected),
            Self::Permission { path, .. } if path.symlink_metadata().is_ok() => {
                format!("as its owner: chmod 600 {}", quoted(path))
            }
            Self::Permission { path, .. } => format!(
                "run as the owner of the folder: ls -ld {}",
                quoted(path.parent().unwrap_or(path))
            ),
            Self::Name { path, found } => {
                format!("mv {} {}", quoted(path), quoted(&path.with_file_name(found.to_string())))
            }
            Self::Unknown { .. } => "list the keys with `nexo-pair keys list`".to_owned(),
            Self::Current { .. } => {
                "make another key the current one first: nexo-pair keys rotate".to_owned()
            }
            Self::External { .. } => "change it at its source".to_owned(),
            Self::Io { .. } | Self::Random(_) | Self::Id => return None,
        };
        Some(hint)
    }

    /// Classifies an error of the file system.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Permission { path, source }
            }
            _ => Self::Io { path, source },
        }
    }
}

/// Why a setup code was not issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The time to live is out of range.
    #[error(
        "the time to live must be {} to {} s, not {} s",
        SETUP_CODE_TTL.min.as_secs(), SETUP_CODE_TTL.max.as_secs(), .given.as_secs_f64()
    )]
    Ttl {
        /// The time that was given.
        given: Duration,
    },
    /// The URL, the profile or the device label is invalid.
    #[error(transparent)]
    Code(#[from] SetupCodeError),
    /// No random bytes were available for a nonce.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl IssueError {
    /// The stable name of this kind of error, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ttl { .. } | Self::Code(_) => "invalid",
            Self::Random(_) => "random",
        }
    }
}

/// Why a token was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It is not a token, or its claims are invalid although a key of the ring signed them.
    #[error("the token is malformed")]
    Malformed(#[source] SetupCodeError),
    /// No key of the ring signed it.
    #[error("the token was not signed by a key of this ring")]
    InvalidSignature,
    /// It has expired.
    #[error("the token expired at {}", rfc3339_seconds(*at))]
    Expired {
        /// When it expired.
        at: OffsetDateTime,
    },
}

impl VerifyError {
    /// The stable name of this kind of error, for programs: `malformed`, `invalid_signature` or
    /// `expired`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::InvalidSignature => "invalid_signature",
            Self::Expired { .. } => "expired",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_shown_in_whole_seconds() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_800_000_000_123_456_789).unwrap();
        let message = VerifyError::Expired { at }.to_string();
        assert_eq!(message, "the token expired at 2027-01-15T08:00:00Z");
    }

    #[test]
    fn kinds_have_their_names() {
        assert_eq!(KeyError::Id.kind(), "invalid");
        assert_eq!(KeyError::Missing { path: "/k".into() }.kind(), "key_file");
        assert_eq!(KeyError::Random(RandomError::default()).kind(), "random");
    }

    #[test]
    fn the_hint_for_missing_permission_names_the_file_or_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairing.key");
        let hint = || KeyError::io(&path, io::ErrorKind::PermissionDenied.into()).hint().unwrap();
        assert_eq!(
            hint(),
            format!("run as the owner of the folder: ls -ld {}", folder.path().display())
        );
        std::fs::write(&path, "").unwrap();
        assert_eq!(hint(), format!("as its owner: chmod 600 {}", path.display()));
    }

    #[test]
    fn a_hint_can_be_pasted_into_a_shell() {
        let hint = |path: &str| {
            let error = KeyError::Mode { path: path.into(), mode: 0o644, external: false };
            error.hint().unwrap()
        };
        assert_eq!(hint("/var/lib/nexo/pairing.key"), "chmod 600 /var/lib/nexo/pairing.key");
        assert_eq!(hint("/a b/$(x)"), "chmod 600 '/a b/$(x)'");
        assert_eq!(hint("/it's"), r"chmod 600 '/it'\''s'");
        assert_eq!(hint("-R"), "chmod 600 ./-R");
    }
}
