//! The sender on the command line, and the stored senders that it matches.

use std::str::FromStr;

use clap::Args;
use nexo_pairing::config::Config;
use nexo_pairing::limits::MAX_RAW_ID_BYTES;
use nexo_pairing::{
    AccountId, AccountScope, ChannelId, Filter, PairingAdapterRegistry, SenderId, SenderKey, Target,
};
use serde::Serialize;

use crate::channels::adapters_for;
use crate::remote;
use crate::text::{escape, shell_word, truncate};
use crate::{CliError, Context, Result, Store};

/// The arguments of `revoke`, `block`, `unblock` and `forget`.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// Channel and sender, such as whatsapp:+5491155556666 or telegram:123456789.
    #[arg(value_name = "CHANNEL:SENDER")]
    sender: SenderArg,
    /// Only on this account of the channel, instead of all.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Use the sender's id exactly as given, without asking a plugin; refused if a built-in adapter
    /// maps it to another id or rejects it, unless it is stored.
    #[arg(long)]
    raw: bool,
}

/// `CHANNEL:SENDER`. Split at the first colon: a channel has none, a sender may.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SenderArg {
    channel: String,
    sender: String,
}

impl FromStr for SenderArg {
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
#[derive(Debug, Serialize)]
pub(crate) struct TargetKey {
    channel: ChannelId,
    account_id: AccountScope,
    sender_id: SenderId,
}

impl From<Target> for TargetKey {
    fn from(target: Target) -> Self {
        let Target { channel, scope, sender, .. } = target;
        Self { channel, account_id: scope, sender_id: sender }
    }
}

impl TargetKey {
    /// A line for people.
    pub(crate) fn line(&self, what: &str) -> String {
        let Self { channel, account_id, sender_id } = self;
        escape(&format!("{what} {channel}/{account_id}/{sender_id}")) + "\n"
    }
}

/// Lines for people, one for each key.
pub(crate) fn lines(what: &str, keys: &[SenderKey]) -> String {
    keys.iter().map(|key| escape(&format!("{what} {key}")) + "\n").collect()
}

/// All rows of a target, and for one account also those that hold for all accounts.
pub(crate) fn filter_of(target: &Target) -> Filter {
    let filter =
        Filter::all().with_channel(target.channel.clone()).with_sender(target.sender.clone());
    match &target.scope {
        AccountScope::One(account) => filter.with_account(account.clone()),
        _ => filter,
    }
}

impl TargetArgs {
    /// The targets: the canonical id and, if exactly the given id is stored, that one too. Both, because
    /// an old row with another spelling must not outlive the revocation of its owner. `command` is the
    /// name of the command, for hints.
    pub(crate) async fn targets(
        &self,
        command: &str,
        config: &Config,
        store: &Store,
    ) -> Result<Vec<Target>> {
        let SenderArg { channel: channel_text, sender: text } = &self.sender;
        let registry = adapters_for(channel_text, self.raw, config).await?;
        let channel = self.channel();
        let exact = SenderId::from_stored(text.clone());
        let accounts = accounts_of(store, &channel, &exact).await?;
        if accounts.is_empty() {
            ChannelId::check(channel_text)?;
        }
        let scope = match self.account.as_deref() {
            None | Some("*") => AccountScope::All,
            Some(account) => {
                let account = AccountScope::from_stored(account.to_owned());
                if !accounts.contains(&account) {
                    AccountId::check(account.as_str())?;
                }
                account
            }
        };
        if self.raw && accounts.is_empty() {
            check_raw(&registry, &channel, text, |canonical| {
                let sender = shell_word(&format!("{channel}:{canonical}"));
                let account = self.account.as_deref().map(shell_word);
                let account = account.map(|account| format!(" --account {account}"));
                format!("nexo-pair {command} {sender}{}", account.unwrap_or_default())
            })?;
        }
        let mut senders = match sender_of(&registry, &channel, text, self.raw).await {
            Ok(sender) => vec![sender],
            Err(_) if !accounts.is_empty() => Vec::new(),
            Err(error) => {
                remote::check(config, &channel, store).await?;
                return Err(error);
            }
        };
        if !accounts.is_empty() && !senders.contains(&exact) {
            senders.push(exact);
        }
        let target = |sender| Target::new(channel.clone(), scope.clone(), sender);
        Ok(senders.into_iter().map(target).collect())
    }

    pub(crate) fn channel(&self) -> ChannelId {
        ChannelId::from_stored(self.sender.channel.clone())
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.raw
    }

    /// The arguments, for messages.
    pub(crate) fn name(&self) -> String {
        let sender = format!("{}:{}", self.sender.channel, self.sender.sender);
        match &self.account {
            Some(account) => truncate(&format!("{sender} on account {account}"), 300),
            None => truncate(&sender, 300),
        }
    }

