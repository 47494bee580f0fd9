//! Whom an operator means: how he writes a sender, and which stored senders that is.

use std::str::FromStr;

use clap::Args;
use nexo_pairing::config::Config;
use nexo_pairing::limits::MAX_RAW_ID_BYTES;
use nexo_pairing::{
    AccountId, AccountScope, ChannelId, Filter, IdError, PairingAdapterRegistry, SenderId, Target,
};
use serde::Serialize;

use crate::channels::adapters_for;
use crate::context::{Context, View};
use crate::error::CliError;
use crate::remote;
use crate::text::{shell_word, truncate};

/// What `revoke`, `block`, `unblock` and `forget` take.
#[derive(Debug, Args)]
pub(crate) struct Whom {
    /// Channel and sender, such as whatsapp:+5491155556666 or telegram:123456789.
    #[arg(value_name = "CHANNEL:SENDER")]
    pub(crate) person: Person,
    /// Only on this account of the channel, not on all.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Take the sender's id as it is, without asking a plugin; refused where an adapter here makes
    /// another id of it, or none, unless it is stored.
    #[arg(long)]
    pub(crate) raw: bool,
}

/// A sender as an operator writes him. Split at the first colon: a channel has none, a sender may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    channel: String,
    sender: String,
}

impl FromStr for Person {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((channel, sender)) if !channel.is_empty() && !sender.is_empty() => {
                Ok(Self { channel: channel.to_owned(), sender: sender.to_owned() })
            }
            _ => Err("write channel and sender with a colon between them, \
                      such as whatsapp:+5491155556666"),
        }
    }
}

/// A target as JSON shows it: a key whose account may be `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TargetKey {
    pub(crate) channel: ChannelId,
    pub(crate) account_id: AccountScope,
    pub(crate) sender_id: SenderId,
}

impl From<Target> for TargetKey {
    fn from(target: Target) -> Self {
        let Target { channel, scope, sender, .. } = target;
        Self { channel, account_id: scope, sender_id: sender }
    }
}

impl Whom {
    /// The senders that are meant: what the adapter makes of the id and, where exactly that id is
    /// stored, this one too. Both, because an old row with another spelling must not outlive the
    /// revocation of its owner. `command` is the name of the command that asks.
    pub(crate) async fn targets(
        &self,
        command: &str,
        config: &Config,
        known: &View,
        registry: &PairingAdapterRegistry,
    ) -> Result<Vec<Target>, CliError> {
        let Person { channel: channel_text, sender: text } = &self.person;
        let channel = ChannelId::from_stored(channel_text.clone());
        let exact = SenderId::from_stored(text.clone());
        let accounts = accounts_of(known, &channel, &exact).await?;
        if accounts.is_empty() {
            ChannelId::check(channel_text).map_err(wrong_id)?;
        }
        let scope = match self.account.as_deref() {
            None | Some("*") => AccountScope::All,
            Some(account) => {
                let account = AccountScope::from_stored(account.to_owned());
                if !accounts.contains(&account) {
                    AccountId::check(account.as_str()).map_err(wrong_id)?;
                }
                account
            }
        };
        if self.raw && accounts.is_empty() {
            check_raw(registry, &channel, text, |canonical| {
                let person = shell_word(&format!("{channel}:{canonical}"));
                let account = self.account.as_deref().map(shell_word);
                let account = account.map(|account| format!(" --account {account}"));
                format!("nexo-pair {command} {person}{}", account.unwrap_or_default())
            })?;
        }
        let mut senders = match sender_of(registry, &channel, text, self.raw).await {
            Ok(sender) => vec![sender],
            Err(_) if !accounts.is_empty() => Vec::new(),
            Err(error) => {
                remote::check(config, &channel, known).await?;
                return Err(error);
            }
        };
        if !accounts.is_empty() && !senders.contains(&exact) {
            senders.push(exact);
        }
        let target = |sender| Target::new(channel.clone(), scope.clone(), sender);
        Ok(senders.into_iter().map(target).collect())
    }

    /// The adapters to read him with.
    pub(crate) async fn adapters(
        &self,
        config: &Config,
    ) -> Result<PairingAdapterRegistry, CliError> {
        adapters_for(&self.person.channel, self.raw, config).await
    }

    /// Whether another process makes the ids of their channel.
    pub(crate) async fn is_remote(&self, config: &Config, known: &View) -> Result<bool, CliError> {
        let channel = ChannelId::from_stored(self.person.channel.clone());
        remote::is_remote(config, &channel, known).await
    }

    /// Says what `--raw` left out, if it did, on a channel that [is remote](Self::is_remote).
    pub(crate) fn note_raw(&self, context: &mut Context) {
        if self.raw {
            note_raw(context, &self.person.channel);
        }
    }

