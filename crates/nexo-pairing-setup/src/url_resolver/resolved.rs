//! The resolved URL, its source and its warnings.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A URL for a setup code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResolvedUrl {
    /// The URL, as a browser normalizes it: `wss`, `https`, `ws` or `http`, printable
    /// ASCII, at most [`MAX_URL_BYTES`](nexo_pairing_core::setup_code::MAX_URL_BYTES) long.
    pub url: String,
    /// Where it comes from.
    pub source: UrlSource,
    /// What the operator should know before they show the code.
    pub warnings: Vec<UrlWarning>,
}

/// Where a URL comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlSource {
    /// The flag `--public-url`.
    Flag,
    /// `public_url` of the configuration.
    Config,
    /// The variable `NEXO_TUNNEL_URL`.
    Environment,
    /// The file to which a tunnel writes its URL.
    TunnelFile {
        /// The file.
        path: PathBuf,
        /// Its age; `None` if its time is in the future. An old file may belong to a tunnel that is
        /// gone.
        age: Option<Duration>,
    },
}

impl UrlSource {
    /// The source's name, for programs: `--public-url`, `pairing.public_url`, `NEXO_TUNNEL_URL` or
    /// `tunnel.url`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Flag => "--public-url",
            Self::Config => "pairing.public_url",
            Self::Environment => "NEXO_TUNNEL_URL",
            Self::TunnelFile { .. } => "tunnel.url",
        }
    }
}

/// The source's name, with the path of a file.
impl fmt::Display for UrlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TunnelFile { path, .. } => write!(f, "{}", path.display()),
            _ => f.write_str(self.as_str()),
        }
    }
}

/// What the operator should know about an accepted URL. `Display` is a sentence for them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlWarning {
    /// The URL is not encrypted.
    Cleartext {
        /// The host.
        host: String,
    },
    /// The host is the machine itself.
    ThisMachine {
        /// The host.
        host: String,
    },
}

impl UrlWarning {
    /// The stable name of this kind of warning, for programs: `cleartext` or `this_machine`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cleartext { .. } => "cleartext",
            Self::ThisMachine { .. } => "this_machine",
        }
    }
}

impl fmt::Display for UrlWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cleartext { host } => write!(
                f,
                "the connection to {host} is not encrypted: anyone on that network can read the \
                 session token"
            ),
            Self::ThisMachine { host } => {
                write!(f, "{host} is this machine: no other device can reach it")
            }
        }
    }
}
