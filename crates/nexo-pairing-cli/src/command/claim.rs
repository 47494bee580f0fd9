//! `claim`: turns a setup code into a session, as a companion does.

use std::path::PathBuf;

use clap::Args;
use nexo_pairing::setup_code::{
    MAX_LABEL_BYTES, UnverifiedToken, decode_setup_code, is_device_label,
};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::decode;
use crate::claim::{ClaimError, Patience, Roots, SessionFile, claim};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::setup_code_input::CodeInput;
use crate::text::{escaped, moment};

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
        return Err(ClaimError::Expired { at: code.expires_at }.into());
    }
    let roots = args.ca_cert.as_deref().map_or_else(|| Ok(Roots::default()), Roots::with_file)?;
    let config = context.config()?;
    let home = config.home().ok_or_else(|| {
        CliError::Usage("set NEXO_HOME to the folder where the session is to be kept".to_owned())
    })?;
    // What the code says of itself is not vouched for; it names a file, no more.
    let claims =
        UnverifiedToken::parse(&code.bootstrap_token).and_then(|token| token.read_claims());
    let (profile, label) = claims.ok().map(|claims| (claims.profile, claims.device_label)).unzip();
    let label = label.flatten().or_else(|| args.device_label.clone());
    let file = SessionFile::prepare(home, &code.url, label.as_deref())?;

    let session = claim(&code, args.device_label.as_deref(), roots, &Patience::default()).await?;
    let (file, is_replaced) = file.save(session.token.as_str())?;

    let file = file.to_string_lossy();
    let (profile, label) = (session.profile.or(profile), session.device_label.or(label));
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
        let told = |text: Option<String>| text.map_or("-".to_owned(), |text| escaped(&text));
        format!(
            "paired with {}\nprofile:  {}\ndevice:   {}\nexpires:  {}\nsession:  {}{}\n",
            escaped(&code.url),
            told(profile),
            told(label),
            told(expires_at.map(moment)),
            escaped(&file),
            if is_replaced { " (in place of the one that was there)" } else { "" },
        )
    })?;
    Ok(Exit::Done)
}

/// The gateway has the last word; this one comes before a code is used up.
fn device_label(label: &str) -> Result<String, String> {
    if is_device_label(label) {
        Ok(label.to_owned())
    } else {
        Err(format!("it must have 1 to {MAX_LABEL_BYTES} bytes and no control characters"))
    }
}
