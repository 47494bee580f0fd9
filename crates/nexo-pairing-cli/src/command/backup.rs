//! `backup`: copies the database while it is in use.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::context::{Context, Database};
use crate::error::CliError;
use crate::exit::Exit;
use crate::text::escape;

#[derive(Debug, Args)]
#[command(
    after_help = "The copy is consistent and complete; a file that exists is not overwritten.\n\n\
    Example:\n  nexo-pair backup /backup/pairing-$(date +%F).db"
)]
pub(crate) struct Backup {
    /// The new file.
    file: PathBuf,
}

pub(crate) async fn run(args: Backup, context: &mut Context) -> Result<Exit, CliError> {
    let database: Database = context.database()?;
    database.find().await?.required()?.backup(&args.file).await?;
    let file = args.file.to_string_lossy();
    context.print(&json!({ "backup": file }), || {
        let database = database.path().to_string_lossy();
        format!("copied {} to {}\n", escape(&database), escape(&file))
    })?;
    Ok(Exit::Done)
}
