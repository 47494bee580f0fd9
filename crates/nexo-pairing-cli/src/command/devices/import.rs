//! `devices import`: takes over the sessions of 0.1.8.

use std::path::PathBuf;

use clap::Args;
use nexo_pairing::{Actor, PairingError, read_legacy_sessions};

use crate::context::{Context, Database};
use crate::error::CliError;
use crate::exit::Exit;
use crate::text::{escape, shell_word};

#[derive(Debug, Args)]
#[command(
    after_help = "The devices keep their tokens, of which only a hash is kept here. The file is only \
    read, and doing it again changes nothing.\n\n\
    Example:\n  nexo-pair devices import ~/.nexo/pairing_sessions.db"
)]
pub(crate) struct Import {
    /// The file `pairing_sessions.db` of 0.1.8.
    file: PathBuf,
}

pub(crate) async fn run(args: &Import, context: &mut Context) -> Result<Exit, CliError> {
    let database: Database = context.database()?;
    // What cannot be read must not leave an empty database behind.
    let sessions = read_legacy_sessions(&args.file).await.map_err(PairingError::from)?;
    let store = database.find().await?.or_create().await?;
    let report = store.import_sessions(sessions, &Actor::cli()).await?;
    context.print(&report, || {
        format!(
            "{} imported, {} known already, {} expired\n{}",
            report.imported,
            report.unchanged,
            report.expired,
            database.written()
        )
    })?;
    let file = shell_word(&escape(&args.file.to_string_lossy()));
    context.note(&format!(
        "{file} still holds the tokens as they are: delete it once 0.1.8 does not run any more"
    ));
    Ok(Exit::Done)
}
