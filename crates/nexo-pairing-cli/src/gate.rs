//! `gate`: decides on inbound messages, one JSON object a line, for as long as they come.
//!
//! Three threads share the work: one reads standard input ([`lines`]), one decides and writes
//! ([`screen`]), and the caller's runtime waits for signals. So neither a reader that does not take
//! the answers nor a store that is busy keeps a signal from being heard.

mod lines;
mod screen;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Args;
use nexo_pairing::config::{Config, Sources};
use nexo_pairing::{AccountId, ChannelId, GateOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::context::{Context, Database};
use crate::error::{CliError, Exit, chain};
use crate::text::escaped;
use screen::{Remarks, Screener, Stop};

/// How long an ending gate waits for the line in hand, and for somebody to take its answer.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = GUIDE)]
pub(crate) struct Gate {
    /// Mode `pairing` for accounts that say nothing else.
    #[arg(long)]
    auto_challenge: bool,
    /// Decide on a copy in memory: nothing is written, and neither codes nor messages go out.
    #[arg(long)]
    dry_run: bool,
}

const GUIDE: &str = r#"In, one object a line, or a whole Nexo event:
  {"channel":"whatsapp","account":"personal","from":"5491155556666@c.us","meta":{"push_name":"Ana"}}
Out, in the same order:
  {"decision":"admit","channel":"whatsapp","account":"personal","sender":"+5491155556666"}
  {"decision":"drop","reason":"blocked","channel":…,"account":…,"sender":…}
  {"decision":"challenge","channel":…,"account":…,"sender":…,"code":"K7M9PQ2X"}
  {"outbound":{"topic":"plugin.outbound.whatsapp.personal","payload":{…}}}
Deliver a message only when its decision is "admit"; publish each "outbound" once. An event of the
plugin itself, such as "connected", is admitted with the reason "notice". A line that cannot be
decided yields {"error":{"line":…,"kind":…,"message":…}}: its message must not be delivered, and the
exit status is 1 in the end.

SIGTERM and SIGINT end it after the line in hand, SIGHUP reads the configuration again (storage.path
and audit_days are looked at when it starts).

Example:
  nexo-pair gate --auto-challenge --dry-run < messages.jsonl"#;

/// What a reload replaces.
type Settings = Arc<Config>;

pub(crate) async fn run(args: Gate, context: &mut Context) -> Result<Exit, CliError> {
    let sources = context.sources().with_auto_challenge(args.auto_challenge);
    let settings: Settings = Arc::new(sources.load()?);
    let no_signals = |source| CliError::Io { what: "listen to signals".to_owned(), source };
    // From the first moment on: otherwise it would end the process.
    let mut hang_up = signal(SignalKind::hangup()).map_err(no_signals)?;
    let database = Database::of(&settings);
    let store = if args.dry_run { database.rehearsal().await? } else { database.open().await? };

    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;

    let stdin = std::mem::replace(&mut context.io.stdin, Box::new(io::empty()));
    let stdout = std::mem::replace(&mut context.io.stdout, Box::new(io::sink()));
    let stderr = std::mem::replace(&mut context.io.stderr, Box::new(io::sink()));
    let remarks = Remarks::new(Arc::new(Mutex::new(stderr)));
    if args.dry_run {
        let path = escaped(&database.path().to_string_lossy());
        remarks.say(&format!("dry run: it decides on a copy of {path} as it is now"));
    }
    let (batches, next_batch) = mpsc::channel(lines::QUEUED);
    start("nexo-pair-read", move || lines::read(stdin, &batches))?;

    let stop = Arc::new(Stop::default());
    let (new_settings, next_settings) = watch::channel(settings.clone());
    let (ended, mut end) = oneshot::channel();
    let screener = Screener::new(store, next_settings, stdout, remarks.clone(), args.dry_run);
    let (runtime, asked) = (tokio::runtime::Handle::current(), stop.clone());
    start("nexo-pair-gate", move || {
        // Whoever waited is gone when this fails.
        let _ = ended.send(runtime.block_on(screener.run(next_batch, &asked)));
    })?;

    let mut deadline: Option<Instant> = None;
    let result = loop {
        tokio::select! {
            result = &mut end => break result.unwrap_or(Err(CliError::Io {
                what: "go on deciding".to_owned(),
                source: io::Error::other("the thread that decides is gone"),
            })),
            Some(()) = ask_to_end(&mut interrupt, &mut terminate) => {
                stop.ask();
                // Asked twice, it ends at once.
                let grace = if deadline.is_some() { Duration::ZERO } else { GRACE };
                deadline = Some(Instant::now() + grace);
            }
            Some(()) = hang_up.recv() => {
                reload(&sources, &settings, &new_settings, &remarks).await;
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                break Err(CliError::Io {
                    what: "end in time".to_owned(),
                    source: io::Error::other("the last answer was not taken"),
                });
            }
        }
    };
    // Errors are told through the same stream again.
    context.io.stderr = Box::new(remarks);
    result
}

/// The gate's options as the configuration has them.
pub(crate) fn options(config: &Config) -> GateOptions {
    let mut options = GateOptions::default();
    options.accounts = accounts(config);
    options
}

/// The accounts that are known; `None` when all are.
fn accounts(config: &Config) -> Option<Vec<(ChannelId, AccountId)>> {
    let accounts = config.accounts()?.iter();
    Some(accounts.map(|known| (known.channel.clone(), known.account.clone())).collect())
}

/// Waits for one of two signals.
async fn ask_to_end(interrupt: &mut Signal, terminate: &mut Signal) -> Option<()> {
    tokio::select! {
        asked = interrupt.recv() => asked,
        asked = terminate.recv() => asked,
    }
}

/// Reads the configuration again; a bad one changes nothing. The database stays: what was decided
/// by one file must not be continued in another.
async fn reload(
    sources: &Sources,
    started_with: &Config,
    settings: &watch::Sender<Settings>,
    remarks: &Remarks,
) {
    let sources = sources.clone();
    let loaded = tokio::task::spawn_blocking(move || sources.load()).await;
    match loaded {
        Ok(Ok(config)) => {
            remarks.say("the configuration was read again");
            for key in needs_restart(started_with, &config) {
                remarks.say(&format!("{key} has changed: that needs a restart"));
            }
            settings.send_replace(Arc::new(config));
        }
        Ok(Err(error)) => {
            remarks.say(&format!("the old configuration stays in force: {}", chain(&error)));
        }
        Err(error) => {
            remarks.say(&format!("the old configuration stays in force: {}", chain(&error)));
        }
    }
}

/// What has changed and is only looked at when the store is opened.
fn needs_restart(started_with: &Config, config: &Config) -> Vec<&'static str> {
    let path = (config.storage_path() != started_with.storage_path()).then_some("storage.path");
    let days = (config.audit_days() != started_with.audit_days()).then_some("audit_days");
    path.into_iter().chain(days).collect()
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), CliError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|source| CliError::Io { what: "start a thread".to_owned(), source })
}
