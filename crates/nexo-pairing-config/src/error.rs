//! Configuration errors: what is wrong, where, and what to do about it.

use std::borrow::Cow;
use std::path::PathBuf;

use nexo_pairing_core::PolicyError;
use nexo_pairing_core::text::truncate;
use serde_json::Value;

use crate::Origin;

/// Why a configuration cannot be loaded.
///
/// Keys are spelled as at their origin: `pairing.gate.mode` in a file, `NEXO_PAIRING_GATE__MODE` in the
/// environment, `--db` on the command line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Neither `NEXO_HOME` nor `HOME` is set.
    #[error(
        "neither NEXO_HOME nor HOME is set, so there is no default for {needed}: \
         set NEXO_HOME to the directory where Nexo keeps its files"
    )]
    NoHome {
        /// What has no default.
        needed: &'static str,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file that configured a running process is gone, or no longer sets anything.
    #[error(
        "{} no longer configures anything: it is missing, empty, or sets no key below `pairing:`; \
         restart to go back to the defaults",
        .path.display()
    )]
    Lost {
        /// The previous file.
        path: PathBuf,
    },
    /// The file changed while it was read.
    #[error("{} is being written: reload once it is complete", .path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// On a reload, the file ends without a newline, so it may be truncated.
    #[error(
        "{} may be truncated, because its last line has no newline: add one",
        .path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than 1 MiB, so it cannot be a configuration.
    #[error("the configuration file {} is larger than 1 MiB", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A file, a variable or a path is not UTF-8.
    #[error("{what} is not UTF-8")]
    NotUtf8 {
        /// The file, the variable or the path.
        what: String,
    },
    /// A file or a variable is not valid YAML, or exceeds the limits.
    #[error("{origin} is not valid YAML: {reason}")]
    Syntax {
        /// The file or the variable.
        origin: Origin,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// An unknown key.
    #[error("unknown key `{key}`{}, did you mean `{nearest}`?", .origin.location())]
    UnknownKey {
        /// The key.
        key: String,
        /// Its origin.
        origin: Origin,
        /// The most similar known key.
        nearest: String,
    },
    /// A value that is of the wrong type, out of range, missing or contradicts another one.
    #[error("`{key}`{} {problem}", .origin.location())]
    Invalid {
        /// The key.
        key: String,
        /// Its origin.
        origin: Origin,
        /// What is wrong.
        problem: String,
    },
    /// The options of an account contradict each other.
    #[error("`{key}`{} is not consistent", .origin.location())]
    Policy {
        /// The section, or the entry.
        key: String,
        /// Its origin.
        origin: Origin,
        /// Why.
        source: PolicyError,
    },
}

impl ConfigError {
    pub(crate) fn unknown(origin: &Origin, key: &str) -> Self {
        Self::UnknownKey {
            key: excerpt(&origin.spelled(key)),
            origin: origin.clone(),
            nearest: origin.nearest(key),
        }
    }

    /// For a key beside `pairing:`.
    pub(crate) fn unknown_root(origin: &Origin, key: &str) -> Self {
        let nearest = match strsim::osa_distance(&excerpt(key), "pairing") {
            0..=2 => "pairing".to_owned(),
            _ => origin.nearest(key),
        };
        Self::UnknownKey { key: excerpt(key), origin: origin.clone(), nearest }
    }

    pub(crate) fn invalid(origin: &Origin, key: &str, problem: impl Into<String>) -> Self {
        let key = excerpt(&origin.spelled(key));
        Self::Invalid { key, origin: origin.clone(), problem: problem.into() }
    }

    pub(crate) fn not_allowed(origin: &Origin, key: &str, value: &Value, allowed: &str) -> Self {
        let value = match value {
            Value::String(text) => excerpt(&without_user_info(text)),
            other => excerpt(&other.to_string()),
        };
        Self::invalid(origin, key, format!("is `{value}`, it has to be {allowed}"))
    }

    pub(crate) fn policy(origin: &Origin, key: &str, source: PolicyError) -> Self {
        Self::Policy { key: origin.spelled(key), origin: origin.clone(), source }
    }
}

/// A URL without a password in it.
fn without_user_info(text: &str) -> Cow<'_, str> {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}").into(),
        _ => text.into(),
    }
}

/// The beginning of `text`: a message must contain neither a whole file nor terminal escape sequences.
fn excerpt(text: &str) -> String {
    truncate(text, 80)
}
