//! `approve`: lets in the sender who has a code.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::mem;
use std::time::Duration;

use clap::Args;
use nexo_pairing::limits::MAX_NOTE_BYTES;
use nexo_pairing::{Actor, Filter, Grant, PairingCode, PendingRequest};
use time::OffsetDateTime;

use super::{TypedCode, name_in};
use crate::io::Io;
use crate::issuer::blocking;
use crate::text::{escape, format_duration, format_time, truncate};
use crate::time_input::{MAX_DAYS, parse_duration};
use crate::{CliError, Context, Result, Store};

#[derive(Debug, Args)]
#[command(after_help = "On a terminal it shows whose code it is, and asks for confirmation.\n\n\
    Examples:\n  nexo-pair approve K7M9-PQ2X\n  \
    nexo-pair approve K7M9-PQ2X --for 7d --note 'plumber, until Friday'")]
pub(crate) struct Approve {
    #[command(flatten)]
    code: TypedCode,
    #[arg(
        long = "for", value_name = "DURATION", value_parser = parse_duration,
        help = format!("For this long only: 90s, 15m, 12h, 7d or 2w, up to {} years", MAX_DAYS / 365)
    )]
    expires_in: Option<Duration>,
    #[arg(
        long, value_name = "TEXT",
        help = format!("A note to keep with the grant, at most {MAX_NOTE_BYTES} bytes")
    )]
    note: Option<String>,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    yes: bool,
}

pub(crate) async fn run(args: Approve, context: &mut Context) -> Result {
    let code = args.code.join();
    let database = context.database()?;
    let store = database.find().await?.required()?;
    // An unknown code is not asked about: the store reports what is wrong with it.
    if context.io.interactive
        && !args.yes
        && let Some(request) = find(&store, &code).await?
    {
        let question = question(&request, args.expires_in, OffsetDateTime::now_utc());
        if !ask(&mut context.io, question).await? {
            return Err(CliError::refused("declined", "nothing was changed"));
        }
    }
    let mut grant = Grant::unlimited();
    grant.expires_in = args.expires_in;
    grant.note = args.note;
    let approved = store.approve(&code, &Actor::cli(), grant).await?;
    context.print(&approved, || {
        let who =
            [approved.channel.as_str(), approved.account_id.as_str(), approved.sender_id.as_str()];
        let until = approved.expires_at.map(|at| format!(", until {}", format_time(at)));
        let (who, until) = (escape(&who.join("/")), until.unwrap_or_default());
        format!("let in {who}{until}\n{}", database.written())
    })
}

async fn find(store: &Store, code: &str) -> Result<Option<PendingRequest>> {
    let Ok(code) = PairingCode::parse(code) else { return Ok(None) };
    let pending = store.list_pending(&Filter::all()).await?;
    Ok(pending.into_iter().find(|request| request.code == code))
}

fn question(request: &PendingRequest, expires_in: Option<Duration>, now: OffsetDateTime) -> String {
    let name = name_in(&request.meta).map(|name| format!("name:    {}\n", truncate(name, 80)));
    let expires_in = expires_in.and_then(|length| time::Duration::try_from(length).ok());
    format!(
        "channel: {}\naccount: {}\nsender:  {}\n{}asked:   {} ago\nLet this sender in{}? [y/N] ",
        escape(request.channel.as_str()),
        escape(request.account_id.as_str()),
        escape(request.sender_id.as_str()),
        name.unwrap_or_default(),
        format_duration(now - request.created_at),
        expires_in.map(|time| format!(" for {}", format_duration(time))).unwrap_or_default(),
    )
}

/// Asks on standard error; no answer means no.
async fn ask(io: &mut Io, question: String) -> Result<bool> {
    let asked = io.stderr.write_all(question.as_bytes()).and_then(|()| io.stderr.flush());
    asked.map_err(CliError::io("ask"))?;
    let stdin = mem::replace(&mut io.stdin, Box::new(io::empty()));
    let answer = blocking("ask", move || read_line(stdin)).await?.map_err(CliError::io("ask"))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// The first line, of which only the beginning matters.
fn read_line(stdin: impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    BufReader::new(stdin.take(256)).read_until(b'\n', &mut line)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use nexo_pairing::{AccountId, ChannelId, SenderId, SenderKey};
    use serde_json::json;

    use super::*;

    #[test]
    fn the_question_shows_the_sender_and_escapes_tricks() {
        let (channel, account) = (ChannelId::parse("whatsapp"), AccountId::parse("personal"));
        let sender = SenderId::parse("+5491155556666").unwrap();
        let key = SenderKey::new(channel.unwrap(), account.unwrap(), sender);
        let (start, hour) = (OffsetDateTime::UNIX_EPOCH, time::Duration::HOUR);
        let code = PairingCode::from_random([0; 7]);
        let meta = json!({"push_name": "Ana\u{1b}[2K\nsender: +1"});
        let request = PendingRequest::new(key, code, start, start + hour, meta);
        let week = Some(Duration::from_secs(604_800));
        assert_eq!(
            question(&request, week, start + time::Duration::minutes(5)),
            "channel: whatsapp\naccount: personal\nsender:  +5491155556666\n\
             name:    Ana\\u{1b}[2K\\nsender: +1\nasked:   5 min ago\n\
             Let this sender in for 7 d? [y/N] "
        );
    }

    #[tokio::test]
    async fn only_a_yes_is_a_yes() {
        for (answer, yes) in [
            ("y\n", true),
            ("YES", true),
            (" y \r\nn\n", true),
            ("\n", false),
            ("", false),
            ("yo\n", false),
        ] {
            let mut io = Io::new(answer.as_bytes(), io::sink(), io::sink());
            assert_eq!(ask(&mut io, String::new()).await.unwrap(), yes, "{answer:?}");
        }
    }
}
