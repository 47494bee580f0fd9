//! `log`: shows the audit log.

use clap::Args;
use nexo_pairing::{AccountScope, AuditAction, AuditEvent, AuditQuery, ChannelId, SenderId};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{check_filter, filter};
use crate::table::Table;
use crate::text::format_time;
use crate::time_input::parse_time_now;
use crate::{Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = "The newest entry comes last. Only entries that match all filters are shown.\n\n\
    Examples:\n  nexo-pair log --channel whatsapp --limit 200\n  \
    nexo-pair log --device \"Ana's iPhone\"\n  \
    nexo-pair log --action replay --since 2d\n  \
    nexo-pair log --since 2027-01-01 --until 2027-02-01 --sender +5491155556666"
)]
pub(crate) struct Log {
    /// Only this channel.
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// Only this sender, as the log shows them.
    #[arg(long, value_name = "SENDER")]
    sender: Option<String>,
    /// Only the session with this id, or all sessions of devices with this label: claims, replays,
    /// ends.
    #[arg(long, value_name = "ID|LABEL")]
    device: Option<String>,
    /// Only this action: request, approve, reject, expire, seed, revoke, block, unblock, forget,
    /// lockout, unlock, code_issued, code_cancelled, session_issued, session_reissued, replay, …
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// From this moment on: a date (UTC), an RFC 3339 time or an age such as 2d.
    #[arg(long, value_name = "WHEN", value_parser = parse_time_now)]
    since: Option<OffsetDateTime>,
    /// Before this moment.
    #[arg(long, value_name = "WHEN", value_parser = parse_time_now)]
    until: Option<OffsetDateTime>,
    /// Only entries older than the one with this number: `before` of the previous page.
    #[arg(long, value_name = "SEQ")]
    before: Option<i64>,
    /// The maximum number of entries to show, up to 10000.
    #[arg(long, value_name = "N", default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

pub(crate) async fn run(args: Log, context: &mut Context) -> Result {
    let database = context.database()?;
    let channel = args.channel.as_deref();
    // One more than is shown reveals whether there is another page.
    let mut query = AuditQuery::newest(args.limit + 1).with_filter(filter(channel, None));
    query.filter.sender = args.sender.map(SenderId::from_stored);
    query.device = args.device;
    query.action = args.action.map(AuditAction::from);
    query.since = args.since;
    query.until = args.until;
    query.before = args.before;
    let mut events = database.view().await?.audit_log(&query).await?;
    if events.is_empty() {
        check_filter(channel, None)?;
    }
    let has_more = events.len() > args.limit as usize;
    events.drain(..usize::from(has_more));
    let before = events.first().filter(|_| has_more).map(|event| event.seq);
    context.print(&json!({ "events": events, "before": before }), || {
        let table = if events.is_empty() { "no entries\n".to_owned() } else { table(&events) };
        let older = before.map(|seq| format!("older entries: --before {seq}\n"));
        format!("{table}{}database: {}\n", older.unwrap_or_default(), database.shown())
    })
}

fn table(events: &[AuditEvent]) -> String {
    let mut table = Table::new(["AT", "ACTOR", "ACTION", "CHANNEL", "ACCOUNT", "SENDER", "DETAIL"]);
    for event in events {
        let detail = match &event.detail {
            Value::Null => String::new(),
            Value::Object(fields) if fields.is_empty() => String::new(),
            detail => detail.to_string(),
        };
        table.row([
            &format_time(event.at),
            event.actor.as_str(),
            event.action.as_str(),
            event.channel.as_ref().map_or("", ChannelId::as_str),
            event.account_id.as_ref().map_or("", AccountScope::as_str),
            event.sender_id.as_ref().map_or("", SenderId::as_str),
            &detail,
        ]);
    }
    table.render()
}
