//! The command line of `nexo-pairing`: the program `nexo-pair`, and its commands for embedding.
//!
//! [`Cli`] is a `clap` parser and also a set of arguments, so that another program can use it as a
//! subcommand and pass it to [`run`]:
//!
//! ```no_run
//! use clap::Parser;
//! use nexo_pairing_cli::{Cli, Io};
//!
//! #[derive(Parser)]
//! enum Nexo {
//!     /// Decides who may talk to an agent.
//!     Pair(Cli),
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::process::ExitCode {
//! let Nexo::Pair(cli) = Nexo::parse();
//! nexo_pairing_cli::run(cli, Io::standard()).await.into()
//! # }
//! ```

pub mod doctor;

mod channels;
mod cli;
mod command;
mod context;
mod device_name;
mod error;
mod exit;
mod io;
mod issuer;
mod json;
mod live_config;
mod logging;
mod modes;
mod nats;
mod output;
mod process;
mod remote;
mod setup_code_input;
mod signals;
mod table;
mod target;
#[cfg(test)]
mod tests;
mod text;
mod time_input;
mod usage;

use context::{Context, Store};
use error::{CliError, Result};

pub use cli::{Cli, main, run};
pub use exit::Exit;
pub use io::Io;
