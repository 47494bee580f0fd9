//! `gate`: decides on inbound messages, for as long as they come: one JSON object a line on standard
//! input ([`pipe`]), or the events on a bus ([`bus`]).

mod answer;
mod bus;
mod lines;
pub(super) mod options;
mod pipe;
mod remarks;
mod screen;
mod settings;
mod signals;

use clap::Args;
use nexo_pairing::config::Process;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::live_config::start_only;
use settings::Loader;
use signals::HangUp;

#[derive(Debug, Args)]
#[command(after_help = GUIDE.replace("START_ONLY", &start_only(Process::Gate)))]
pub(crate) struct Gate {
    /// Mode `pairing` for accounts that say nothing else.
    #[arg(long)]
    auto_challenge: bool,
    /// Mode `open` for this run, where no mode is configured and none was in force before.
    #[arg(long, conflicts_with = "auto_challenge")]
    open: bool,
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

Somebody has to say which mode counts: pairing.gate.mode or `mode` of an account in pairing.yaml,
NEXO_PAIRING_GATE__MODE, --auto-challenge or --open. What was said last is remembered in the database
and stays in force when the configuration is lost; `nexo-pair forget-mode` ends that. Which channels
pairing.adapters named is remembered, too: where an entry is lost, no gate starts that would take ids of
its channel as they are written; `adapters: []` or `nexo-pair forget-adapter` ends that.

SIGTERM and SIGINT end it when the lines that were read, or what was taken from the bus, are finished;
SIGHUP reads the configuration again (START_ONLY are looked at when it
starts).

Examples:
  nexo-pair gate --auto-challenge --dry-run < messages.jsonl
  nexo-pair gate --nats nats://127.0.0.1:4222"#;

pub(crate) async fn run(args: Gate, context: &mut Context) -> Result<Exit, CliError> {
    let sources = context.sources().with_auto_challenge(args.auto_challenge);
    let loader = Loader::new(sources.with_nats(args.bus.servers()), args.open)?;
    // From the first moment on: otherwise it would end the process.
    let hang_up = HangUp::listen()?;
    if args.bus.is_meant() {
        bus::run(loader, hang_up, &args.bus, args.dry_run, context).await
    } else {
        pipe::run(loader, hang_up, args.dry_run, context).await
    }
}
