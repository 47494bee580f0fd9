//! Why there is no configuration: what is wrong, where it stands, and what to do about it.

use std::borrow::Cow;
use std::path::PathBuf;

use nexo_pairing_core::PolicyError;
use serde_json::Value;

use crate::{Origin, schema};

/// Why there is no configuration.
///
/// Keys are spelled as they are where they came from: `pairing.gate.mode` in a file,
/// `NEXO_PAIRING_GATE__MODE` in the environment, `--db` on the command line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Neither `NEXO_HOME` nor `HOME` is set.
    #[error(
        "neither NEXO_HOME nor HOME is set, so there is no default for {needed}: \
         set NEXO_HOME to the directory where Nexo keeps its files"
    )]
    NoHome {
        /// What would be there.
        needed: &'static str,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file that a running process was configured by says nothing any more, or is gone.
    #[error(
        "nothing is configured in {} any more: it is gone, empty, or gives no key below `pairing:` a value; \
         to go back to the defaults, start anew",
        .path.display()
    )]
    Lost {
        /// The file that said something.
        path: PathBuf,
    },
    /// The file changes while it is read.
    #[error("{} is being written: reload when that is done", .path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// The file that was read again ends without a newline, so that its end may be missing.
    #[error(
        "{} may be incomplete, because its last line has no end: put a newline there",
        .path.display()
    )]
    Cut {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than 1 MiB, so it is not what it should be.
    #[error("the configuration file {} is larger than 1 MiB", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A file, a variable or a path is not UTF-8.
    #[error("{what} is not UTF-8")]
    NotUtf8 {
        /// What it is.
        what: String,
    },
    /// A file or a variable is not YAML, or goes beyond the limits that are set for it.
    #[error("{origin} cannot be read as YAML: {reason}")]
    Syntax {
        /// The file or the variable.
        origin: Origin,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// There is no such key.
    #[error("unknown key `{key}`{}, did you mean `{nearest}`?", place(.origin))]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// The known key that is the most like it.
        nearest: String,
    },
    /// A value is of the wrong type or out of range.
    #[error("`{key}`{} is `{value}`, it has to be {allowed}", place(.origin))]
    Invalid {
        /// The key.
        key: String,
        /// Its value, shortened.
        value: String,
        /// Where it stands.
        origin: Origin,
        /// What is allowed.
        allowed: String,
    },
    /// An entry of a list lacks a key that every entry needs.
    #[error("`{key}`{} is missing, every entry needs it", place(.origin))]
    Missing {
        /// The key.
        key: String,
        /// Where it should stand.
        origin: Origin,
    },
    /// Two entries of a list are for the same account, or for the same channel.
    #[error("`{key}`{} is for the same as `{first}`, keep one of them", place(.origin))]
    Duplicate {
        /// The second one.
        key: String,
        /// The first one.
        first: String,
        /// Where they stand.
        origin: Origin,
    },
    /// Two values that are fine each do not go together.
    #[error("`{key}`{} {problem}", place(.origin))]
    Unfit {
        /// The key.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// What is wrong.
        problem: &'static str,
    },
    /// The options of an account make no policy.
    #[error("`{key}`{} is not consistent", place(.origin))]
    Policy {
        /// The section, or the entry.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// Why.
        source: PolicyError,
    },
}

impl ConfigError {
    pub(crate) fn unknown(origin: &Origin, key: &str) -> Self {
        Self::UnknownKey {
            key: clip(&spelled(origin, key)),
            origin: origin.clone(),
            nearest: spelled(origin, &schema::nearest(key, origin)),
        }
    }

    /// For a key that does not stand below `pairing:`, where it should.
    pub(crate) fn unknown_root(origin: &Origin, key: &str) -> Self {
        let nearest = match strsim::osa_distance(&clip(key), "pairing") {
            0..=2 => "pairing".to_owned(),
            _ => spelled(origin, &schema::nearest(key, origin)),
        };
        Self::UnknownKey { key: clip(key), origin: origin.clone(), nearest }
    }

    pub(crate) fn invalid(origin: &Origin, key: &str, value: &Value, allowed: String) -> Self {
        let value = match value {
            Value::String(text) => clip(&without_user_info(text)),
            other => clip(&other.to_string()),
        };
        Self::Invalid { key: clip(&spelled(origin, key)), value, origin: origin.clone(), allowed }
    }

    pub(crate) fn unfit(origin: &Origin, key: &str, problem: &'static str) -> Self {
        Self::Unfit { key: spelled(origin, key), origin: origin.clone(), problem }
    }

    pub(crate) fn missing(origin: &Origin, key: &str) -> Self {
        Self::Missing { key: spelled(origin, key), origin: origin.clone() }
    }

    pub(crate) fn duplicate(origin: &Origin, key: &str, first: &str) -> Self {
        let (key, first) = (spelled(origin, key), spelled(origin, first));
        Self::Duplicate { key, first, origin: origin.clone() }
    }

    pub(crate) fn policy(origin: &Origin, key: &str, source: PolicyError) -> Self {
        Self::Policy { key: spelled(origin, key), origin: origin.clone(), source }
    }
}

/// `key` as it is written where it came from.
fn spelled(origin: &Origin, key: &str) -> String {
    match origin {
        Origin::File(_) if key.is_empty() => "pairing".to_owned(),
        Origin::File(_) => format!("pairing.{key}"),
        Origin::Environment(_) => schema::variable(key),
        Origin::Flag(flag) => flag.clone(),
        Origin::Default => key.to_owned(),
    }
}

/// A URL without the password that somebody put into it.
fn without_user_info(text: &str) -> Cow<'_, str> {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}").into(),
        _ => text.into(),
    }
}

fn place(origin: &Origin) -> String {
    match origin {
        Origin::File(path) => format!(" in {}", path.display()),
        Origin::Environment(_) => " in the environment".to_owned(),
        Origin::Flag(_) => " on the command line".to_owned(),
        Origin::Default => String::new(),
    }
}

/// The beginning of `text`, fit to be shown: nobody wants a whole file in a message, nor the escape
/// sequences in it on his terminal.
fn clip(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown = String::new();
    for c in text.chars().take(SHOWN) {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
