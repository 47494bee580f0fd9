//! `devices revoke`: ends the session of a device.

use clap::Args;
use nexo_pairing::{Actor, Session};
use serde_json::json;
use time::OffsetDateTime;

use crate::device_name::{shown, skeleton_of, visible};
use crate::text::escape;
use crate::{CliError, Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = "The next request of the device is refused, everywhere. To let it in again, issue a \
    new setup code.\n\n\
    Examples:\n  nexo-pair devices revoke 5f3a9c1e7b2d4f60\n  \
    nexo-pair devices revoke \"Ana's iPhone\""
)]
pub(crate) struct Revoke {
    /// The id of the session, or the name of its device, as `devices list` shows them.
    #[arg(value_name = "ID|LABEL")]
    device: String,
}

pub(crate) async fn run(args: &Revoke, context: &mut Context) -> Result {
    let database = context.database()?;
    let found = database.find().await?;
    let mut sessions = found.store().list_sessions(true).await?;
    sessions.retain(|session| can_end(session, OffsetDateTime::now_utc()));
    let revoked = match choose(&sessions, &args.device)? {
        Some(session) => found.store().revoke_session(&session.id, &Actor::cli()).await?,
        None => None,
    };
    let revoked = revoked.ok_or_else(|| {
        let message = format!("no device `{}` has a session", escape(&args.device));
        CliError::refused("nothing_to_revoke", message)
            .with_hint("to see which do, and in which database: nexo-pair devices list")
    })?;
    context.print(&json!({ "revoked": [revoked] }), || {
        format!("revoked {} ({})\n{}", name(&revoked), revoked.id, database.written())
    })
}

/// Whether the session can be ended. One from the future can: it would be live once the clock is right
/// again.
fn can_end(session: &Session, now: OffsetDateTime) -> bool {
    session.revoked_at.is_none() && session.expires_at > now
}

/// The session with this id, else the only one of a device whose name looks like this one: people type
/// what they see.
fn choose<'a>(sessions: &'a [Session], device: &str) -> Result<Option<&'a Session>> {
    if let Some(session) = sessions.iter().find(|session| session.id.as_str() == device) {
        return Ok(Some(session));
    }
    let skeleton = skeleton_of(device);
    let is_named = |session: &&Session| {
        session.device_label.as_deref().is_some_and(|label| skeleton_of(label) == skeleton)
    };
    let named: Vec<&Session> = sessions.iter().filter(is_named).collect();
    match named[..] {
        [] => Ok(None),
        [session] => Ok(Some(session)),
        _ => {
            let ids = named.iter().map(|session| session.id.as_str()).collect::<Vec<_>>();
            let (count, ids) = (ids.len(), ids.join(", "));
            let message =
                format!("{count} devices have names that look like `{}`: {ids}", visible(device));
            let hint = format!("use its id: nexo-pair devices revoke {}", named[0].id);
            Err(CliError::refused("ambiguous_label", message).with_hint(hint))
        }
    }
}

/// A device as people know it: its label, or what it is.
fn name(session: &Session) -> String {
    match shown(session) {
        Some(name) => format!("`{name}`"),
        None => format!("the {} without a name", escape(&session.profile)),
    }
}
