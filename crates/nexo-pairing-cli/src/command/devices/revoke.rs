//! `devices revoke`: ends the session of a device.

use clap::Args;
use nexo_pairing::{Actor, Session};
use serde_json::json;
use time::OffsetDateTime;

use crate::context::{Context, Database};
use crate::device_name::{shown, skeleton_of, visible};
use crate::error::CliError;
use crate::exit::Exit;
use crate::text::escape;

#[derive(Debug, Args)]
#[command(
    after_help = "The device is refused with its next request, everywhere. To let it in again it \
    needs a new setup code.\n\n\
    Examples:\n  nexo-pair devices revoke 5f3a9c1e7b2d4f60\n  \
    nexo-pair devices revoke \"Ana's iPhone\""
)]
pub(crate) struct Revoke {
    /// The id of the session, or the name of its device, as `devices list` shows them.
    #[arg(value_name = "ID|LABEL")]
    device: String,
}

pub(crate) async fn run(args: &Revoke, context: &mut Context) -> Result<Exit, CliError> {
    let database: Database = context.database()?;
    let found = database.find().await?;
    let mut sessions = found.view().list_sessions(true).await?;
    sessions.retain(|session| can_end(session, OffsetDateTime::now_utc()));
    let session = choose(&sessions, &args.device)?;
    let revoked = match (session, found.store()) {
        (Some(session), Some(store)) => store.revoke_session(&session.id, &Actor::cli()).await?,
        _ => None,
    };
    let revoked = revoked.ok_or_else(|| CliError::Nothing {
        kind: "nothing_to_revoke",
        message: format!("no device `{}` has a session", escape(&args.device)),
        hint: Some("see which have, in which database: nexo-pair devices list".to_owned()),
    })?;
    context.print(&json!({ "revoked": [revoked] }), || {
        format!("revoked {} ({})\n{}", name(&revoked), revoked.id, database.written())
    })?;
    Ok(Exit::Done)
}

/// Whether there is something to end. That goes for a session from the future as well: it would be
/// live when the clock is right again.
fn can_end(session: &Session, now: OffsetDateTime) -> bool {
    session.revoked_at.is_none() && session.expires_at > now
}

/// The session with this id or, if there is none, the only one of a device whose name looks like this one:
/// what is typed is what was seen.
fn choose<'a>(sessions: &'a [Session], device: &str) -> Result<Option<&'a Session>, CliError> {
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
            Err(CliError::Nothing {
                kind: "ambiguous_label",
                message: format!(
                    "{} devices have names that look like `{}`: {}",
                    ids.len(),
                    visible(device),
                    ids.join(", ")
                ),
                hint: Some(format!("say which by its id: nexo-pair devices revoke {}", ids[0])),
            })
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
