//! `cancel`: cancels a setup code that has not been used.

use clap::Args;
use nexo_pairing::setup::VerifyError;
use nexo_pairing::setup_code::decode_setup_code;
use nexo_pairing::{Actor, Cancellation};
use serde_json::json;

use crate::issuer::{existing_keys, open_issuer};
use crate::setup_code_input::CodeInput;
use crate::{CliError, Context, Result};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  nexo-pair cancel --file code.json")]
pub(crate) struct Cancel {
    #[command(flatten)]
    input: CodeInput,
}

pub(crate) async fn run(args: Cancel, context: &mut Context) -> Result {
    let config = context.config()?;
    let code = decode_setup_code(args.input.read(context).await?.as_str())?;
    // Only what we issued and what could still be used is worth remembering. Without a key the code is
    // not ours, and no key is made to find that out.
    if existing_keys(&config).await?.is_empty() {
        return Err(VerifyError::InvalidSignature.into());
    }
    let claims = open_issuer(&config).await?.verify(&code.bootstrap_token)?;
    let database = context.database_of(&config);
    let is_new = match database.open().await?.cancel(&claims, &Actor::cli()).await? {
        Cancellation::Cancelled => true,
        Cancellation::AlreadyUsed(session) => {
            let error = CliError::refused("already_used", "the setup code was already used");
            return Err(match session {
                Some(session) => error
                    .with_hint(format!("end its session: nexo-pair devices revoke {}", session.id)),
                None => error,
            });
        }
        _ => false,
    };
    context.print(&json!({ "cancelled": is_new }), || {
        let done = if is_new { "cancelled the setup code" } else { "it was already cancelled" };
        format!("{done}\n{}", database.written())
    })
}