    /// The sender as one word of a command.
    pub(crate) fn word(&self) -> String {
        shell_word(&format!("{}:{}", self.sender.channel, self.sender.sender))
    }
}

/// The sender of an id: the canonical id by the channel's adapter or, if `raw`, the id itself.
pub(crate) async fn sender_of(
    registry: &PairingAdapterRegistry,
    channel: &ChannelId,
    id: &str,
    raw: bool,
) -> Result<SenderId> {
    let refused = |reason: String| {
        CliError::sender_refused(format!("the id `{}` is refused: {reason}", truncate(id, 100)))
    };
    if raw {
        return SenderId::parse(id).map_err(|error| refused(error.to_string()));
    }
    let Some(adapter) = registry.get(channel.as_str()) else {
        return Err(CliError::no_adapter(channel.as_str(), registry));
    };
    // An adapter is promised that it is never given more.
    if id.len() > MAX_RAW_ID_BYTES {
        return Err(refused(format!("it has more than {MAX_RAW_ID_BYTES} bytes")));
    }
    let resolved = adapter.resolve_sender(id).await;
    match resolved.map_err(|error| CliError::plugin(channel.as_str(), error))? {
        Some(sender) => SenderId::parse(&sender).map_err(|error| refused(error.to_string())),
        None => Err(refused(format!("not a pairable sender on {channel}"))),
    }
}

/// [`sender_of`], but a refused id that is stored is used unchanged.
pub(crate) async fn sender_of_or_stored(
    registry: &PairingAdapterRegistry,
    channel: &ChannelId,
    id: &str,
    raw: bool,
    store: &Store,
) -> Result<SenderId> {
    match sender_of(registry, channel, id, raw).await {
        Err(error) if error.is_sender_refused() => {
            let exact = SenderId::from_stored(id.to_owned());
            if is_stored(store, channel, &exact).await? { Ok(exact) } else { Err(error) }
        }
        result => result,
    }
}

/// Checks an id for `--raw` that is not stored: if an adapter maps it to another id or rejects it, no
/// message matches it. `command` writes the same command for the canonical id.
pub(crate) fn check_raw(
    registry: &PairingAdapterRegistry,
    channel: &ChannelId,
    id: &str,
    command: impl FnOnce(&str) -> String,
) -> Result {
    let Some(adapter) = registry.get(channel.as_str()) else { return Ok(()) };
    let short = Some(id).filter(|id| id.len() <= MAX_RAW_ID_BYTES);
    let (why, hint) = match short.and_then(|id| adapter.normalize_sender(id)) {
        Some(canonical) if canonical == id => return Ok(()),
        Some(canonical) => (
            format!("the channel's adapter maps it to `{canonical}`"),
            format!("leave out --raw: {}", command(&canonical)),
        ),
        None => (
            format!("the adapter of {channel} rejects it"),
            "write the id as it is in messages, without --raw, or, if it is stored, as \
             `nexo-pair list --all` shows it"
                .to_owned(),
        ),
    };
    let message = format!("`{}` would match no message: {why}", truncate(id, 100));
    Err(CliError::sender_refused(message).with_hint(hint))
}

/// Prints a note that an id was used unchanged, without asking the channel's plugin.
pub(crate) fn note_raw(context: &mut Context, channel: &ChannelId) {
    context.note(&format!(
        "the plugin of {channel} was not asked: the entry matches only senders whose id the \
         plugin leaves unchanged"
    ));
}

/// Whether exactly this sender is stored on a channel.
pub(crate) async fn is_stored(
    store: &Store,
    channel: &ChannelId,
    sender: &SenderId,
) -> Result<bool> {
    Ok(!accounts_of(store, channel, sender).await?.is_empty())
}

/// The accounts on which exactly this sender is stored: allowed now or once, waiting, or blocked.
async fn accounts_of(
    store: &Store,
    channel: &ChannelId,
    sender: &SenderId,
) -> Result<Vec<AccountScope>> {
    let filter = Filter::all().with_channel(channel.clone()).with_sender(sender.clone());
    let allowed = store.list_allow(&filter, true).await?.into_iter().map(|row| row.account_id);
    let pending = store.list_pending(&filter).await?.into_iter().map(|row| row.account_id);
    let blocked = store.list_blocked(&filter).await?.into_iter().map(|row| row.account_id);
    Ok(allowed.chain(pending).map(AccountScope::One).chain(blocked).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_split_at_the_first_colon() {
        for (text, channel, sender) in [
            ("whatsapp:+5491155556666", "whatsapp", "+5491155556666"),
            ("whatsapp:lid:123456789012345", "whatsapp", "lid:123456789012345"),
            ("telegram:@user_name", "telegram", "@user_name"),
            ("a::", "a", ":"),
        ] {
            let sender_arg = SenderArg { channel: channel.into(), sender: sender.into() };
            assert_eq!(text.parse(), Ok(sender_arg), "{text}");
        }
        for text in ["", ":", "whatsapp", "whatsapp:", ":+5491155556666"] {
            assert!(text.parse::<SenderArg>().is_err(), "{text}");
        }
    }
}
