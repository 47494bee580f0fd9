//! The command for a gate on a bus: its flags, its signals, and its output. The gate itself is
//! [`nexo_pairing::bus`].

mod adapters;
mod printer;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use nexo_pairing::bus::{
    BusGate, BusGateError, Connections, DEFAULT_QUEUE_GROUP, Status, Subjects,
};
use nexo_pairing::config::Config;
use nexo_pairing::server::{MetricsOptions, MetricsServer};
use nexo_pairing::{GateBackend, PairingGate};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::settings::Loader;
use super::status_log::StatusLog;
use crate::exit::Exit;
use crate::nats;
use crate::signals::{ReloadSignal, Signal};
use crate::{CliError, Context, Result};
use adapters::Adapters;
use printer::Printer;

/// The flags of a gate on a bus; all but the first need the first.
#[derive(Debug, Args)]
#[command(next_help_heading = "On a bus")]
pub(crate) struct Flags {
    /// Decide on messages from NATS: the servers, separated by commas; without a value, those of
    /// pairing.nats.servers. Without this flag, the gate reads standard input.
    #[arg(long, value_name = "URL", num_args = 0..=1, value_delimiter = ',')]
    nats: Option<Vec<String>>,
    /// A subject to subscribe to; may be given several times.
    #[arg(
        long = "subject",
        value_name = "SUBJECT",
        default_value = "plugin.inbound.>",
        requires = "nats"
    )]
    subjects: Vec<String>,
    /// The queue group: each message goes to one gate of the group.
    #[arg(long, value_name = "GROUP", default_value = DEFAULT_QUEUE_GROUP, requires = "nats")]
    queue_group: String,
    /// Where to serve metrics, at /metrics, without authentication [default: nowhere].
    #[arg(long, value_name = "ADDRESS", requires = "nats")]
    metrics_listen: Option<SocketAddr>,
}

impl Flags {
    /// Whether the gate runs on a bus.
    pub(crate) fn is_on_bus(&self) -> bool {
        self.nats.is_some()
    }

    /// The servers that override those in the configuration.
    pub(crate) fn servers(&self) -> Vec<String> {
        self.nats.clone().unwrap_or_default()
    }

    /// The subjects to subscribe to, checked against those that a gate with this configuration publishes to.
    fn subjects(&self, config: &Config) -> Result<Subjects> {
        let subjects: Vec<&str> = self.subjects.iter().map(String::as_str).collect();
        let plugins = config.adapters().iter().map(|adapter| adapter.prefix.as_str());
        Subjects::parse(&subjects, &plugins.collect::<Vec<_>>())
            .map_err(|error| CliError::usage(format!("--subject {error}")))
    }
}

pub(super) async fn run(
    mut loader: Loader,
    reload_signal: ReloadSignal,
    flags: &Flags,
    dry_run: bool,
    log: &StatusLog,
    context: &mut Context,
) -> Result<Exit> {
    let subjects = flags.subjects(loader.config())?;
    let options = nats::options(loader.config())?;
    // Before the gate is made: counters keep the recorder that is installed then.
    let metrics = match flags.metrics_listen.map(MetricsOptions::prometheus).transpose()? {
        Some(options) => Some(MetricsServer::bind(options).await?),
        None => None,
    };
    let database = context.database_of(loader.config());
    let store = loader.open(&database, dry_run).await?;
    let settings = loader.start(&store).await?;
    let connections = Connections::open(options, subjects).await?;
    let bus = connections.bus().clone();
    let mut adapters = Adapters::new(&settings, &bus, dry_run, None)?;
    let backend: Arc<dyn GateBackend> = store.clone();
    let mut gate =
        BusGate::new(connections, PairingGate::new(backend), adapters.settings(&settings))
            .with_queue_group(&flags.queue_group)
            .with_status(report(log.clone(), metrics.as_ref()));
    if dry_run {
        log.dry_run(&database);
        let stdout = std::mem::replace(&mut context.io.stdout, Box::new(io::sink()));
        gate = gate.with_observer(Arc::new(Printer::start(stdout)?));
    }
    let mut signals = reload_signal.handle_all()?;
    loader.log_start(log);

    let mut background = JoinSet::new();
    if let Some(metrics) = metrics {
        background.spawn(metrics.run());
    }
    let gate = Arc::new(gate);
    let stop = CancellationToken::new();
    let mut running = std::pin::pin!(Arc::clone(&gate).run(stop.clone().cancelled_owned()));
    loop {
        let signal = tokio::select! {
            result = running.as_mut() => return result.map(|()| Exit::Done).map_err(failed),
            signal = signals.next() => signal,
        };
        let reloaded = match signal {
            Signal::End => None,
            Signal::Reload => {
                let new = |config: &Config| Adapters::new(config, &bus, dry_run, Some(&adapters));
                signals.unless_ended(loader.reload(&store, log, new)).await
            }
        };
        match reloaded {
            Some(Some((settings, new))) => {
                adapters = new;
                gate.set(adapters.settings(&settings));
                loader.log_reload(log);
            }
            Some(None) => {}
            None if stop.is_cancelled() => {
                // The second time, it ends at once.
                let messages = gate.counts().unfinished();
                return Err(failed(BusGateError::Unfinished { messages }));
            }
            None => stop.cancel(),
        }
    }
}

/// Reports the status of the gate to the operator, and the address of the metrics once it has subscribed.
fn report(
    log: StatusLog,
    metrics: Option<&MetricsServer>,
) -> impl Fn(Status) + Send + Sync + 'static {
    let address = metrics.map(MetricsServer::local_addr);
    move |status| {
        if let (Status::Subscribed(_), Some(address)) = (&status, address) {
            log.log(&format!("metrics: http://{address}/metrics"));
        }
        log.log(&status.to_string());
    }
}

fn failed(error: BusGateError) -> CliError {
    match error {
        BusGateError::Nats(error) => error.into(),
        BusGateError::Observer(source) => CliError::io("write the decisions")(source),
        other => CliError::io("end in time")(io::Error::other(other)),
    }
}
