//! Why no URL was resolved, and what the operator can do about it.

use std::io;
use std::path::PathBuf;

use super::resolved::UrlSource;
use crate::paths::{owner_hint, quoted};

/// Why no URL was resolved. No setup code may be issued then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No source is set, so the gateway is at most reachable on loopback.
    #[error("no URL is set for companions to reach the gateway")]
    LoopbackOnly,
    /// The URL is not encrypted, and its host is not in a private network.
    #[error("the URL `{url}` from {origin} would expose the session token: it is not encrypted")]
    InsecureCleartext {
        /// Its source.
        origin: UrlSource,
        /// The URL, as a browser normalizes it.
        url: String,
        /// Its host.
        host: String,
    },
    /// The URL cannot be used.
    #[error("the URL `{value}` from {origin} cannot be used")]
    Invalid {
        /// Its source.
        origin: UrlSource,
        /// The value: without user information, truncated to 120 characters, control characters
        /// escaped.
        value: String,
        /// What is wrong with it.
        #[source]
        problem: UrlProblem,
    },
    /// The file of the tunnel cannot be used.
    #[error("the file {} cannot be used", .path.display())]
    TunnelFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        problem: TunnelFileProblem,
    },
    /// An entry in the list of hosts that need no encryption is not a host.
    #[error("`{entry}` in pairing.ws_cleartext_allow is not a host")]
    CleartextHost {
        /// The entry, as [`Invalid`](Self::Invalid) shows it.
        entry: String,
    },
}

/// What is wrong with a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is too long, or would be in ASCII.
    #[error("it has {length} bytes, at most {max} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// It contains a control character, white space or a backslash, which browsers silently drop or
    /// change.
    #[error("it contains a {}", name_of(*.character))]
    Character {
        /// The character.
        character: char,
    },
    /// It does not begin with a scheme and `://`.
    #[error("it does not begin with a scheme, such as wss://")]
    NoScheme,
    /// The scheme is not one of `wss`, `https`, `ws` and `http`.
    #[error("its scheme is not wss, https, ws or http")]
    Scheme,
    /// It has no host.
    #[error("it has no host")]
    NoHost,
    /// Its host is neither an address nor a name.
    #[error("its host is neither an address nor a host name")]
    Host,
    /// Its port is 0, above 65535, or not a number.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// It contains a user or a password, or the `@` after them.
    #[error("it contains user information, before an `@`")]
    UserInfo,
    /// It contains a fragment, which is never sent.
    #[error("it contains a fragment, after a `#`")]
    Fragment,
}

/// What is wrong with the file of a tunnel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelFileProblem {
    /// It is a symbolic link.
    #[error("it is a symbolic link")]
    Symlink,
    /// It is a directory, a pipe or another kind of file.
    #[error("it is not a regular file")]
    NotAFile,
    /// It belongs to another user.
    #[error("it belongs to user {owner}, not to {expected}")]
    Owner {
        /// Its owner.
        owner: u32,
        /// The user of this process, or the owner of the folder if that is a third user.
        expected: u32,
    },
    /// Others can write to it.
    #[error("others can write to it (mode {mode:04o})")]
    Mode {
        /// Its permission bits.
        mode: u32,
    },
    /// It is too long.
    #[error("it has more than {max} bytes")]
    TooLong {
        /// The limit, in bytes.
        max: usize,
    },
    /// It is not text.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// It has more than one line.
    #[error("it has more than one line")]
    SeveralLines,
    /// It cannot be read.
    #[error("it cannot be read")]
    Io(#[source] io::Error),
}

impl ResolveError {
    /// The stable name of this kind of error, for programs: `loopback_only`, `insecure_url`,
    /// `invalid_url`, `tunnel_file` or `invalid`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::LoopbackOnly => "loopback_only",
            Self::InsecureCleartext { .. } => "insecure_url",
            Self::Invalid { .. } => "invalid_url",
            Self::TunnelFile { .. } => "tunnel_file",
            Self::CleartextHost { .. } => "invalid",
        }
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::LoopbackOnly => "set one: --public-url wss://HOST, or pairing.public_url, or \
                                   NEXO_TUNNEL_URL"
                .to_owned(),
            Self::InsecureCleartext { host, .. } => format!(
                "use wss://; or, if everyone between a companion and {host} may read the traffic, \
                 add {host} to pairing.ws_cleartext_allow"
            ),
            Self::Invalid { problem, .. } => problem.hint().to_owned(),
            Self::TunnelFile { path, problem } => {
                let file = quoted(path);
                match problem {
                    TunnelFileProblem::Owner { owner, expected } => {
                        owner_hint(path, *owner, *expected)
                    }
                    TunnelFileProblem::Mode { .. } => format!("chmod go-w {file}"),
                    TunnelFileProblem::Io(_) => format!("check its permissions: ls -la {file}"),
                    _ => format!(
                        "let the tunnel write only its URL there, or remove the file: rm {file}"
                    ),
                }
            }
            Self::CleartextHost { .. } => "write a host name or an address without scheme, port, \
                                           path or wildcard: kitchen-pi.local"
                .to_owned(),
        }
    }
}

impl UrlProblem {
    fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "leave it out, or set a URL such as wss://nexo.example.com",
            Self::TooLong { .. } => "use a shorter one, such as wss://nexo.example.com",
            Self::Character { .. } => "remove it, or percent-encode it, such as %20",
            Self::NoScheme | Self::Scheme | Self::NoHost | Self::Host => {
                "write it as wss://nexo.example.com"
            }
            Self::Port => "write it as wss://nexo.example.com:8443, or without a port",
            Self::UserInfo => {
                "remove it: companions present the token of the setup code and nothing else"
            }
            Self::Fragment => "remove it",
        }
    }
}

/// How much of an invalid value is shown, in characters.
const SHOWN_CHARACTERS: usize = 120;

/// A value for an error: without possible user information, truncated, control characters escaped.
pub(super) fn redacted(value: &str) -> String {
    let value = value.trim();
    // Up to the last `@`: a password may contain `/`, `#` and `@` that should have been encoded.
    let shown = match value.rfind(['@', '\u{ff20}']) {
        Some(at) => {
            let (before, after) = value.split_at(at);
            format!("{}…{after}", scheme_of(before))
        }
        None => value.to_owned(),
    };
    let mut cut: String = shown.chars().take(SHOWN_CHARACTERS).collect();
    if cut.len() < shown.len() {
        cut.push('…');
    }
    cut.escape_debug().to_string()
}

/// The scheme and the `://` at the beginning of a text, or an empty text.
fn scheme_of(text: &str) -> &str {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    match text.split_once("://") {
        Some((scheme, _)) if scheme.chars().all(is_inner) => &text[..scheme.len() + 3],
        _ => "",
    }
}

fn name_of(character: char) -> String {
    match character {
        ' ' => "space".to_owned(),
        '\t' => "tab".to_owned(),
        '\n' | '\r' => "line break".to_owned(),
        '\\' => "backslash".to_owned(),
        other if other.is_control() => format!("control character U+{:04X}", u32::from(other)),
        other => format!("white space character U+{:04X}", u32::from(other)),
    }
}
