//! `list`: who is waiting, who is allowed and who is blocked.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use nexo_pairing::{
    AccountScope, AllowedSender, BlockedSender, ChannelId, Filter, PairingError, PendingRequest,
    SenderId,
};
use serde::Serialize;
use time::OffsetDateTime;

use super::{check_filter, filter, name_in};
use crate::output::Buffer;
use crate::table::{Columns, cells};
use crate::text::{format_duration, format_time};
use crate::{Context, Result, Store};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  nexo-pair list\n  nexo-pair list --all --channel whatsapp")]
pub(crate) struct List {
    /// Only this channel.
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// Only this account.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Also show who is allowed and who is blocked.
    #[arg(long)]
    all: bool,
    /// Like --all, and also show revoked and expired grants.
    #[arg(long)]
    include_revoked: bool,
}

pub(crate) async fn run(args: List, context: &mut Context) -> Result {
    let database = context.database()?;
    let listing = Listing {
        filter: filter(args.channel.as_deref(), args.account.as_deref()),
        is_all: args.all || args.include_revoked,
        include_revoked: args.include_revoked,
        store: database.view().await?,
    };
    let (mut buffer, count) =
        if context.json() { listing.json().await? } else { listing.text().await? };
    // Ends its transaction before anybody reads the result.
    drop(listing);
    if count == 0 {
        check_filter(args.channel.as_deref(), args.account.as_deref())?;
    }
    if !context.json() {
        buffer.push(&database.read());
    }
    context.print_buffer(buffer)
}

/// What is listed, at one moment. Grants and blocks are streamed, because there may be a million.
struct Listing {
    filter: Filter,
    is_all: bool,
    include_revoked: bool,
    store: Store,
}

impl Listing {
    /// `{"pending":[…],"allow":[…],"blocked":[…]}` on one line, and the number of rows.
    async fn json(&self) -> Result<(Buffer, usize)> {
        let mut rows = JsonRows::default();
        rows.buffer.push("{\"pending\":[");
        self.store.list_pending(&self.filter).await?.iter().for_each(|row| rows.push(row));
        rows.next_list("allow");
        if self.is_all {
            rows = self.fold_allow(rows, |rows, grant| rows.push(&grant)).await?;
        }
        rows.next_list("blocked");
        if self.is_all {
            rows =
                self.fold_blocked(rows, |rows, block| rows.push(&BlockedRow::from(&block))).await?;
        }
        rows.buffer.push("]}\n");
        Ok((rows.buffer, rows.count))
    }

    /// Tables, and the number of rows. Columns are as wide as their widest cell, so everything is read
    /// twice.
    async fn text(&self) -> Result<(Buffer, usize)> {
        let now = OffsetDateTime::now_utc();
        let mut text = Text::default();
        let pending = self.store.list_pending(&self.filter).await?;
        let mut columns = Columns::new(PENDING);
        pending.iter().for_each(|request| columns.fit(&pending_row(request, now)));
        text.begin("waiting", PENDING, columns);
        pending.iter().for_each(|request| text.row(&pending_row(request, now)));
        text.buffer.push("\n");
        if self.is_all {
            let columns = Columns::new(ALLOW);
            let fit = move |columns: &mut Columns, grant| columns.fit(&allow_row(&grant, now));
            text.begin("allowed", ALLOW, self.fold_allow(columns, fit).await?);
            let row = move |text: &mut Text, grant| text.row(&allow_row(&grant, now));
            text = self.fold_allow(text, row).await?;
            text.buffer.push("\n");
            let columns = Columns::new(BLOCKED);
            let fit = |columns: &mut Columns, block| columns.fit(&blocked_row(&block));
            text.begin("blocked", BLOCKED, self.fold_blocked(columns, fit).await?);
            let row = |text: &mut Text, block| text.row(&blocked_row(&block));
            text = self.fold_blocked(text, row).await?;
            text.buffer.push("\n");
        }
        Ok((text.buffer, text.count))
    }

    async fn fold_allow<T: Default + Send + 'static>(
        &self,
        state: T,
        fold: impl Fn(&mut T, AllowedSender) + Send + 'static,
    ) -> Result<T> {
        let visit = |each| self.store.visit_allow(&self.filter, self.include_revoked, each);
        Ok(self::fold(state, fold, visit).await?)
    }

    async fn fold_blocked<T: Default + Send + 'static>(
        &self,
        state: T,
        fold: impl Fn(&mut T, BlockedSender) + Send + 'static,
    ) -> Result<T> {
        let visit = |each| self.store.visit_blocked(&self.filter, each);
        Ok(self::fold(state, fold, visit).await?)
    }
}

/// Folds the rows of a visit, which takes place on another thread.
async fn fold<T, R, V>(
    state: T,
    fold: impl Fn(&mut T, R) + Send + 'static,
    visit: impl FnOnce(Box<dyn FnMut(R) + Send>) -> V,
) -> Result<T, PairingError>
where
    T: Default + Send + 'static,
    V: Future<Output = Result<(), PairingError>>,
{
    let state = Arc::new(Mutex::new(state));
    let shared = Arc::clone(&state);
    let each = move |row| fold(&mut shared.lock().unwrap_or_else(PoisonError::into_inner), row);
    visit(Box::new(each)).await?;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(mem::take(&mut state))
}

/// Lists in a JSON object.
#[derive(Default)]
struct JsonRows {
    buffer: Buffer,
    in_list: usize,
    count: usize,
}

impl JsonRows {
    fn push(&mut self, row: &impl Serialize) {
        if self.in_list > 0 {
            self.buffer.push(",");
        }
        self.buffer.push_json(row);
        self.in_list += 1;
        self.count += 1;
    }

    fn next_list(&mut self, name: &str) {
        self.buffer.push(&format!("],\"{name}\":["));
        self.in_list = 0;
    }
}

/// Tables, one below the other.
#[derive(Default)]
struct Text {
    buffer: Buffer,
    columns: Columns,
    count: usize,
}

impl Text {
    /// Begins a table with these headers and fitted columns.
    fn begin<const N: usize>(&mut self, what: &str, headers: [&str; N], columns: Columns) {
        match columns.rows {
            0 => self.buffer.push(&format!("nobody is {what}\n")),
            rows => self.buffer.push(&format!("{what}: {rows}\n{}", columns.line(&cells(headers)))),
        }
        self.count += columns.rows;
        self.columns = columns;
    }

    fn row(&mut self, row: &[String]) {
        self.buffer.push(&self.columns.line(row));
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
        grant.approved_via.as_str(),
        &until(grant, now),
        grant.note.as_deref().unwrap_or_default(),
    ])
}

fn until(grant: &AllowedSender, now: OffsetDateTime) -> String {
    match (grant.revoked_at, grant.expires_at) {
        // An expired grant is stored as revoked.
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
        block.blocked_via.as_str(),
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
