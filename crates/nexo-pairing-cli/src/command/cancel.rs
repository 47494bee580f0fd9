//! `cancel`: takes back a setup code that was not used yet.

use clap::Args;
use nexo_pairing::setup_code::decode_setup_code;
use nexo_pairing::{Actor, Cancellation, VerifyError};
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::issuer::{existing_keys, open_issuer};
use crate::setup_code_input::CodeInput;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  nexo-pair cancel --file code.json")]
pub(crate) struct Cancel {
    #[command(flatten)]
    input: CodeInput,
}

pub(crate) async fn run(args: Cancel, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.config()?;
    let payload = args.input.read(context).await?;
    let code = decode_setup_code(payload.as_str())?;
    // Only what we issued and what could still be used is worth remembering. Without a key it is none
    // of ours, and none is made to find that out.
    if existing_keys(&config).await?.is_empty() {
        return Err(VerifyError::InvalidSignature.into());
    }
    let claims = open_issuer(&config).await?.verify(&code.bootstrap_token)?;
    let database = context.database_of(&config);
    let cancelled = match database.open().await?.cancel(&claims, &Actor::cli()).await? {
        Cancellation::Cancelled => true,
        Cancellation::AlreadyUsed(session) => {
            let hint = session
                .map(|session| format!("end its session: nexo-pair devices revoke {}", session.id));
            let message = "the setup code was used already".to_owned();
            return Err(CliError::Nothing { kind: "already_used", message, hint });
        }
        _ => false,
    };
    context.print(&json!({ "cancelled": cancelled }), || {
        let told = if cancelled { "cancelled the setup code" } else { "it was cancelled before" };
        format!("{told}\n{}", database.written())
    })?;
    Ok(Exit::Done)
}