    /// The person as he was written, for messages.
    pub(crate) fn name(&self) -> String {
        let person = format!("{}:{}", self.person.channel, self.person.sender);
        match &self.account {
            Some(account) => truncate(&format!("{person} on account {account}"), 300),
            None => truncate(&person, 300),
        }
    }

    /// The person as one word of a command.
    pub(crate) fn word(&self) -> String {
        shell_word(&format!("{}:{}", self.person.channel, self.person.sender))
    }
}

/// The sender that an id names: what the channel's adapter makes of it or, if `raw`, the id itself.
pub(crate) async fn sender_of(
    registry: &PairingAdapterRegistry,
    channel: &ChannelId,
    id: &str,
    raw: bool,
) -> Result<SenderId, CliError> {
    if raw {
        return SenderId::parse(id).map_err(|error| refused(id, error.to_string()));
    }
    let Some(adapter) = registry.get(channel.as_str()) else {
        let known = registry.channels().join(", ");
        return Err(CliError::NoAdapter { channel: channel.to_string(), known });
    };
    // An adapter is promised that it is never given more.
    if id.len() > MAX_RAW_ID_BYTES {
        return Err(refused(id, format!("it has more than {MAX_RAW_ID_BYTES} bytes")));
    }
    let resolved = adapter.resolve_sender(id).await;
    match resolved.map_err(|error| CliError::plugin(channel.as_str(), error))? {
        Some(sender) => SenderId::parse(&sender).map_err(|error| refused(id, error.to_string())),
        None => Err(refused(id, format!("it is nobody that can be paired on {channel}"))),
    }
}

/// Checks an id that is taken as it is and is not stored: where an adapter makes another id of it, or
/// none, no message matches it. `command` writes the same command for the canonical id.
///
/// # Errors
///
/// [`CliError::NotCanonical`], which names that id and the command; [`CliError::Unmatchable`].
pub(crate) fn check_raw(
    registry: &PairingAdapterRegistry,
    channel: &ChannelId,
    id: &str,
    command: impl FnOnce(&str) -> String,
) -> Result<(), CliError> {
    let Some(adapter) = registry.get(channel.as_str()) else { return Ok(()) };
    let shown = truncate(id, 100);
    let short = Some(id).filter(|id| id.len() <= MAX_RAW_ID_BYTES);
    match short.and_then(|id| adapter.normalize_sender(id)) {
        Some(canonical) if canonical == id => Ok(()),
        Some(canonical) => {
            let command = command(&canonical);
            Err(CliError::NotCanonical { id: shown, canonical, command })
        }
        None => Err(CliError::Unmatchable { id: shown, channel: channel.to_string() }),
    }
}

/// Says that an id was taken as it is although a plugin knows how it is written.
pub(crate) fn note_raw(context: &mut Context, channel: &str) {
    context.note(&format!(
        "the plugin of {channel} was not asked: only messages whose sender it leaves as written here \
         match"
    ));
}

/// Whether exactly this sender is stored on a channel.
pub(crate) async fn is_stored(
    known: &View,
    channel: &ChannelId,
    sender: &SenderId,
) -> Result<bool, CliError> {
    Ok(!accounts_of(known, channel, sender).await?.is_empty())
}

/// The accounts on which exactly this sender is stored: allowed now or once, waiting, or blocked.
async fn accounts_of(
    known: &View,
    channel: &ChannelId,
    sender: &SenderId,
) -> Result<Vec<AccountScope>, CliError> {
    let filter = Filter::all().with_channel(channel.clone()).with_sender(sender.clone());
    let allowed = known.list_allow(&filter, true).await?.into_iter().map(|row| row.account_id);
    let pending = known.list_pending(&filter).await?.into_iter().map(|row| row.account_id);
    let blocked = known.list_blocked(&filter).await?.into_iter().map(|row| row.account_id);
    Ok(allowed.chain(pending).map(AccountScope::One).chain(blocked).collect())
}

/// A channel or an account that is none, on the command line.
pub(crate) fn wrong_id(error: IdError) -> CliError {
    CliError::Pairing(error.into())
}

fn refused(id: &str, reason: String) -> CliError {
    CliError::SenderRefused { place: String::new(), id: truncate(id, 100), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_split_at_the_first_colon() {
        for (text, channel, sender) in [
            ("whatsapp:+5491155556666", "whatsapp", "+5491155556666"),
            ("whatsapp:lid:123456789012345", "whatsapp", "lid:123456789012345"),
            ("telegram:@user_name", "telegram", "@user_name"),
            ("a::", "a", ":"),
        ] {
            let person = Person { channel: channel.into(), sender: sender.into() };
            assert_eq!(text.parse(), Ok(person), "{text}");
        }
        for text in ["", ":", "whatsapp", "whatsapp:", ":+5491155556666"] {
            assert!(text.parse::<Person>().is_err(), "{text}");
        }
    }
}
