//! `log`: who did what, and when.

use clap::Args;
use nexo_pairing::AuditEvent;
use serde_json::{Value, json};

use super::{check_filter, filter};
use crate::context::{Context, Database};
use crate::error::{CliError, Exit};
use crate::table::Table;
use crate::text::{escaped, moment};

#[derive(Debug, Args)]
#[command(after_help = "The newest entry comes last.\n\n\
    Example:\n  nexo-pair log --channel whatsapp --limit 200")]
pub(crate) struct Log {
    /// Only this channel.
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// How many entries at most, up to 10000.
    #[arg(long, value_name = "N", default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

pub(crate) async fn run(args: Log, context: &mut Context) -> Result<Exit, CliError> {
    let database: Database = context.database()?;
    let channel = args.channel.as_deref();
    let events = database.snapshot().await?.audit(&filter(channel, None), args.limit).await?;
    if events.is_empty() {
        check_filter(channel, None)?;
    }
    context.print(&json!({ "events": events }), || {
        let table =
            if events.is_empty() { "nothing is logged\n".to_owned() } else { table(&events) };
        format!("{table}database: {}\n", escaped(&database.path().to_string_lossy()))
    })?;
    Ok(Exit::Done)
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
            &moment(event.at),
            &event.actor,
            &event.action,
            event.channel.as_deref().unwrap_or_default(),
            event.account_id.as_deref().unwrap_or_default(),
            event.sender_id.as_deref().unwrap_or_default(),
            &detail,
        ]);
    }
    table.render()
}
