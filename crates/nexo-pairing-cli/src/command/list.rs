//! `list`: who is waiting, who is allowed and who is blocked.

use clap::Args;
use nexo_pairing::{
    AccountScope, AllowedSender, BlockedSender, ChannelId, PendingRequest, SenderId,
};
use serde::Serialize;
use time::OffsetDateTime;

use super::{check_filter, filter, name_in};
use crate::context::{Context, Database};
use crate::error::{CliError, Exit};
use crate::table::Table;
use crate::text::{escaped, length, moment};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  nexo-pair list\n  nexo-pair list --all --channel whatsapp")]
pub(crate) struct List {
    /// Only this channel.
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// Only this account.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Also who is allowed and who is blocked.
    #[arg(long)]
    all: bool,
    /// Like --all, and also who was allowed once.
    #[arg(long)]
    include_revoked: bool,
}

pub(crate) async fn run(args: List, context: &mut Context) -> Result<Exit, CliError> {
    let database: Database = context.database()?;
    let known = database.view().await?;
    let (channel, account) = (args.channel.as_deref(), args.account.as_deref());
    let filter = filter(channel, account);
    let is_all = args.all || args.include_revoked;
    let pending = known.list_pending(&filter).await?;
    let (mut allow, mut blocked) = (Vec::new(), Vec::new());
    if is_all {
        allow = known.list_allow(&filter, args.include_revoked).await?;
        blocked = known.list_blocked(&filter).await?;
    }
    if pending.is_empty() && allow.is_empty() && blocked.is_empty() {
        check_filter(channel, account)?;
    }
    let rows = blocked.iter().map(BlockedRow::from).collect();
    let listing = Listing { pending: &pending, allow: &allow, blocked: rows };
    context.print(&listing, || {
        let now = OffsetDateTime::now_utc();
        let mut text = section("waiting", pending.len(), || pending_table(&pending, now));
        if is_all {
            text += &section("allowed", allow.len(), || allow_table(&allow, now));
            text += &section("blocked", blocked.len(), || blocked_table(&blocked));
        }
        let missing = if database.exists() { "" } else { " (there is none yet)" };
        let path = database.path().to_string_lossy();
        text + &format!("database: {}{missing}\n", escaped(&path))
    })?;
    Ok(Exit::Done)
}

fn section(what: &str, count: usize, table: impl FnOnce() -> Table) -> String {
    match count {
        0 => format!("nobody is {what}\n\n"),
        count => format!("{what}: {count}\n{}\n", table().render()),
    }
}

fn pending_table(pending: &[PendingRequest], now: OffsetDateTime) -> Table {
    let mut table = Table::new(["CODE", "CHANNEL", "ACCOUNT", "SENDER", "NAME", "ASKED", "LEFT"]);
    for request in pending {
        table.row([
            &request.code.to_string(),
            request.channel.as_str(),
            request.account_id.as_str(),
            request.sender_id.as_str(),
            name_in(&request.meta).unwrap_or_default(),
            &format!("{} ago", length(now - request.created_at)),
            &length(request.expires_at - now),
        ]);
    }
    table
}

fn allow_table(allow: &[AllowedSender], now: OffsetDateTime) -> Table {
    let mut table = Table::new(["CHANNEL", "ACCOUNT", "SENDER", "SINCE", "BY", "UNTIL", "NOTE"]);
    for grant in allow {
        table.row([
            grant.channel.as_str(),
            grant.account_id.as_str(),
            grant.sender_id.as_str(),
            &moment(grant.approved_at),
            &grant.approved_via,
            &until(grant, now),
            grant.note.as_deref().unwrap_or_default(),
        ]);
    }
    table
}

fn until(grant: &AllowedSender, now: OffsetDateTime) -> String {
    match (grant.revoked_at, grant.expires_at) {
        // What has run out is put away as revoked.
        (Some(ended), Some(until)) if ended >= until => {
            format!("expired {} ago", length(now - until))
        }
        (Some(ended), _) => format!("revoked {} ago", length(now - ended)),
        (None, Some(until)) => format!("{} left", length(until - now)),
        (None, None) => "for good".to_owned(),
    }
}

fn blocked_table(blocked: &[BlockedSender]) -> Table {
    let mut table = Table::new(["CHANNEL", "ACCOUNT", "SENDER", "SINCE", "BY", "REASON"]);
    for block in blocked {
        let account = block.account_id.as_str();
        table.row([
            block.channel.as_str(),
            if account == "*" { "* (all)" } else { account },
            block.sender_id.as_str(),
            &moment(block.blocked_at),
            &block.blocked_via,
            block.reason.as_deref().unwrap_or_default(),
        ]);
    }
    table
}

/// The shape of `list --json`.
#[derive(Serialize)]
struct Listing<'a> {
    pending: &'a [PendingRequest],
    allow: &'a [AllowedSender],
    blocked: Vec<BlockedRow<'a>>,
}

#[derive(Serialize)]
struct BlockedRow<'a> {
    channel: &'a ChannelId,
    account_id: &'a AccountScope,
    sender_id: &'a SenderId,
    #[serde(with = "time::serde::rfc3339")]
    blocked_at: OffsetDateTime,
    reason: Option<&'a str>,
}

impl<'a> From<&'a BlockedSender> for BlockedRow<'a> {
    fn from(block: &'a BlockedSender) -> Self {
        Self {
            channel: &block.channel,
            account_id: &block.account_id,
            sender_id: &block.sender_id,
            blocked_at: block.blocked_at,
            reason: block.reason.as_deref(),
        }
    }
}
