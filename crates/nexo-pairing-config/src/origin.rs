//! The origin of a value, for messages and for `nexo-pair config`.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use crate::{keys, schema};

/// The origin of a value.
///
/// Displays, and serializes, as `default`, the path of the file, `environment NEXO_PAIRING_…` or
/// `flag --…`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The built-in default.
    Default,
    /// This configuration file.
    File(PathBuf),
    /// The environment variable of this name.
    Environment(String),
    /// This flag of the command line, with its dashes.
    Flag(String),
}

impl Origin {
    /// `key` as it is spelled there.
    pub(crate) fn spelled(&self, key: &str) -> String {
        match self {
            Self::File(_) if key.is_empty() => "pairing".to_owned(),
            Self::File(_) => format!("pairing.{key}"),
            Self::Environment(_) => schema::variable(key),
            Self::Flag(flag) => flag.clone(),
            Self::Default => key.to_owned(),
        }
    }

    /// The known key that is most similar to `key`, as it is spelled there.
    pub(crate) fn nearest(&self, key: &str) -> String {
        self.spelled(&keys::nearest(key, matches!(self, Self::File(_))))
    }

    /// Where that is, to follow a key in a message.
    pub(crate) fn location(&self) -> String {
        match self {
            Self::File(path) => format!(" in {}", path.display()),
            Self::Environment(_) => " in the environment".to_owned(),
            Self::Flag(_) => " on the command line".to_owned(),
            Self::Default => String::new(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
