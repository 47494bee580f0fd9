//! `backup`: copies the database while it is in use.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::text::escape;
use crate::{Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = "The copy is consistent and complete. An existing file is not overwritten.\n\n\
    Example:\n  nexo-pair backup /backup/pairing-$(date +%F).db"
)]
pub(crate) struct Backup {
    /// The new file.
    file: PathBuf,
}

pub(crate) async fn run(args: Backup, context: &mut Context) -> Result {
    let database = context.database()?;
    database.backup(&args.file).await?;
    let file = args.file.to_string_lossy();
    context.print(&json!({ "backup": file }), || {
        format!("copied {} to {}\n", database.shown(), escape(&file))
    })
}
