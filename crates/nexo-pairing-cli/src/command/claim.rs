//! `claim`: turns a setup code into a session, as a companion does.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use nexo_pairing::client::{self, Client, RootCertificates, SessionFile, SessionFileError};
use nexo_pairing::setup_code::{MAX_LABEL_BYTES, decode_setup_code, is_device_label};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::decode;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::setup_code_input::CodeInput;
use crate::text::{escape, format_time, shell_word};

/// The longest file of root certificates that is read, in bytes.
const MAX_ROOTS_BYTES: u64 = 4 << 20;

#[derive(Debug, Args)]
#[command(
    after_help = "The session token is not printed; it is in $NEXO_HOME/pairing/sessions, in a file \
    named for the device and the gateway, which only you can read. The session that this gateway gave \
    this device before is replaced.\n\n\
    Examples:\n  nexo-pair start --json | nexo-pair claim\n  \
    nexo-pair claim --file code.txt --ca-cert my-ca.pem"
)]
pub(crate) struct Claim {
    #[command(flatten)]
    code: CodeInput,
    /// What this device calls itself, where the code does not name it.
    #[arg(long, value_name = "NAME", value_parser = device_label)]
    device_label: Option<String>,
    /// Root certificates (PEM) to trust beside those of the system.
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Only show what the code says, as `decode` does.
    #[arg(long)]
    no_connect: bool,
}

pub(crate) async fn run(args: Claim, context: &mut Context) -> Result<Exit, CliError> {
    let payload = args.code.read(context).await?;
    let code = decode_setup_code(payload.as_str())?;
    if args.no_connect {
        return decode::print(&code, context);
    }
    if code.has_expired(OffsetDateTime::now_utc()) {
        return Err(CliError::CodeExpired { at: code.expires_at });
    }
    let mut client = Client::new();
    if let Some(file) = &args.ca_cert {
        client = client.with_root_certificates(root_certificates(file)?);
    }
    let config = context.config()?;
    let home = config.home().ok_or_else(|| {
        CliError::Usage("set NEXO_HOME to the folder where the session is to be kept".to_owned())
    })?;
    let mut claim = client::Claim::new(&code)?;
    if let Some(label) = args.device_label {
        claim = claim.with_device_label(label)?;
    }
    let folder = home.join("pairing").join("sessions");
    let file = SessionFile::new(folder, claim.gateway(), claim.device_label());
    let reserved = file.reserve().map_err(not_kept)?;

    let session = client.claim(&claim).await?;
    let is_replaced = reserved.save(&session.token).map_err(not_kept)?;

    let file = file.path().to_string_lossy();
    let profile = session.profile.or_else(|| claim.profile().map(str::to_owned));
    let label = session.device_label.or_else(|| claim.device_label().map(str::to_owned));
    let expires_at = session.expires_at;
    let result = json!({
        "profile": profile,
        "device_label": label,
        "expires_at": expires_at.and_then(|at| at.format(&Rfc3339).ok()),
        "session_file": file,
        "replaced": is_replaced,
        "url": code.url,
    });
    context.print(&result, || {
        let told = |text: Option<String>| text.map_or("-".to_owned(), |text| escape(&text));
        format!(
            "paired with {}\nprofile:  {}\ndevice:   {}\nexpires:  {}\nsession:  {}{}\n",
            escape(&code.url),
            told(profile),
            told(label),
            told(expires_at.map(format_time)),
            escape(&file),
            if is_replaced { " (in place of the one that was there)" } else { "" },
        )
    })?;
    Ok(Exit::Done)
}

/// The system's authorities, and those in this file.
fn root_certificates(file: &Path) -> Result<RootCertificates, CliError> {
    let mut pem = Vec::new();
    let read = File::open(file).and_then(|file| file.take(MAX_ROOTS_BYTES).read_to_end(&mut pem));
    read.map_err(|source| CliError::Io { what: format!("read {}", word(file)), source })?;
    let none = |_| CliError::Usage(format!("{} holds no certificates in PEM", word(file)));
    RootCertificates::system().with_pem(&pem).map_err(none)
}

fn not_kept(error: SessionFileError) -> CliError {
    let refused = |why| io::Error::new(ErrorKind::PermissionDenied, why);
    let (what, source) = match error {
        SessionFileError::FolderOwner { path, owner } => {
            let why =
                format!("the folder belongs to user {owner}; run as that user, or set NEXO_HOME");
            (format!("a session in {}", word(&path)), refused(why))
        }
        SessionFileError::FolderMode { path, .. } => {
            let folder = word(path.parent().unwrap_or(&path));
            let why = format!("others may write to the folder: chmod 700 {folder}");
            (format!("a session in {}", word(&path)), refused(why))
        }
        SessionFileError::Reserve { path, source } => {
            (format!("a session in {}", word(&path)), source)
        }
        SessionFileError::Save { path, source } => {
            (format!("the session, whose setup code is used up, in {}", word(&path)), source)
        }
        error => ("a session".to_owned(), io::Error::other(error)),
    };
    CliError::Io { what: format!("keep {what}"), source }
}

/// A path as a shell takes it.
fn word(path: &Path) -> String {
    shell_word(&escape(&path.to_string_lossy()))
}

/// The gateway has the last word; this one comes before a code is used up.
fn device_label(label: &str) -> Result<String, String> {
    if is_device_label(label) {
        Ok(label.to_owned())
    } else {
        Err(format!("it must have 1 to {MAX_LABEL_BYTES} bytes and no control characters"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use nexo_pairing::client::Gateway;
    use tempfile::NamedTempFile;

    use super::*;
    use crate::error::chain;

    #[test]
    fn a_file_without_certificates_is_refused() {
        let mut file = NamedTempFile::new().unwrap();
        let refused = |file: &NamedTempFile| root_certificates(file.path()).unwrap_err();
        assert_eq!(refused(&file).exit(), Exit::Usage);
        file.write_all(b"-----BEGIN CERTIFICATE-----\nnonsense\n").unwrap();
        assert_eq!(refused(&file).exit(), Exit::Usage);
        let missing = root_certificates("/nonexistent".as_ref()).unwrap_err();
        assert_eq!(missing.exit(), Exit::Storage);
    }

    #[test]
    fn what_keeps_a_session_from_being_kept_is_told_with_the_command_that_mends_it() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("my sessions");
        let gateway = Gateway::parse("wss://nexo.example.com/pair").unwrap();
        let file = SessionFile::new(&folder, &gateway, Some("phone"));
        drop(file.reserve().unwrap());
        fs::set_permissions(&folder, Permissions::from_mode(0o770)).unwrap();
        let error = not_kept(file.reserve().unwrap_err());
        assert_eq!((error.kind(), error.exit()), ("io", Exit::Storage));
        let expected = format!(
            "failed to keep a session in '{}': others may write to the folder: chmod 700 '{}'",
            file.path().display(),
            folder.display()
        );
        assert_eq!(chain(&error), expected);

        let path = file.path().to_owned();
        let error = chain(&not_kept(SessionFileError::FolderOwner { path, owner: 7 }));
        assert!(error.contains("belongs to user 7") && error.contains("NEXO_HOME"), "{error}");
        let (path, source) = (file.path().to_owned(), ErrorKind::StorageFull.into());
        let error = chain(&not_kept(SessionFileError::Save { path, source }));
        assert!(error.contains("whose setup code is used up"), "{error}");
    }
}
