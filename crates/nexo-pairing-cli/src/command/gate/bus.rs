//! A gate on a bus, as a command: its flags, its signals, and what it prints. What it does there is
//! [`nexo_pairing::bus`].

mod adapters;
mod flags;
mod printer;

use std::io::{self, Write};
use std::sync::Arc;

use nexo_pairing::bus::{BusGate, BusGateError, Connections, Status};
use nexo_pairing::config::Config;
use nexo_pairing::server::{MetricsOptions, MetricsServer};
use nexo_pairing::{PairingGate, PairingStore};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::remarks::Remarks;
use super::settings::{Loader, Settings};
use super::signals::{Asked, HangUp};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::nats;
use adapters::Adapters;
pub(super) use flags::Flags;
use printer::Printer;

pub(super) async fn run(
    mut loader: Loader,
    hang_up: HangUp,
    flags: &Flags,
    dry_run: bool,
    context: &mut Context,
) -> Result<Exit, CliError> {
    let subjects = flags.subjects(loader.config())?;
    let options = nats::options(loader.config())?;
    // Before the gate is made: what counts keeps the recorder that it finds.
    let metrics = flags.metrics_listen.map(MetricsOptions::prometheus).transpose()?;
    let metrics = match metrics {
        Some(options) => Some(MetricsServer::bind(options).await?),
        None => None,
    };
    let database = context.database_of(loader.config());
    let store = loader.open(&database, dry_run).await?;
    let settings = loader.start(&store).await?;
    let connections = Connections::open(options, subjects).await?;

    let stderr = std::mem::replace(&mut context.io.stderr, Box::new(io::sink()));
    let remarks = Remarks::new(stderr);
    let stdout = dry_run.then(|| {
        remarks.rehearses(&database);
        std::mem::replace(&mut context.io.stdout, Box::new(io::sink()))
    });
    let service = Service { connections, store, remarks: remarks.clone(), metrics, stdout };
    let result = service.run(loader, settings, hang_up, &flags.queue_group).await;
    // Errors are told through the same stream again.
    context.io.stderr = Box::new(remarks);
    result
}

/// What a gate on a bus needs to run.
struct Service {
    connections: Connections,
    store: PairingStore,
    remarks: Remarks,
    metrics: Option<MetricsServer>,
    /// Where a dry run prints its decisions.
    stdout: Option<Box<dyn Write + Send>>,
}

impl Service {
    /// Runs until it is asked to end.
    async fn run(
        self,
        mut loader: Loader,
        settings: Settings,
        hang_up: HangUp,
        group: &str,
    ) -> Result<Exit, CliError> {
        let Self { connections, store, remarks, metrics, stdout } = self;
        let dry_run = stdout.is_some();
        let printer = stdout.map(Printer::start).transpose()?;
        let mut signals = hang_up.and_the_others()?;
        let gate = PairingGate::new(store.clone());
        let bus = connections.bus().clone();
        let mut adapters = Adapters::new(&settings, &bus, dry_run, None)?;
        loader.say_start(&remarks);

        let gate = BusGate::new(connections, gate, adapters.settings(&settings))
            .with_queue_group(group)
            .with_status(tell(remarks.clone(), metrics.as_ref()));
        let gate = match printer {
            Some(printer) => gate.with_observer(Arc::new(printer)),
            None => gate,
        };
        let mut beside = JoinSet::new();
        if let Some(metrics) = metrics {
            beside.spawn(metrics.run());
        }
        let handle = gate.handle();
        let (stop, stopped) = oneshot::channel();
        let mut stop = Some(stop);
        let mut running = std::pin::pin!(gate.run(async {
            // It is sent, or kept until the end.
            let _ = stopped.await;
        }));
        loop {
            let asked = tokio::select! {
                result = running.as_mut() => {
                    return result.map(|()| Exit::Done).map_err(failed);
                }
                asked = signals.next() => asked,
            };
            let is_to_end = match asked {
                Asked::End => true,
                Asked::Reload => {
                    let new =
                        |config: &Config| Adapters::new(config, &bus, dry_run, Some(&adapters));
                    let reload = loader.reload(&store, &remarks, new);
                    match signals.unless_ended(reload).await {
                        Some(Some((settings, new))) => {
                            adapters = new;
                            handle.set(adapters.settings(&settings));
                            loader.say_reload(&remarks);
                            false
                        }
                        Some(None) => false,
                        None => true,
                    }
                }
            };
            if is_to_end {
                // Asked twice, it ends at once.
                let Some(stop) = stop.take() else {
                    let messages = handle.counts().unfinished();
                    return Err(failed(BusGateError::Unfinished { messages }));
                };
                // It ended by itself when this fails.
                let _ = stop.send(());
            }
        }
    }
}

/// Tells the operator what the gate reports, and where its metrics are once it takes messages.
fn tell(
    remarks: Remarks,
    metrics: Option<&MetricsServer>,
) -> impl Fn(Status) + Send + Sync + 'static {
    let address = metrics.map(MetricsServer::local_addr);
    move |status| {
        if let (Status::Subscribed { .. }, Some(address)) = (&status, address) {
            remarks.say(&format!("metrics: http://{address}/metrics"));
        }
        remarks.say(&status.to_string());
    }
}

fn failed(error: BusGateError) -> CliError {
    match error {
        BusGateError::Nats(error) => error.into(),
        BusGateError::Observer(source) => {
            CliError::Io { what: "write the decisions".to_owned(), source }
        }
        other => CliError::Io { what: "end in time".to_owned(), source: io::Error::other(other) },
    }
}
