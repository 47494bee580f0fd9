//! What stops a command: its message, its kind for programs, its exit status, and a hint.

use std::error::Error;
use std::io;
use std::path::Path;

use nexo_pairing::client::{ClientError, Refusal, SessionFileError, Step};
use nexo_pairing::config::ConfigError;
use nexo_pairing::core::{AdaptersError, IdError, ModesError};
use nexo_pairing::nats::NatsError;
use nexo_pairing::qr::QrError;
use nexo_pairing::server::{RecorderError, ServerError, TlsError};
use nexo_pairing::setup::{IssueError, KeyError, VerifyError};
pub(crate) use nexo_pairing::text::error_chain as chain;
use nexo_pairing::url_resolver::{ResolveError, TunnelFileProblem};
use nexo_pairing::{PairingAdapterRegistry, PairingError, SetupCodeError, StoreError};

use crate::exit::Exit;
use crate::text::{shell_path, shell_word};

/// The result of a command, or of a part of it.
pub(crate) type Result<T = (), E = CliError> = std::result::Result<T, E>;

/// What stops a command.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CliError {
    kind: &'static str,
    exit: Exit,
    message: String,
    hint: Option<String>,
    /// The error of a library. [`chain`] does not repeat it where it is the message.
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl CliError {
    fn new(kind: &'static str, exit: Exit, message: impl Into<String>) -> Self {
        Self { kind, exit, message: message.into(), hint: None, source: None }
    }

    fn of(kind: &'static str, exit: Exit, error: impl Error + Send + Sync + 'static) -> Self {
        let new = Self::new(kind, exit, error.to_string());
        Self { source: Some(Box::new(error)), ..new }
    }

    /// The arguments do not fit.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", Exit::Usage, message)
    }

    /// A pairing rule refuses it, or there is nothing to do.
    pub(crate) fn refused(kind: &'static str, message: impl Into<String>) -> Self {
        Self::new(kind, Exit::Refused, message)
    }

    /// A mode or plugin to forget is not remembered.
    pub(crate) fn nothing_remembered(message: impl Into<String>) -> Self {
        Self::refused("nothing_to_forget", message)
            .with_hint("if it is configured, remove it there: `nexo-pair config` shows the file")
    }

    /// An id has no sender.
    pub(crate) fn sender_refused(message: impl Into<String>) -> Self {
        Self::refused("sender_refused", message)
    }

    pub(crate) fn is_sender_refused(&self) -> bool {
        self.kind == "sender_refused"
    }

    /// A file or a stream failed: `what` completes "failed to".
    pub(crate) fn io(what: impl AsRef<str>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            source: Some(source.into()),
            ..Self::new("io", Exit::Storage, format!("failed to {}", what.as_ref()))
        }
    }

    /// There is no database where one is needed.
    pub(crate) fn no_database(path: &Path) -> Self {
        Self::new("storage", Exit::Storage, format!("there is no database at {}", path.display()))
            .with_hint("`nexo-pair config` shows where it is expected")
    }

    /// A bus is needed, and none is configured.
    pub(crate) fn no_bus() -> Self {
        Self::new("no_bus", Exit::Usage, "no NATS server is configured")
            .with_hint("set pairing.nats.servers, or give --nats nats://HOST:PORT")
    }

    /// The plugin that serves `channel` did not say who a sender is.
    pub(crate) fn plugin(channel: &str, source: impl Error + Send + Sync + 'static) -> Self {
        Self::of("plugin", Exit::Storage, source)
            .with_message(format!("the plugin of the channel {channel} cannot resolve the sender"))
            .with_hint("with --raw the id is used exactly as given")
    }

    /// Nothing here knows how the ids of a channel are written.
    pub(crate) fn no_adapter(channel: &str, registry: &PairingAdapterRegistry) -> Self {
        let known = registry.channels().join(", ");
        let message = format!("no adapter for the channel `{channel}`; there is one for {known}");
        Self::refused("no_adapter", message).with_hint("with --raw the id is used exactly as given")
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn with_message(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// The same error, about the id at `place`, such as `line 3 of FILE: `.
    pub(crate) fn at(self, place: &str) -> Self {
        let message = format!("{place}{}", self.message);
        self.with_message(message)
    }

    /// The stable name of this kind of error, for programs.
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What the operator can do about it.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl From<PairingError> for CliError {
    fn from(error: PairingError) -> Self {
        let exit = match &error {
            PairingError::Id(_)
            | PairingError::Invalid { .. }
            | PairingError::Unsupported { .. } => Exit::Usage,
            PairingError::Delivery(_)
            | PairingError::Stale { .. }
            | PairingError::Damaged { .. }
            | PairingError::Overloaded(_)
            | PairingError::Backend(_) => Exit::Storage,
            _ => Exit::Refused,
        };
        Self { hint: pairing_hint(&error), ..Self::of(error.kind(), exit, error) }
    }
}

fn pairing_hint(error: &PairingError) -> Option<String> {
    Some(match error {
        PairingError::UnknownCode { .. } => {
            "to see who is waiting, and in which database: nexo-pair list".to_owned()
        }
        PairingError::MistypedCode | PairingError::Code(_) => {
            "compare it with what the sender sees; a typo does not count as a wrong code".to_owned()
        }
        PairingError::Expired { .. } => {
            "ask the sender to write again: they will get a new code".to_owned()
        }
        PairingError::AlreadyRejected { key, .. } => {
            let words = [key.channel.as_str(), key.account_id.as_str(), key.sender_id.as_str()];
            format!("to let them in after all: nexo-pair seed {}", words.map(shell_word).join(" "))
        }
        PairingError::LockedOut { .. } => {
            "wait, or lift the lockout: nexo-pair unlock cli".to_owned()
        }
        PairingError::Blocked { key } => format!(
            "remove the block first: nexo-pair unblock {}",
            shell_word(&format!("{}:{}", key.channel, key.sender_id))
        ),
        PairingError::Stale { source: Some(source), .. } => return pairing_hint(source),
        PairingError::Damaged { .. } => {
            "see what is damaged with `nexo-pair doctor`, and restore a backup".to_owned()
        }
        PairingError::Backend(source) | PairingError::Overloaded(source) => {
            return source.downcast_ref::<StoreError>().and_then(StoreError::hint);
        }
        _ => return None,
    })
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        PairingError::from(error).into()
    }
}

impl From<IdError> for CliError {
    fn from(error: IdError) -> Self {
        PairingError::from(error).into()
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::of("config", Exit::Usage, error)
    }
}

impl From<RecorderError> for CliError {
    fn from(error: RecorderError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<ModesError> for CliError {
    fn from(error: ModesError) -> Self {
        let hint = match &error {
            ModesError::TooMany(_) => {
                "forget those that are gone: nexo-pair forget-mode CHANNEL ACCOUNT"
            }
            _ => {
                "set one: pairing.gate.mode or `mode` of the account in pairing.yaml, \
                 NEXO_PAIRING_GATE__MODE, or for `nexo-pair gate` --auto-challenge or --open\n\
                 to see which file is read: nexo-pair config"
            }
        };
        Self::of("modes", Exit::Usage, error).with_hint(hint)
    }
}

impl From<AdaptersError> for CliError {
    fn from(error: AdaptersError) -> Self {
        let hint = match &error {
            AdaptersError::Lost(channels) => {
                let (them, channel) = match channels.first() {
                    Some(channel) if channels.len() == 1 => ("it", channel.as_str()),
                    _ => ("them", "CHANNEL"),
                };
                format!(
                    "list {them} in pairing.adapters again or, if no plugin serves the channel \
                     any more, forget it: nexo-pair forget-adapter {channel}\n\
                     `adapters: []` states that no channel is served by a plugin\n\
                     to see which file is read: nexo-pair config"
                )
            }
            _ => "forget those that are gone: nexo-pair forget-adapter CHANNEL".to_owned(),
        };
        Self::of("adapters", Exit::Usage, error).with_hint(hint)
    }
}

impl From<ResolveError> for CliError {
    fn from(error: ResolveError) -> Self {
        let exit = match &error {
            ResolveError::LoopbackOnly | ResolveError::InsecureCleartext { .. } => Exit::Refused,
            ResolveError::TunnelFile { problem: TunnelFileProblem::Io(_), .. } => Exit::Storage,
            _ => Exit::Usage,
        };
        Self { hint: Some(error.hint()), ..Self::of(error.kind(), exit, error) }
    }
}

impl From<KeyError> for CliError {
    fn from(error: KeyError) -> Self {
        let exit = match &error {
            KeyError::Unknown { .. } | KeyError::Current { .. } | KeyError::External { .. } => {
                Exit::Refused
            }
            KeyError::Id => Exit::Usage,
            _ => Exit::Storage,
        };
        Self { hint: error.hint(), ..Self::of(error.kind(), exit, error) }
    }
}

impl From<IssueError> for CliError {
    fn from(error: IssueError) -> Self {
        let is_ours = matches!(error, IssueError::Random(_));
        Self::of(error.kind(), if is_ours { Exit::Storage } else { Exit::Usage }, error)
    }
}

impl From<QrError> for CliError {
    fn from(error: QrError) -> Self {
        let is_ours = matches!(error, QrError::Encoder(_));
        Self::of(error.kind(), if is_ours { Exit::Storage } else { Exit::Usage }, error)
            .with_message("the QR code cannot be drawn")
    }
}

impl From<SetupCodeError> for CliError {
    fn from(error: SetupCodeError) -> Self {
        Self::of("malformed", Exit::Refused, error)
            .with_message("the setup code cannot be read")
            .with_hint("copy the whole code again, or have a new one issued")
    }
}

impl From<VerifyError> for CliError {
    fn from(error: VerifyError) -> Self {
        let hint = match &error {
            VerifyError::Expired { .. } => "issue a new one: nexo-pair start",
            _ => "copy the whole payload, as `nexo-pair start` showed it",
        };
        Self::of(error.kind(), Exit::Refused, error)
            .with_message("the setup code is refused")
            .with_hint(hint)
    }
}

impl From<ServerError> for CliError {
    fn from(error: ServerError) -> Self {
        let (kind, exit, hint) = match &error {
            ServerError::Tls(tls @ TlsError::Read { .. }) => ("tls", Exit::Storage, tls.hint()),
            ServerError::Tls(tls) => ("tls", Exit::Usage, tls.hint()),
            ServerError::Listen { .. } => ("listen", Exit::Storage, None),
            _ => ("listen", Exit::Usage, None),
        };
        Self { hint, ..Self::of(kind, exit, error) }
    }
}

impl From<NatsError> for CliError {
    fn from(error: NatsError) -> Self {
        let is_misuse = matches!(
            error,
            NatsError::Server { .. } | NatsError::Options(_) | NatsError::Subject { .. }
        );
        Self::of("bus", if is_misuse { Exit::Usage } else { Exit::Storage }, error)
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Url { .. }
            | ClientError::DeviceLabel
            | ClientError::Refused { .. }
            | ClientError::NoSession { .. } => Exit::Refused,
            _ => Exit::Storage,
        };
        let hint = match &error {
            ClientError::Unreachable { step: Step::Tls, .. } => {
                "if a private authority issued the gateway's certificate, trust that authority \
                 with --ca-cert FILE"
            }
            ClientError::TimedOut { step: Step::Answer, .. } | ClientError::Lost { .. } => {
                "the code may be used up by now: have a new one issued, and check with \
                 `nexo-pair devices list` at the gateway whether there is a session to revoke"
            }
            ClientError::Unreachable { .. } | ClientError::TimedOut { .. } => {
                "check that the gateway runs (`nexo-pair serve`) and can be reached from here"
            }
            ClientError::BadAnswer { .. } => "check that the url of the code is the gateway's",
            ClientError::Refused { refusal: Refusal::Replayed, .. } => {
                "a code works once, and presenting it again may end its session: have a new one \
                 issued; if you did not use it, tell the operator to look at `nexo-pair log`"
            }
            ClientError::Refused { refusal: Refusal::Throttled, .. } => {
                "wait a minute, and try again"
            }
            ClientError::Refused { .. } | ClientError::Url { .. } => "have a new one issued",
            _ => "",
        };
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Self { hint, ..Self::of(error.kind(), exit, error) }
    }
}

impl From<SessionFileError> for CliError {
    fn from(error: SessionFileError) -> Self {
        let (message, hint) = match &error {
            SessionFileError::FolderOwner { .. } => (
                "failed to keep the session",
                Some("run as that user, or set NEXO_HOME".to_owned()),
            ),
            SessionFileError::FolderMode { path, .. } => {
                let folder = shell_path(path.parent().unwrap_or(path));
                ("failed to keep the session", Some(format!("chmod 700 {folder}")))
            }
            SessionFileError::Save { .. } => {
                ("failed to keep the session, whose setup code is used up", None)
            }
            _ => ("failed to keep the session", None),
        };
        Self { hint, ..Self::of("io", Exit::Storage, error).with_message(message) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_chain_names_each_cause_once() {
        let error = CliError::io("write the decisions")(io::Error::other("disk on fire"));
        assert_eq!(chain(&error), "failed to write the decisions: disk on fire");
        let error = CliError::from(PairingError::backend("gone\u{1b}[2J"));
        assert_eq!(chain(&error), "the store failed: gone\\u{1b}[2J");
    }

    #[test]
    fn the_exit_status_shows_whose_fault_it_is() {
        let exit = |error: PairingError| CliError::from(error).exit();
        assert_eq!(exit(PairingError::UnknownCode { attempts_left: 1 }), Exit::Refused);
        assert_eq!(exit(PairingError::MistypedCode), Exit::Refused);
        assert_eq!(exit(nexo_pairing::ChannelId::parse("A b").unwrap_err().into()), Exit::Usage);
        assert_eq!(exit(PairingError::backend("gone")), Exit::Storage);
    }

    fn refused(refusal: Refusal) -> CliError {
        let (gateway, message) = ("nexo.example.com:443".to_owned(), "no".to_owned());
        ClientError::Refused { refusal, gateway, message, retry_after: None }.into()
    }

    fn unreachable(step: Step) -> ClientError {
        let source = io::Error::other("gone");
        ClientError::Unreachable { step, gateway: "nexo.example.com:443".to_owned(), source }
    }

    fn timed_out(step: Step) -> ClientError {
        let limit = Duration::from_secs(15);
        ClientError::TimedOut { step, gateway: "nexo.example.com:443".to_owned(), limit }
    }

    fn lost() -> ClientError {
        let source = io::Error::other("gone");
        ClientError::Lost { gateway: "nexo.example.com:443".to_owned(), source }
    }

    #[test]
    fn a_refusal_exits_with_1_and_a_failure_with_3() {
        for refusal in [
            Refusal::Malformed,
            Refusal::InvalidSignature,
            Refusal::Expired,
            Refusal::Replayed,
            Refusal::Cancelled,
            Refusal::Throttled,
            Refusal::Other,
        ] {
            let error = refused(refusal);
            assert_eq!((error.exit(), error.hint().is_some()), (Exit::Refused, true), "{error}");
        }
        let (gateway, what) = ("127.0.0.1:80".to_owned(), "status 404".to_owned());
        let bad_answer = ClientError::BadAnswer { gateway, what };
        let failures = [unreachable(Step::Connect), timed_out(Step::Resolve), lost(), bad_answer];
        for error in failures {
            let error = CliError::from(error);
            assert_eq!((error.exit(), error.hint().is_some()), (Exit::Storage, true), "{error}");
        }
        assert_eq!(CliError::from(ClientError::Url { rule: "is invalid" }).exit(), Exit::Refused);
    }

    #[test]
    fn a_hint_says_how_to_fix_it() {
        let hint = |error: ClientError| CliError::from(error).hint().unwrap().to_owned();
        assert!(hint(unreachable(Step::Tls)).contains("--ca-cert"));
        assert!(hint(unreachable(Step::Connect)).contains("nexo-pair serve"));
        assert!(hint(lost()).contains("used up"));
        assert!(hint(timed_out(Step::Answer)).contains("used up"));
        assert!(hint(timed_out(Step::Connect)).contains("nexo-pair serve"));
        let replayed = refused(Refusal::Replayed);
        let replayed = replayed.hint().unwrap();
        assert!(replayed.contains("a new one") && replayed.contains("nexo-pair log"));
    }
}
