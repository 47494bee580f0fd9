//! Why no URL is given out, and what the operator can do about it.

use std::io;
use std::path::PathBuf;

use super::resolved::UrlSource;
use crate::error::{owner_hint, quoted};

/// Why no URL is given out. No setup code may be issued then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No source is set, so that the gateway is reached on loopback at most.
    #[error("no URL is set at which a companion reaches the gateway")]
    LoopbackOnly,
    /// The URL is not encrypted, and its host is not in a private network.
    #[error("the URL `{url}` from {origin} would show the session token: it is not encrypted")]
    InsecureCleartext {
        /// Where it comes from.
        origin: UrlSource,
        /// The URL, as a browser reads it.
        url: String,
        /// Its host.
        host: String,
    },
    /// The URL cannot be used.
    #[error("the URL `{value}` from {origin} cannot be used")]
    Invalid {
        /// Where it comes from.
        origin: UrlSource,
        /// What was given: without user information, cut to 120 characters, control characters
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
    /// There is something else than a host in the list of hosts that need no encryption.
    #[error("`{entry}` in pairing.ws_cleartext_allow is no host")]
    CleartextHost {
        /// What there is, as [`Invalid`](Self::Invalid) shows it.
        entry: String,
    },
}

/// What is wrong with a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It is too long, or becomes so when it is written in ASCII.
    #[error("it has {length} bytes, at most {max} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The most that is allowed, in bytes.
        max: usize,
    },
    /// There is a control character, white space or a backslash in it, which browsers drop or change
    /// in silence.
    #[error("there is a {} in it", name_of(*.character))]
    Character {
        /// The character.
        character: char,
    },
    /// It does not begin with a scheme and `://`.
    #[error("it does not begin with wss:// or another scheme")]
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
    /// Its port is 0, above 65535, or no number.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// There is a user or a password in it, or the `@` behind them.
    #[error("there is user information in it, before an `@`")]
    UserInfo,
    /// There is a fragment in it, which is never sent.
    #[error("there is a fragment in it, behind a `#`")]
    Fragment,
}

/// What is wrong with the file of a tunnel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelFileProblem {
    /// It is a symbolic link.
    #[error("it is a symbolic link")]
    Symlink,
    /// It is a directory, a pipe or something else that is no file.
    #[error("it is no file")]
    NotAFile,
    /// It belongs to another user.
    #[error("it belongs to user {owner}, not to {expected}")]
    Owner {
        /// Whose it is.
        owner: u32,
        /// Who we are; where the folder belongs to neither of the two, its owner.
        expected: u32,
    },
    /// Others can write to it.
    #[error("others can write to it (mode {mode:04o})")]
    Mode {
        /// The permission bits that it has.
        mode: u32,
    },
    /// It is too long.
    #[error("it has more than {max} bytes")]
    TooLong {
        /// The most that is allowed, in bytes.
        max: usize,
    },
    /// It is no text.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// There is more than one line in it.
    #[error("there is more than one line in it")]
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
            Self::LoopbackOnly => "name one: --public-url wss://HOST, or pairing.public_url, or \
                                   NEXO_TUNNEL_URL"
                .to_owned(),
            Self::InsecureCleartext { host, .. } => format!(
                "use wss://; or, if everybody between a companion and {host} may read what they \
                 say, put {host} into pairing.ws_cleartext_allow"
            ),
            Self::Invalid { problem, .. } => problem.hint().to_owned(),
            Self::TunnelFile { path, problem } => {
                let file = quoted(path);
                match problem {
                    TunnelFileProblem::Owner { owner, expected } => {
                        owner_hint(path, *owner, *expected)
                    }
                    TunnelFileProblem::Mode { .. } => format!("chmod go-w {file}"),
                    TunnelFileProblem::Io(_) => format!("see who may read it: ls -la {file}"),
                    _ => format!(
                        "have the tunnel write its URL there, and nothing else; or remove it: \
                         rm {file}"
                    ),
                }
            }
            Self::CleartextHost { .. } => "write a host name or an address, without scheme, port, \
                                           path and wildcard: kitchen-pi.local"
                .to_owned(),
        }
    }
}

impl UrlProblem {
    fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "leave it out, or name a URL such as wss://nexo.example.com",
            Self::TooLong { .. } => "use a shorter one, such as wss://nexo.example.com",
            Self::Character { .. } => "remove it, or write it as %20 and the like",
            Self::NoScheme | Self::Scheme | Self::NoHost | Self::Host => {
                "write it as wss://nexo.example.com"
            }
            Self::Port => "write it as wss://nexo.example.com:8443, or without a port",
            Self::UserInfo => {
                "leave that out: companions show the token of the setup code and nothing else"
            }
            Self::Fragment => "leave that out",
        }
    }
}

/// How much of a refused value is shown, in characters.
const SHOWN_CHARACTERS: usize = 120;

/// A value for an error: without what may be user information, cut, control characters escaped.
pub(super) fn redacted(value: &str) -> String {
    let value = value.trim();
    // Up to the last `@`, wherever it is: a password may hold `/`, `#` and `@` that should have been
    // written otherwise.
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

/// The scheme and the `://` that a text begins with, or nothing.
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
