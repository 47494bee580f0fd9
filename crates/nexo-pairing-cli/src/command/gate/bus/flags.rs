//! What the command line says of a gate on a bus.

use std::net::SocketAddr;

use clap::Args;
use nexo_pairing::bus::{DEFAULT_QUEUE_GROUP, Subjects};
use nexo_pairing::config::Config;

use crate::error::CliError;

/// The flags of a gate on a bus; all but the first need the first.
#[derive(Debug, Args)]
#[command(next_help_heading = "On a bus")]
pub(crate) struct Flags {
    /// Stand on a bus: the NATS servers, with commas between them; without a value, those that
    /// pairing.nats.servers names. Without this flag, it is a gate between standard input and output.
    #[arg(long, value_name = "URL", num_args = 0..=1, value_delimiter = ',')]
    nats: Option<Vec<String>>,
    /// What to take; may be given several times.
    #[arg(
        long = "subject",
        value_name = "SUBJECT",
        default_value = "plugin.inbound.>",
        requires = "nats"
    )]
    subjects: Vec<String>,
    /// The gates that share the work: each message goes to one of a group.
    #[arg(long, value_name = "GROUP", default_value = DEFAULT_QUEUE_GROUP, requires = "nats")]
    pub(super) queue_group: String,
    /// Where to show metrics, at /metrics, to anybody who gets there [default: nowhere].
    #[arg(long, value_name = "ADDRESS", requires = "nats")]
    pub(super) metrics_listen: Option<SocketAddr>,
}

impl Flags {
    /// Whether the gate is to stand on a bus.
    pub(crate) fn is_meant(&self) -> bool {
        self.nats.is_some()
    }

    /// The servers in place of those that the configuration names.
    pub(crate) fn servers(&self) -> Vec<String> {
        self.nats.clone().unwrap_or_default()
    }

    /// What to take, beside what a gate with this configuration writes.
    pub(super) fn subjects(&self, config: &Config) -> Result<Subjects, CliError> {
        let subjects: Vec<&str> = self.subjects.iter().map(String::as_str).collect();
        let plugins = config.adapters().iter().map(|adapter| adapter.prefix.as_str());
        Subjects::parse(&subjects, &plugins.collect::<Vec<_>>())
            .map_err(|error| CliError::Usage(format!("--subject {error}")))
    }
}
