//! `devices import`: imports the sessions of 0.1.8.

use std::path::PathBuf;

use clap::Args;
use nexo_pairing::Actor;
use nexo_pairing::store::read_legacy_sessions;

use crate::text::shell_path;
use crate::{Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = "The devices keep their tokens; only a hash of each is stored here. The file is only \
    read, and importing it again changes nothing.\n\n\
    Example:\n  nexo-pair devices import ~/.nexo/pairing_sessions.db"
)]
pub(crate) struct Import {
    /// The file `pairing_sessions.db` of 0.1.8.
    file: PathBuf,
}

pub(crate) async fn run(args: &Import, context: &mut Context) -> Result {
    let database = context.database()?;
    // An unreadable file must not leave an empty database behind.
    let sessions = read_legacy_sessions(&args.file).await?;
    let store = database.find().await?.or_create().await?;
    let report = store.import_sessions(sessions, &Actor::cli()).await?;
    context.print(&report, || {
        format!(
            "{} imported, {} already known, {} expired\n{}",
            report.imported,
            report.unchanged,
            report.expired,
            database.written()
        )
    })?;
    let file = shell_path(&args.file);
    context.note(&format!(
        "{file} still holds the tokens in plain text: delete it once 0.1.8 is retired"
    ));
    Ok(())
}
