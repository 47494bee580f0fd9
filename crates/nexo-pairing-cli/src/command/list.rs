//! `list`: who is waiting, who is allowed and who is blocked.

use clap::Args;
use nexo_pairing::{
    AccountScope, AllowedSender, BlockedSender, ChannelId, Filter, PendingRequest, SenderId,
};
use serde::Serialize;
use time::OffsetDateTime;

use super::{check_filter, filter, name_in};
use crate::context::{Context, Database, View};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Kept;
use crate::table::{Columns, cells};
use crate::text::{escape, format_duration, format_time};

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
    let listing = Listing {
        filter: filter(args.channel.as_deref(), args.account.as_deref()),
        is_all: args.all || args.include_revoked,
        include_revoked: args.include_revoked,
        known: database.view().await?,
    };
    let (mut kept, count) =
        if context.json() { listing.json().await? } else { listing.text().await? };
    // Ends its transaction before anybody reads the result.
    drop(listing);
    if count == 0 {
        check_filter(args.channel.as_deref(), args.account.as_deref())?;
    }
    if !context.json() {
        let missing = if database.exists() { "" } else { " (there is none yet)" };
        let path = database.path().to_string_lossy();
        kept.push(&format!("database: {}{missing}\n", escape(&path)));
    }
    context.print_kept(kept)?;
    Ok(Exit::Done)
}

/// What is listed, at one moment. Grants and blocks are read one after the other, for there may be a
/// million.
struct Listing {
    filter: Filter,
    is_all: bool,
    include_revoked: bool,
    known: View,
}

impl Listing {
    /// `{"pending":[…],"allow":[…],"blocked":[…]}` on one line, and how many rows that has.
    async fn json(&self) -> Result<(Kept, usize), CliError> {
        let Self { filter, include_revoked, known, .. } = self;
        let mut rows = JsonRows { kept: Kept::new(), in_list: 0, count: 0 };
        rows.kept.push("{\"pending\":[");
        known.list_pending(filter).await?.iter().for_each(|request| rows.push(request));
        rows.next_list("allow");
        if self.is_all {
            let push = |rows: &mut JsonRows, grant| rows.push(&grant);
            rows = known.fold_allow(filter, *include_revoked, rows, push).await?;
        }
        rows.next_list("blocked");
        if self.is_all {
            let push = |rows: &mut JsonRows, block| rows.push(&BlockedRow::from(&block));
            rows = known.fold_blocked(filter, rows, push).await?;
        }
        rows.kept.push("]}\n");
        Ok((rows.kept, rows.count))
    }

    /// Tables, and how many rows they have. Columns are as wide as their widest cell, so everything is
    /// read twice.
    async fn text(&self) -> Result<(Kept, usize), CliError> {
        let Self { filter, include_revoked, known, .. } = self;
        let now = OffsetDateTime::now_utc();
        let pending = known.list_pending(filter).await?;
        let mut columns = Columns::new(PENDING);
        pending.iter().for_each(|request| columns.fit(&pending_row(request, now)));
        let mut text = Text { kept: Kept::new(), columns: Columns::new([]), count: 0 };
        text.begin("waiting", PENDING, columns);
        pending.iter().for_each(|request| text.row(&pending_row(request, now)));
        text.kept.push("\n");
        if self.is_all {
            let fit = move |columns: &mut Columns, grant| columns.fit(&allow_row(&grant, now));
            let columns = Columns::new(ALLOW);
            let columns = known.fold_allow(filter, *include_revoked, columns, fit).await?;
            text.begin("allowed", ALLOW, columns);
            let row = move |text: &mut Text, grant| text.row(&allow_row(&grant, now));
            text = known.fold_allow(filter, *include_revoked, text, row).await?;
            text.kept.push("\n");
            let fit = |columns: &mut Columns, block| columns.fit(&blocked_row(&block));
            let columns = known.fold_blocked(filter, Columns::new(BLOCKED), fit).await?;
            text.begin("blocked", BLOCKED, columns);
            let row = |text: &mut Text, block| text.row(&blocked_row(&block));
            text = known.fold_blocked(filter, text, row).await?;
            text.kept.push("\n");
        }
        Ok((text.kept, text.count))
    }
}

/// Lists in a JSON object.
struct JsonRows {
    kept: Kept,
    in_list: usize,
    count: usize,
}

impl JsonRows {
    fn push(&mut self, row: &impl Serialize) {
        if self.in_list > 0 {
            self.kept.push(",");
        }
        self.kept.push_json(row);
        self.in_list += 1;
        self.count += 1;
    }

    fn next_list(&mut self, name: &str) {
        self.kept.push(&format!("],\"{name}\":["));
        self.in_list = 0;
    }
}

/// Tables below each other.
struct Text {
    kept: Kept,
    columns: Columns,
    count: usize,
}

impl Text {
    /// Begins the table of those who are something, with these headers and columns that fit.
    fn begin<const N: usize>(&mut self, what: &str, headers: [&str; N], columns: Columns) {
        match columns.rows {
            0 => self.kept.push(&format!("nobody is {what}\n")),
            rows => self.kept.push(&format!("{what}: {rows}\n{}", columns.line(&cells(headers)))),
        }
        self.count += columns.rows;
        self.columns = columns;
    }

    fn row(&mut self, row: &[String]) {
        self.kept.push(&self.columns.line(row));
    }
}

const PENDING: [&str; 7] = ["CODE", "CHANNEL", "ACCOUNT", "SENDER", "NAME", "ASKED", "LEFT"];

fn pending_row(request: &PendingRequest, now: OffsetDateTime) -> Vec<String> {
    cells([
        &request.code.to_string(),
        request.channel.as_str(),
        request.account_id.as_str(),
        request.sender_id.as_str(),
        name_in(&request.meta).unwrap_or_default(),
        &format!("{} ago", format_duration(now - request.created_at)),
        &format_duration(request.expires_at - now),
    ])
}

const ALLOW: [&str; 7] = ["CHANNEL", "ACCOUNT", "SENDER", "SINCE", "BY", "UNTIL", "NOTE"];

fn allow_row(grant: &AllowedSender, now: OffsetDateTime) -> Vec<String> {
    cells([
        grant.channel.as_str(),
        grant.account_id.as_str(),
        grant.sender_id.as_str(),
        &format_time(grant.approved_at),
        &grant.approved_via,
        &until(grant, now),
        grant.note.as_deref().unwrap_or_default(),
    ])
}

fn until(grant: &AllowedSender, now: OffsetDateTime) -> String {
    match (grant.revoked_at, grant.expires_at) {
        // What has run out is put away as revoked.
        (Some(ended), Some(until)) if ended >= until => {
            format!("expired {} ago", format_duration(now - until))
        }
        (Some(ended), _) => format!("revoked {} ago", format_duration(now - ended)),
        (None, Some(until)) => format!("{} left", format_duration(until - now)),
        (None, None) => "for good".to_owned(),
    }
}

const BLOCKED: [&str; 6] = ["CHANNEL", "ACCOUNT", "SENDER", "SINCE", "BY", "REASON"];

fn blocked_row(block: &BlockedSender) -> Vec<String> {
    let account = block.account_id.as_str();
    cells([
        block.channel.as_str(),
        if account == "*" { "* (all)" } else { account },
        block.sender_id.as_str(),
        &format_time(block.blocked_at),
        &block.blocked_via,
        block.reason.as_deref().unwrap_or_default(),
    ])
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
