//! `completions`: a completion script for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    nexo-pair completions bash > ~/.local/share/bash-completion/completions/nexo-pair")]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(args: &Completions, context: &mut Context) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nexo-pair", &mut script);
    context.print_text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
