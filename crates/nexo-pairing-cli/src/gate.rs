//! `gate`: decides on inbound messages, for as long as they come: one JSON object a line on standard
//! input ([`pipe`]), or the events on a bus ([`bus`]).

mod answer;
mod bus;
mod lines;
mod load;
mod pipe;
mod remarks;
mod screen;
mod signals;

use std::sync::Arc;

use clap::Args;
use nexo_pairing::config::{Config, Sources};
use nexo_pairing::{AccountId, ChannelId, GateOptions};

use crate::context::Context;
use crate::error::{CliError, Exit, chain};
use remarks::Remarks;
use signals::HangUp;

#[derive(Debug, Args)]
#[command(after_help = GUIDE)]
pub(crate) struct Gate {
    /// Mode `pairing` for accounts that say nothing else.
    #[arg(long)]
    auto_challenge: bool,
    /// Decide on a copy in memory: nothing is written, and neither codes nor messages go out.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    bus: bus::Flags,
}

const GUIDE: &str = r#"In, one object a line, or a whole Nexo event:
  {"channel":"whatsapp","account":"personal","from":"5491155556666@c.us","meta":{"push_name":"Ana"}}
Out, with the number of the line, from 1:
  {"decision":"admit","channel":"whatsapp","account":"personal","sender":"+5491155556666","line":1}
  {"decision":"drop","reason":"blocked","channel":…,"account":…,"sender":…,"line":2}
  {"decision":"challenge","channel":…,"account":…,"sender":…,"code":"K7M9PQ2X","line":3}
  {"outbound":{"topic":"plugin.outbound.whatsapp.personal","payload":{…}},"line":3}
Order is kept for each sender. Answers pass those of others that wait for the database, so find a
message by "line". Deliver it only when its decision is "admit"; publish each "outbound" once. An
event of the plugin itself, such as "connected", is admitted with the reason "notice": deliver its
"event" in place of the line. A line that cannot be decided yields
{"error":{"line":…,"kind":…,"message":…}}: its message must not be delivered, and the exit status is
1 in the end.

With --nats it stands on a bus: it takes events from plugin.inbound.>, shares them with the other
gates of its group, publishes those that are admitted, unchanged, on pairing.admitted.CHANNEL[.ACCOUNT],
and sends the challenges itself. Events of plugins themselves are made anew and go to
pairing.notices.CHANNEL[.ACCOUNT] and, unless gate.notices is own, where admitted messages go. What
cannot be read goes to pairing.rejected, with the reason. With --dry-run it listens beside the group,
publishes nothing and prints its decisions.

SIGTERM and SIGINT end it when the lines that were read, or what was taken from the bus, are finished;
SIGHUP reads the configuration again (storage.path, audit_days and nats.… are looked at when it
starts).

Examples:
  nexo-pair gate --auto-challenge --dry-run < messages.jsonl
  nexo-pair gate --nats nats://127.0.0.1:4222"#;

/// What a reload replaces.
type Settings = Arc<Config>;

/// What every gate begins with.
struct Running {
    sources: Sources,
    settings: Settings,
    hang_up: HangUp,
}

pub(crate) async fn run(args: Gate, context: &mut Context) -> Result<Exit, CliError> {
    let sources = context.sources().with_auto_challenge(args.auto_challenge);
    let sources = sources.with_nats(args.bus.servers());
    let settings = Arc::new(sources.load()?);
    // From the first moment on: otherwise it would end the process.
    let running = Running { sources, settings, hang_up: HangUp::listen()? };
    if args.bus.is_meant() {
        bus::run(running, &args.bus, args.dry_run, context).await
    } else {
        pipe::run(running, args.dry_run, context).await
    }
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

/// Reads the configuration again; a bad one changes nothing. The database stays: what was decided
/// by one file must not be continued in another.
async fn reload(sources: &Sources, started_with: &Config, remarks: &Remarks) -> Option<Settings> {
    let sources = sources.clone();
    let loaded = tokio::task::spawn_blocking(move || sources.load()).await;
    let problem = match loaded {
        Ok(Ok(config)) => {
            remarks.say("the configuration was read again");
            for key in needs_restart(started_with, &config) {
                remarks.say(&format!("{key} has changed: that needs a restart"));
            }
            return Some(Arc::new(config));
        }
        Ok(Err(error)) => chain(&error),
        Err(error) => chain(&error),
    };
    remarks.stays(&problem);
    None
}

/// What has changed and is only looked at at the start.
fn needs_restart(started_with: &Config, config: &Config) -> Vec<&'static str> {
    let changes = [
        ("storage.path", config.storage_path() != started_with.storage_path()),
        ("audit_days", config.audit_days() != started_with.audit_days()),
        ("nats", config.nats() != started_with.nats()),
    ];
    changes.into_iter().filter(|(_, has_changed)| *has_changed).map(|(key, _)| key).collect()
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), CliError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|source| CliError::Io { what: "start a thread".to_owned(), source })
}
