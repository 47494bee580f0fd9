//! `seed`: lets in senders that the operator knows, without a code.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use nexo_pairing::config::Account;
use nexo_pairing::{AccountId, Actor, ChannelId, SenderId};

use crate::channels::adapters_for;
use crate::remote;
use crate::target::{check_raw, is_stored, note_raw, sender_of_or_stored};
use crate::text::shell_word;
use crate::{CliError, Context, Result};

/// The longest list that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;

#[derive(Debug, Args)]
#[command(
    after_help = "If one sender is refused, none is let in. Senders whose grants were revoked are let \
    in again. A file has one id per line; blank lines and lines that begin with # are \
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
    /// Use the ids exactly as given, without asking a plugin; refused if a built-in adapter maps one
    /// to another id or rejects it, unless it is stored.
    #[arg(long)]
    raw: bool,
}

pub(crate) async fn run(args: Seed, context: &mut Context) -> Result {
    let config = context.config()?;
    let channel = ChannelId::parse(&args.channel)?;
    let account = AccountId::parse(&args.account)?;
    // Each with the place where it was read.
    let mut ids: Vec<(String, String)> =
        args.senders.into_iter().map(|id| (String::new(), id)).collect();
    if let Some(file) = args.file {
        ids.extend(read_file(file, context).await?);
    }
    let database = context.database_of(&config);
    let found = database.find().await?;
    // Before the database is created: a refused id must not leave an empty one behind.
    let registry = adapters_for(channel.as_str(), args.raw, &config).await?;
    if args.raw {
        for (_, id) in &ids {
            let exact = SenderId::from_stored(id.clone());
            if !is_stored(found.store(), &channel, &exact).await? {
                check_raw(&registry, &channel, id, |canonical| {
                    format!("nexo-pair seed {channel} {account} {}", shell_word(canonical))
                })?;
            }
        }
    } else {
        remote::check(&config, &channel, found.store()).await?;
    }
    let is_remote = remote::is_remote(&config, &channel, found.store()).await?;
    let mut senders = Vec::with_capacity(ids.len());
    for (place, id) in ids {
        let sender = sender_of_or_stored(&registry, &channel, &id, args.raw, found.store()).await;
        senders.push(sender.map_err(|error| error.at(&place))?);
    }
    let store = found.or_create().await?;
    let report = store.seed(&channel, &account, &senders, &Actor::seed()).await?;

    if args.raw && is_remote {
        note_raw(context, &channel);
    }
    let is_known = |accounts: &[Account]| {
        accounts.iter().any(|known| known.channel == channel && known.account == account)
    };
    if !config.accounts().is_none_or(is_known) {
        context.note(&format!(
            "the configuration lists accounts, but not {channel}/{account}: its messages are \
             dropped"
        ));
    }
    context.print(&report, || {
        format!(
            "{} let in, {} let in again, {} already let in\n{}",
            report.inserted,
            report.reactivated,
            report.unchanged,
            database.written()
        )
    })
}

/// The ids in a file, each with its place.
async fn read_file(file: PathBuf, context: &mut Context) -> Result<Vec<(String, String)>> {
    let read = context.io.read_input(Some(file), |source| {
        let mut bytes = Vec::new();
        source.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let (name, bytes) = read.await;
    let bytes = bytes.map_err(CliError::io(format!("read {name}")))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(CliError::usage(format!("{name} is longer than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    let ids = ids(&bytes)
        .map_err(|line| CliError::usage(format!("line {line} of {name} is not UTF-8")))?;
    Ok(ids.into_iter().map(|(line, id)| (format!("line {line} of {name}: "), id)).collect())
}

/// The ids of a list, with their lines; the error is the line that is not UTF-8.
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
