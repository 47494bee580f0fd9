//! The flags that every command takes.

use std::path::PathBuf;

use clap::Args;

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The configuration file [default: $NEXO_HOME/config/pairing.yaml].
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) config: Option<PathBuf>,
    /// The database, in place of the one that the configuration names.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) db: Option<PathBuf>,
    /// Upgrade the database of an earlier version without keeping a copy of it.
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) no_copy: bool,
    /// Print JSON, also for errors (these to stderr).
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
}
