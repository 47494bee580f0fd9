//! `seed`: lets in senders that the operator knows, without a code.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::path::{Path, PathBuf};

use clap::Args;
use nexo_pairing::{AccountId, Actor, ChannelId, PairingAdapterRegistry, SenderId};

use crate::channels::adapters_for;
use crate::context::{Context, View};
use crate::error::CliError;
use crate::exit::Exit;
use crate::person::{check_raw, is_stored, note_raw, sender_of, wrong_id};
use crate::remote;
use crate::text::{escape, shell_word};

/// The longest list that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;

#[derive(Debug, Args)]
#[command(
    after_help = "All of them are let in or, when one is refused, none. Who was revoked is let \
    in again. In a file an id has a line of its own; blank lines and lines that begin with # are \
    skipped.\n\n\
    Examples:\n  nexo-pair seed whatsapp personal +5491155556666 5491155557777@c.us\n  \
    nexo-pair seed telegram cody_nexo_bot --file customers.txt"
)]
pub(crate) struct Seed {
    /// The channel, such as whatsapp.
    channel: String,
    /// The bot account on it, such as personal.
    account: String,
    /// The senders.
    #[arg(value_name = "SENDER", required_unless_present = "file", allow_negative_numbers = true)]
    senders: Vec<String>,
    /// A list of senders; - is standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Take the ids as they are, without asking a plugin; refused where an adapter here makes another
    /// id of one, or none, unless it is stored.
    #[arg(long)]
    raw: bool,
}

pub(crate) async fn run(args: Seed, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.config()?;
    let channel = ChannelId::parse(&args.channel).map_err(wrong_id)?;
    let account = AccountId::parse(&args.account).map_err(wrong_id)?;
    let mut ids: Vec<(String, String)> =
        args.senders.iter().map(|id| (String::new(), id.clone())).collect();
    if let Some(file) = &args.file {
        ids.extend(read_file(file, context).await?);
    }
    let database = context.database_of(&config);
    let found = database.find().await?;
    // A refused id must not leave an empty database behind.
    let registry = adapters_for(channel.as_str(), args.raw, &config).await?;
    if args.raw {
        for (_, id) in &ids {
            let exact = SenderId::from_stored(id.clone());
            if !is_stored(found.view(), &channel, &exact).await? {
                check_raw(&registry, &channel, id, |canonical| {
                    format!("nexo-pair seed {channel} {account} {}", shell_word(canonical))
                })?;
            }
        }
    }
    if !args.raw {
        remote::check(&config, &channel, found.view()).await?;
    }
    let is_remote = remote::is_remote(&config, &channel, found.view()).await?;
    let senders = senders(found.view(), &registry, &channel, ids, args.raw).await?;
    let store = found.or_create().await?;
    let report = store.seed(&channel, &account, &senders, &Actor::seed()).await?;

    if args.raw && is_remote {
        note_raw(context, channel.as_str());
    }
    let is_known = |accounts: &[nexo_pairing::config::Account]| {
        accounts.iter().any(|known| known.channel == channel && known.account == account)
    };
    if !config.accounts().is_none_or(is_known) {
        context.note(&format!(
            "the configuration names accounts, but not {channel}/{account}: its messages are dropped"
        ));
    }
    context.print(&report, || {
        format!(
            "{} let in, {} let in again, {} let in already\n{}",
            report.inserted,
            report.reactivated,
            report.unchanged,
            database.written()
        )
    })?;
    Ok(Exit::Done)
}

/// The senders that the ids name; each id comes with the place where it stands.
async fn senders(
    known: &View,
    registry: &PairingAdapterRegistry,
    channel: &ChannelId,
    ids: Vec<(String, String)>,
    raw: bool,
) -> Result<Vec<SenderId>, CliError> {
    let mut senders = Vec::with_capacity(ids.len());
    for (place, id) in ids {
        senders.push(match sender_of(registry, channel, &id, raw).await {
            Ok(sender) => sender,
            Err(CliError::SenderRefused { id: shown, reason, .. }) => {
                // Who is on the list already may stay, however his id was made.
                let exact = SenderId::from_stored(id);
                if !is_stored(known, channel, &exact).await? {
                    return Err(CliError::SenderRefused { place, id: shown, reason });
                }
                exact
            }
            Err(error) => return Err(error),
        });
    }
    Ok(senders)
}

/// The ids of a file, each with its place.
async fn read_file(file: &Path, context: &mut Context) -> Result<Vec<(String, String)>, CliError> {
    let is_stdin = file == Path::new("-");
    let name = if is_stdin {
        "standard input".to_owned()
    } else {
        shell_word(&escape(&file.to_string_lossy()))
    };
    let stdin = mem::replace(&mut context.io.stdin, Box::new(io::empty()));
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let source = if is_stdin { stdin } else { Box::new(File::open(path)?) };
        let mut bytes = Vec::new();
        source.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let bytes = read.await.unwrap_or_else(|error| Err(error.into()));
    let bytes = bytes.map_err(|source| CliError::Io { what: format!("read {name}"), source })?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let max = MAX_FILE_BYTES >> 20;
        return Err(CliError::Usage(format!("{name} is longer than {max} MiB")));
    }
    ids(&bytes)
        .map(|ids| {
            ids.into_iter().map(|(line, id)| (format!("line {line} of {name}: "), id)).collect()
        })
        .map_err(|line| CliError::Usage(format!("line {line} of {name} is not UTF-8")))
}

/// The ids of a list, with their lines; the error is the line that is no text.
fn ids(bytes: &[u8]) -> Result<Vec<(usize, String)>, usize> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut ids = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let id = std::str::from_utf8(line).map_err(|_| index + 1)?.trim();
        if !id.is_empty() && !id.starts_with('#') {
            ids.push((index + 1, id.to_owned()));
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_an_id_a_line() {
        let list = b"\xef\xbb\xbf# customers\r\n\r\n +5491155556666 \r\n\t\n  # no\n@a#b\n-100";
        let expected = [(3, "+5491155556666"), (6, "@a#b"), (7, "-100")];
        assert_eq!(ids(list).unwrap(), expected.map(|(line, id)| (line, id.to_owned())));
        assert_eq!(ids(b"").unwrap(), []);
        assert_eq!(ids(b"1\n\xff\n"), Err(2));
    }
}
