//! `devices list`: which devices have a session.

use clap::Args;
use nexo_pairing::Session;
use serde_json::json;
use time::OffsetDateTime;

use crate::device_name::{look_alikes, visible};
use crate::table::Table;
use crate::text::{format_duration, format_time};
use crate::{Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  nexo-pair devices list\n  nexo-pair devices list --all --json"
)]
pub(crate) struct List {
    /// Also the sessions that ended in the last 30 days.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: &List, context: &mut Context) -> Result {
    let database = context.database()?;
    let sessions = database.view().await?.list_sessions(args.all).await?;
    context.print(&json!({ "devices": sessions }), || {
        let now = OffsetDateTime::now_utc();
        let text = if sessions.is_empty() {
            "no device has a session\n".to_owned()
        } else {
            let (table, alike) = (table(&sessions, now), alike(&sessions, now));
            format!("devices: {}\n{}{alike}", sessions.len(), table.render())
        };
        format!("{text}\n{}", database.read())
    })
}

fn table(sessions: &[Session], now: OffsetDateTime) -> Table {
    let mut table =
        Table::new(["ID", "DEVICE", "NAMED BY", "PROFILE", "SINCE", "SEEN", "ADDRESS", "SESSION"]);
    for session in sessions {
        let peer = session.last_peer.or(session.claim_peer).map(|peer| peer.to_string());
        let seen = session.last_seen_at.map(|at| format!("{} ago", format_duration(now - at)));
        table.row([
            session.id.as_str(),
            session.device_label.as_deref().map(visible).as_deref().unwrap_or("-"),
            named_by(session),
            &session.profile,
            &format_time(session.issued_at),
            &seen.unwrap_or_else(|| "never".to_owned()),
            peer.as_deref().unwrap_or("-"),
            &state(session, now),
        ]);
    }
    table
}

/// Who chose the name. A name that the device chose is not verified.
fn named_by(session: &Session) -> &'static str {
    match session.device_label {
        Some(_) if session.named_by_device => "itself",
        Some(_) => "operator",
        None => "-",
    }
}

/// A line for each group of devices with a session whose names look alike.
fn alike(sessions: &[Session], now: OffsetDateTime) -> String {
    let live: Vec<Session> = sessions.iter().filter(|it| it.is_live(now)).cloned().collect();
    let mut text = String::new();
    for group in look_alikes(&live) {
        let ids: Vec<&str> = group.iter().map(|session| session.id.as_str()).collect();
        text +=
            &format!("names that look alike: {}; tell them apart by their ids\n", ids.join(", "));
    }
    text
}

fn state(session: &Session, now: OffsetDateTime) -> String {
    // A session that expires is revoked at that moment, so that it stays ended.
    match session.revoked_at.filter(|at| *at != session.expires_at) {
        Some(at) => format!("revoked {} ago", format_duration(now - at)),
        None if session.is_live(now) => {
            format!("{} left", format_duration(session.expires_at - now))
        }
        None if session.expires_at <= now => {
            format!("expired {} ago", format_duration(now - session.expires_at))
        }
        None if session.revoked_at.is_some() => "expired".to_owned(),
        // The clock has been set back since.
        None => "from the future".to_owned(),
    }
}
