//! `gate`: decides on inbound messages: one JSON object per line on standard input ([`pipe`]), or the
//! events on a bus ([`bus`]).

mod bus;
mod lines;
mod output;
mod pipe;
mod screen;
mod settings;
mod status_log;

use std::io;

use clap::Args;
use nexo_pairing::config::Process;

use crate::exit::Exit;
use crate::live_config::start_only;
use crate::signals::ReloadSignal;
use crate::{Context, Result};
use settings::Loader;
pub(super) use settings::options;
use status_log::StatusLog;

#[derive(Debug, Args)]
#[command(after_help = GUIDE.replace("START_ONLY", &start_only(Process::Gate)))]
pub(crate) struct Gate {
    /// Mode `pairing` for accounts without another mode.
    #[arg(long)]
    auto_challenge: bool,
    /// Mode `open` for this run, if no mode is configured and none was in force before.
    #[arg(long, conflicts_with = "auto_challenge")]
    open: bool,
    /// Decide on a copy in memory: nothing is written, and no codes or messages are sent.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    bus: bus::Flags,
}

const GUIDE: &str = r#"Input: one object per line, in this form or as a Nexo event:
  {"channel":"whatsapp","account":"personal","from":"5491155556666@c.us","meta":{"push_name":"Ana"}}
Output, with the number of the input line, from 1:
  {"decision":"admit","channel":"whatsapp","account":"personal","sender":"+5491155556666","line":1}
  {"decision":"drop","reason":"blocked","channel":…,"account":…,"sender":…,"line":2}
  {"decision":"challenge","channel":…,"account":…,"sender":…,"code":"K7M9PQ2X","line":3}
  {"outbound":{"topic":"plugin.outbound.whatsapp.personal","payload":{…}},"line":3}

Order is kept for each sender. Other lines may be answered before one that waits for the
database, so match answers by "line". Deliver a message only if its decision is "admit"; publish
each "outbound" once. A plugin event, such as "connected", is admitted with the reason "notice":
deliver its "event" instead of the line. A line that cannot be decided yields
{"error":{"line":…,"kind":…,"message":…}}: do not deliver its message. The exit status is then 1.

With --nats the gate takes events from plugin.inbound.>, shares them with the other gates of its
queue group, publishes admitted ones unchanged on pairing.admitted.CHANNEL[.ACCOUNT], and sends
the challenges itself. Plugin events are rebuilt and published on
pairing.notices.CHANNEL[.ACCOUNT] and, unless gate.notices is own, where admitted messages go.
Unreadable events are published on pairing.rejected, with the reason. With --dry-run it listens
outside the group, publishes nothing and prints its decisions.

A gate needs an explicit mode: pairing.gate.mode or `mode` of an account in pairing.yaml,
NEXO_PAIRING_GATE__MODE, --auto-challenge or --open. The last mode is remembered in the database
and stays in force if the configuration is lost, until `nexo-pair forget-mode`. The channels in
pairing.adapters are remembered, too: if an entry is lost, a gate that would use ids of its
channel without normalizing them does not start, until `adapters: []` or
`nexo-pair forget-adapter`.

On SIGTERM and SIGINT the gate finishes the lines or messages that it has taken, and exits.
SIGHUP reloads the configuration (START_ONLY are read only at startup).

Examples:
  nexo-pair gate --auto-challenge --dry-run < messages.jsonl
  nexo-pair gate --nats nats://127.0.0.1:4222"#;

pub(crate) async fn run(args: Gate, context: &mut Context) -> Result<Exit> {
    let sources = context.sources().with_auto_challenge(args.auto_challenge);
    let loader = Loader::new(sources.with_nats(args.bus.servers()), args.open)?;
    // First: until then, the signal would end the process.
    let reload_signal = ReloadSignal::listen()?;
    let log = StatusLog::new(std::mem::replace(&mut context.io.stderr, Box::new(io::sink())));
    let result = if args.bus.is_on_bus() {
        bus::run(loader, reload_signal, &args.bus, args.dry_run, &log, context).await
    } else {
        pipe::run(loader, reload_signal, args.dry_run, &log, context).await
    };
    // Errors are reported through the same stream.
    context.io.stderr = Box::new(log);
    result
}
