//! `approve`: lets in whoever has a code.

use std::io::{self, Read, Write};
use std::mem;
use std::time::Duration;

use clap::Args;
use nexo_pairing::limits::MAX_NOTE_BYTES;
use nexo_pairing::{Actor, Filter, Grant, PairingCode, PairingStore, PendingRequest};
use time::OffsetDateTime;

use super::{TypedCode, name_in};
use crate::context::{Context, Database};
use crate::error::CliError;
use crate::exit::Exit;
use crate::io::Io;
use crate::text::{escape, format_duration, format_time, truncate};
use crate::time_input::{MOST_DAYS, parse_duration};

#[derive(Debug, Args)]
#[command(after_help = "On a terminal it shows whose code it is, and asks.\n\n\
    Examples:\n  nexo-pair approve K7M9-PQ2X\n  \
    nexo-pair approve K7M9-PQ2X --for 7d --note 'plumber, until Friday'")]
pub(crate) struct Approve {
    /// The code; case, spaces and hyphens do not matter.
    #[arg(required = true, num_args = 1..=16)]
    code: Vec<TypedCode>,
    #[arg(
        long = "for", value_name = "DURATION", value_parser = parse_duration,
        help = format!("Only for so long: 90s, 15m, 12h, 7d or 2w, up to {} years", MOST_DAYS / 365)
    )]
    expires_in: Option<Duration>,
    #[arg(
        long, value_name = "TEXT",
        help = format!("What to remember about it, at most {MAX_NOTE_BYTES} bytes")
    )]
    note: Option<String>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(crate) async fn run(args: Approve, context: &mut Context) -> Result<Exit, CliError> {
    let code = TypedCode::join(&args.code);
    let database: Database = context.database()?;
    let store = database.find().await?.required()?;
    if context.io.interactive && !args.yes {
        // A code that nobody has is not asked about: the store says what is wrong with it.
        if let Some(request) = find(&store, &code).await? {
            let question = question(&request, args.expires_in, OffsetDateTime::now_utc());
            if !ask(&mut context.io, question).await? {
                return Err(CliError::Declined);
            }
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
        format!(
            "let in {}{}\n{}",
            escape(&who.join("/")),
            until.unwrap_or_default(),
            database.written()
        )
    })?;
    Ok(Exit::Done)
}

async fn find(store: &PairingStore, code: &str) -> Result<Option<PendingRequest>, CliError> {
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

/// Asks on standard error; no answer is a no.
async fn ask(io: &mut Io, question: String) -> Result<bool, CliError> {
    let not_asked = |source| CliError::Io { what: "ask".to_owned(), source };
    io.stderr.write_all(question.as_bytes()).and_then(|()| io.stderr.flush()).map_err(not_asked)?;
    let stdin = mem::replace(&mut io.stdin, Box::new(io::empty()));
    let answer = tokio::task::spawn_blocking(move || read_line(stdin)).await;
    let answer = answer.unwrap_or_else(|error| Err(error.into())).map_err(not_asked)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// The first line, of which only the beginning matters.
fn read_line(mut stdin: Box<dyn Read + Send>) -> io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < 256 {
        match stdin.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte == *b"\n" => break,
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use nexo_pairing::{AccountId, ChannelId, SenderId, SenderKey};
    use serde_json::json;

    use super::*;

    #[test]
    fn the_question_shows_who_asks_and_no_trick_of_his() {
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
