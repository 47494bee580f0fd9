//! What stops a command: how it is told, what mends it, and the exit status.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use nexo_pairing::client::ClientError;
use nexo_pairing::config::ConfigError;
use nexo_pairing::nats::NatsError;
use nexo_pairing::qr::QrError;
use nexo_pairing::server::{RecorderError, ServerError, TlsError};
pub(crate) use nexo_pairing::text::error_chain as chain;
use nexo_pairing::url_resolver::{ResolveError, TunnelFileProblem};
use nexo_pairing::{
    AdaptersError, IssueError, KeyError, ModesError, PairingError, SenderKey, SetupCodeError,
    StoreError, VerifyError,
};
use time::OffsetDateTime;

use crate::client_error;
use crate::exit::Exit;
use crate::text::{format_time, shell_word};

/// What stops a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Pairing(#[from] PairingError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No URL is set that a companion could connect to.
    #[error("no URL is set at which a companion reaches the gateway")]
    LoopbackOnly {
        /// The command that lets somebody in without a companion, for each account.
        seeds: Vec<String>,
    },
    #[error(transparent)]
    Url(#[from] ResolveError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Issue(#[from] IssueError),
    #[error("the setup code is refused")]
    Verify(#[from] VerifyError),
    #[error("the QR code cannot be drawn")]
    Qr(#[from] QrError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// A bus is needed, and nobody says where it is.
    #[error("no bus is named")]
    NoBus,
    /// The process that serves a channel did not say how a sender is called.
    #[error("the plugin of the channel {channel} cannot be asked how its senders are called")]
    Plugin {
        channel: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// No mode is in force for an account.
    #[error(transparent)]
    Modes(#[from] ModesError),
    /// The adapter of a channel is lost.
    #[error(transparent)]
    Adapters(#[from] AdaptersError),
    /// The arguments do not fit.
    #[error("{0}")]
    Usage(String),
    /// No sender can be made of an id.
    #[error("{place}the id `{id}` is refused: {reason}")]
    SenderRefused {
        /// Where it stands (`line 3 of FILE: `), or nothing.
        place: String,
        id: String,
        reason: String,
    },
    /// An id that was to be taken as it is, and that the channel's adapter would never make.
    #[error("`{id}` would match no message: the channel's adapter makes `{canonical}` of it")]
    NotCanonical { id: String, canonical: String, command: String },
    /// An id that was to be taken as it is, and of which the channel's adapter makes none.
    #[error("`{id}` would match no message: the adapter of {channel} makes no sender of it")]
    Unmatchable { id: String, channel: String },
    /// There is no adapter for a channel, so that nobody knows how its ids are written.
    #[error("there is no adapter for the channel `{channel}` here; there is one for {known}")]
    NoAdapter { channel: String, known: String },
    /// There was nothing to do it to.
    #[error("{message}")]
    Nothing {
        /// `nothing_to_revoke` and so on.
        kind: &'static str,
        message: String,
        hint: Option<String>,
    },
    /// The operator was asked and said no.
    #[error("nothing was changed")]
    Declined,
    /// A text is no setup code.
    #[error("the setup code cannot be read")]
    Malformed(#[from] SetupCodeError),
    /// A setup code gave no session.
    #[error(transparent)]
    Claim(#[from] ClientError),
    /// It is too late by this machine's clock, so the gateway was not asked.
    #[error("the setup code expired at {}", format_time(*at))]
    CodeExpired { at: OffsetDateTime },
    /// There is no database where one has to be.
    #[error("there is no database at {}", .0.display())]
    NoDatabase(PathBuf),
    /// A file or a stream failed.
    #[error("failed to {what}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::Pairing(error.into())
    }
}

impl From<RecorderError> for CliError {
    fn from(error: RecorderError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl CliError {
    /// The process that serves `channel` cannot be asked.
    pub(crate) fn plugin(channel: &str, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Plugin { channel: channel.to_owned(), source: Box::new(source) }
    }

    /// The stable name of this kind of error, for programs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Pairing(error) => error.kind(),
            Self::Config(_) => "config",
            Self::LoopbackOnly { .. } => "loopback_only",
            Self::Url(error) => error.kind(),
            Self::Key(error) => error.kind(),
            Self::Issue(error) => error.kind(),
            Self::Verify(error) => error.kind(),
            Self::Qr(error) => error.kind(),
            Self::Server(ServerError::Tls(_)) => "tls",
            Self::Server(_) => "listen",
            Self::Nats(_) => "bus",
            Self::NoBus => "no_bus",
            Self::Plugin { .. } => "plugin",
            Self::Modes(_) => "modes",
            Self::Adapters(_) => "adapters",
            Self::Usage(_) => "usage",
            Self::SenderRefused { .. } | Self::NotCanonical { .. } | Self::Unmatchable { .. } => {
                "sender_refused"
            }
            Self::NoAdapter { .. } => "no_adapter",
            Self::Nothing { kind, .. } => kind,
            Self::Declined => "declined",
            Self::Malformed(_) => "malformed",
            Self::Claim(error) => error.kind(),
            Self::CodeExpired { .. } => "expired",
            Self::NoDatabase(_) => "storage",
            Self::Io { .. } => "io",
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Pairing(error) => match error {
                PairingError::Id(_)
                | PairingError::Invalid { .. }
                | PairingError::Unsupported { .. } => Exit::Usage,
                PairingError::Delivery(_)
                | PairingError::Stale { .. }
                | PairingError::Damaged { .. }
                | PairingError::Overloaded(_)
                | PairingError::Backend(_) => Exit::Storage,
                _ => Exit::Refused,
            },
            Self::Claim(error) => client_error::exit(error),
            Self::Url(error) => match error {
                ResolveError::InsecureCleartext { .. } => Exit::Refused,
                ResolveError::TunnelFile { problem: TunnelFileProblem::Io(_), .. } => Exit::Storage,
                _ => Exit::Usage,
            },
            Self::Key(error) => match error {
                KeyError::Unknown { .. } | KeyError::Current { .. } | KeyError::External { .. } => {
                    Exit::Refused
                }
                KeyError::Id => Exit::Usage,
                _ => Exit::Storage,
            },
            Self::Issue(IssueError::Random(_)) | Self::Qr(QrError::Encoder(_)) => Exit::Storage,
            Self::Server(ServerError::Tls(TlsError::Read { .. }) | ServerError::Listen { .. }) => {
                Exit::Storage
            }
            Self::Server(_) => Exit::Usage,
            Self::Nats(error) => match error {
                NatsError::Server { .. } | NatsError::Options(_) | NatsError::Subject { .. } => {
                    Exit::Usage
                }
                _ => Exit::Storage,
            },
            Self::NoBus | Self::Modes(_) | Self::Adapters(_) => Exit::Usage,
            Self::Config(_) | Self::Usage(_) | Self::Issue(_) | Self::Qr(_) => Exit::Usage,
            Self::LoopbackOnly { .. }
            | Self::Verify(_)
            | Self::SenderRefused { .. }
            | Self::NotCanonical { .. }
            | Self::Unmatchable { .. }
            | Self::NoAdapter { .. }
            | Self::Nothing { .. }
            | Self::Malformed(_)
            | Self::CodeExpired { .. }
            | Self::Declined => Exit::Refused,
            Self::NoDatabase(_) | Self::Plugin { .. } | Self::Io { .. } => Exit::Storage,
        }
    }

    /// What the operator can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Pairing(error) => pairing_hint(error),
            Self::Modes(error) => Some(modes_hint(error)),
            Self::Adapters(error) => Some(adapters_hint(error)),
            Self::NoBus => {
                Some("set pairing.nats.servers, or give --nats nats://HOST:PORT".to_owned())
            }
            Self::NoAdapter { .. } | Self::Plugin { .. } => {
                Some("with --raw the id is taken as it is".to_owned())
            }
            Self::NotCanonical { command, .. } => Some(format!("leave out --raw: {command}")),
            Self::Unmatchable { .. } => Some(
                "give the id as a message carries it, without --raw; an id that is stored may be \
                 given as `nexo-pair list --all` shows it"
                    .to_owned(),
            ),
            Self::Nothing { hint, .. } => hint.clone(),
            Self::Malformed(_) => {
                Some("copy all of it once more, or have another one issued".to_owned())
            }
            Self::Claim(error) => client_error::hint(error),
            Self::CodeExpired { .. } => Some(
                "have another one issued; if it is new, set this machine's clock right".to_owned(),
            ),
            Self::NoDatabase(_) => {
                Some("see with `nexo-pair config` where it is looked for".to_owned())
            }
            Self::LoopbackOnly { seeds } => {
                let url = "name one: --public-url wss://HOST, or pairing.public_url in the \
                           configuration, or NEXO_TUNNEL_URL";
                let mut hint = url.to_owned();
                if !seeds.is_empty() {
                    hint.push_str("\nor let a sender in without a companion:");
                }
                seeds.iter().for_each(|seed| hint.extend(["\n  ", seed.as_str()]));
                Some(hint)
            }
            Self::Url(error) => Some(error.hint()),
            Self::Key(error) => error.hint(),
            Self::Server(ServerError::Tls(error)) => error.hint(),
            Self::Verify(VerifyError::Expired { .. }) => {
                Some("issue a new one: nexo-pair start".to_owned())
            }
            Self::Verify(_) => {
                Some("copy the whole payload, as `nexo-pair start` showed it".to_owned())
            }
            Self::Issue(_)
            | Self::Server(_)
            | Self::Qr(_)
            | Self::SenderRefused { .. }
            | Self::Config(_)
            | Self::Usage(_)
            | Self::Declined
            | Self::Nats(_)
            | Self::Io { .. } => None,
        }
    }
}

fn modes_hint(error: &ModesError) -> String {
    match error {
        ModesError::TooMany(_) => {
            "forget those that are gone: nexo-pair forget-mode CHANNEL ACCOUNT".to_owned()
        }
        _ => "say one: pairing.gate.mode or `mode` of the account in pairing.yaml, \
              NEXO_PAIRING_GATE__MODE, or for `nexo-pair gate` --auto-challenge or --open\n\
              is that file where it is looked for? nexo-pair config"
            .to_owned(),
    }
}

fn adapters_hint(error: &AdaptersError) -> String {
    match error {
        AdaptersError::Lost(channels) if channels.len() == 1 => {
            let channel: String = channels.iter().map(ToString::to_string).collect();
            format!(
                "name it again in pairing.adapters, or, if no other process serves it any more, have it \
                 forgotten: nexo-pair forget-adapter {channel}\n\
                 `adapters: []` says that no other process serves any channel\n\
                 is that file where it is looked for? nexo-pair config"
            )
        }
        AdaptersError::Lost(_) => "name them again in pairing.adapters, or, if no other process serves \
                                   one of them any more, have it forgotten: nexo-pair forget-adapter \
                                   CHANNEL\n\
                                   `adapters: []` says that no other process serves any channel\n\
                                   is that file where it is looked for? nexo-pair config"
            .to_owned(),
        _ => "forget those that are gone: nexo-pair forget-adapter CHANNEL".to_owned(),
    }
}

fn pairing_hint(error: &PairingError) -> Option<String> {
    let hint = match error {
        PairingError::UnknownCode { .. } => {
            "see who is waiting, in which database: nexo-pair list".to_owned()
        }
        PairingError::MistypedCode | PairingError::Code(_) => {
            "compare it with what the sender sees; a slip like this costs nothing".to_owned()
        }
        PairingError::Expired { .. } => {
            "have the sender write again: he is sent a new code".to_owned()
        }
        PairingError::AlreadyRejected { key, .. } => {
            format!("to let him in after all: {}", seed_command(key))
        }
        PairingError::LockedOut { .. } => {
            "wait, or take the lockout back: nexo-pair unlock cli".to_owned()
        }
        PairingError::Blocked { key } => format!(
            "take the block back first: nexo-pair unblock {}",
            shell_word(&format!("{}:{}", key.channel, key.sender_id))
        ),
        PairingError::Stale { source: Some(source), .. } => return pairing_hint(source),
        PairingError::Damaged { .. } => {
            "see what is damaged with `nexo-pair doctor`, and put a backup in its place".to_owned()
        }
        PairingError::Backend(source) | PairingError::Overloaded(source) => {
            return source.downcast_ref::<StoreError>().and_then(StoreError::hint);
        }
        _ => return None,
    };
    Some(hint)
}

/// The command that lets a sender in without a code.
pub(crate) fn seed_command(key: &SenderKey) -> String {
    let words = [key.channel.as_str(), key.account_id.as_str(), key.sender_id.as_str()];
    format!("nexo-pair seed {}", words.map(shell_word).join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_each_cause_once() {
        let cause = io::Error::other("disk on fire");
        let error = CliError::Io { what: "write the answers".to_owned(), source: cause };
        assert_eq!(chain(&error), "failed to write the answers: disk on fire");
        let error = CliError::from(PairingError::backend("gone\u{1b}[2J"));
        assert_eq!(chain(&error), "the store failed: gone\\u{1b}[2J");
    }

    #[test]
    fn the_exit_status_tells_whose_fault_it_is() {
        let exit = |error: PairingError| CliError::from(error).exit();
        assert_eq!(exit(PairingError::UnknownCode { attempts_left: 1 }), Exit::Refused);
        assert_eq!(exit(PairingError::MistypedCode), Exit::Refused);
        assert_eq!(exit(nexo_pairing::ChannelId::parse("A b").unwrap_err().into()), Exit::Usage);
        assert_eq!(exit(PairingError::backend("gone")), Exit::Storage);
        assert_eq!(CliError::NoDatabase("/x".into()).exit(), Exit::Storage);
    }
}
