//! `claim`: turns a setup code into a session, as a companion does.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use nexo_pairing::client::{self, Client, RootCertificates, SessionFile};
use nexo_pairing::setup_code::{MAX_LABEL_BYTES, decode_setup_code, is_device_label};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::decode;
use crate::setup_code_input::CodeInput;
use crate::text::{escape, format_time, shell_path};
use crate::{CliError, Context, Result};

/// The longest file of root certificates that is read, in bytes.
const MAX_ROOTS_BYTES: u64 = 4 << 20;

#[derive(Debug, Args)]
#[command(
    after_help = "The session token is not printed. It is stored below $NEXO_HOME/pairing/sessions, in a \
    file named for the device and the gateway, which only you can read. An earlier session of this device \
    with this gateway is replaced.\n\n\
    Examples:\n  nexo-pair start --json | nexo-pair claim\n  \
    nexo-pair claim --file code.txt --ca-cert my-ca.pem"
)]
pub(crate) struct Claim {
    #[command(flatten)]
    code: CodeInput,
    /// The name of this device, if the code has none.
    #[arg(long, value_name = "NAME", value_parser = device_label)]
    device_label: Option<String>,
    /// Root certificates (PEM) to trust beside those of the system.
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Only show the contents of the code, as `decode` does.
    #[arg(long)]
    no_connect: bool,
}

pub(crate) async fn run(args: Claim, context: &mut Context) -> Result {
    let payload = args.code.read(context).await?;
    let code = decode_setup_code(payload.as_str())?;
    if args.no_connect {
        return decode::print(&code, context);
    }
    if code.has_expired(OffsetDateTime::now_utc()) {
        // By this machine's clock it is too late, so the gateway is not asked.
        let message = format!("the setup code expired at {}", format_time(code.expires_at));
        return Err(CliError::refused("expired", message)
            .with_hint("have a new one issued; if it is new, correct this machine's clock"));
    }
    let mut client = Client::new();
    if let Some(file) = &args.ca_cert {
        client = client.with_root_certificates(root_certificates(file)?);
    }
    let config = context.config()?;
    let home = config.home().ok_or_else(|| {
        CliError::usage("set NEXO_HOME to the folder in which to keep the session")
    })?;
    let mut claim = client::Claim::new(&code)?;
    if let Some(label) = args.device_label {
        claim = claim.with_device_label(label)?;
    }
    let folder = home.join("pairing").join("sessions");
    let file = SessionFile::new(folder, claim.gateway(), claim.device_label());
    let reserved = file.reserve()?;

    let session = client.claim(&claim).await?;
    let is_replaced = reserved.save(&session.token)?;

    let file = file.path().to_string_lossy();
    let profile = session.profile.as_deref().or(claim.profile());
    let label = session.device_label.as_deref().or(claim.device_label());
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
        let shown = |text: Option<&str>| text.map_or("-".to_owned(), escape);
        format!(
            "paired with {}\nprofile:  {}\ndevice:   {}\nexpires:  {}\nsession:  {}{}\n",
            escape(&code.url),
            shown(profile),
            shown(label),
            shown(expires_at.map(format_time).as_deref()),
            escape(&file),
            if is_replaced { " (replaces an earlier one)" } else { "" },
        )
    })
}

/// The root certificates of the system, and those in this file.
fn root_certificates(file: &Path) -> Result<RootCertificates> {
    let mut pem = Vec::new();
    let read = File::open(file).and_then(|file| file.take(MAX_ROOTS_BYTES).read_to_end(&mut pem));
    read.map_err(CliError::io(format!("read {}", shell_path(file))))?;
    let empty = |_| CliError::usage(format!("{} holds no certificates in PEM", shell_path(file)));
    RootCertificates::system().with_pem(&pem).map_err(empty)
}

/// Checks a label before the code is used up. The gateway checks it again.
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
    use std::io::{ErrorKind, Write};
    use std::os::unix::fs::PermissionsExt;

    use nexo_pairing::client::{Gateway, SessionFileError};
    use tempfile::NamedTempFile;

    use super::*;
    use crate::error::chain;
    use crate::exit::Exit;

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
    fn a_session_that_cannot_be_kept_is_reported_with_a_hint() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("my sessions");
        let gateway = Gateway::parse("wss://nexo.example.com/pair").unwrap();
        let file = SessionFile::new(&folder, &gateway, Some("phone"));
        drop(file.reserve().unwrap());
        fs::set_permissions(&folder, Permissions::from_mode(0o770)).unwrap();
        let error = CliError::from(file.reserve().unwrap_err());
        assert_eq!((error.kind(), error.exit()), ("io", Exit::Storage));
        let expected = format!(
            "failed to keep the session: other users can write to the folder of {} (mode 0770)",
            file.path().display(),
        );
        assert_eq!(chain(&error), expected);
        assert_eq!(error.hint(), Some(&*format!("chmod 700 '{}'", folder.display())));

        let path = file.path().to_owned();
        let error = CliError::from(SessionFileError::FolderOwner { path, owner: 7 });
        assert!(chain(&error).contains("belongs to user 7"), "{error:?}");
        assert!(error.hint().unwrap().contains("NEXO_HOME"), "{error:?}");
        let (path, source) = (file.path().to_owned(), ErrorKind::StorageFull.into());
        let error = chain(&CliError::from(SessionFileError::Save { path, source }));
        assert!(error.contains("whose setup code is used up"), "{error}");
    }
}
