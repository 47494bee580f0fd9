//! The commands, one file each.

pub(crate) mod approve;
pub(crate) mod backup;
pub(crate) mod block;
pub(crate) mod cancel;
pub(crate) mod claim;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod decode;
pub(crate) mod devices;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod forget;
pub(crate) mod forget_adapter;
pub(crate) mod forget_mode;
pub(crate) mod gate;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod log;
pub(crate) mod reject;
pub(crate) mod revoke;
pub(crate) mod seed;
pub(crate) mod serve;
pub(crate) mod start;
pub(crate) mod unblock;
pub(crate) mod unlock;

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use nexo_pairing::{AccountId, ChannelId, Filter, SenderKey};
use serde_json::Value;

use crate::error::CliError;
use crate::person::wrong_id;
use crate::text::escape;

/// A code as it was typed, in one word or several; `Debug` does not show it.
#[derive(Clone)]
pub(crate) struct TypedCode(String);

impl TypedCode {
    /// The words of a code as the store takes it.
    fn join(words: &[Self]) -> String {
        words.iter().map(|word| word.0.as_str()).collect::<Vec<_>>().join(" ")
    }
}

impl FromStr for TypedCode {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for TypedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedCode(redacted)")
    }
}

/// The display name that a channel gave with a request. The sender may have chosen it himself.
fn name_in(meta: &Value) -> Option<&str> {
    let name = |key: &str| meta.get(key).and_then(Value::as_str).filter(|name| !name.is_empty());
    ["push_name", "name", "display_name", "username"].into_iter().find_map(name)
}

/// Keys for people, one a line.
fn lines(what: &str, keys: &[SenderKey]) -> String {
    keys.iter().map(|key| escape(&format!("{what} {key}")) + "\n").collect()
}

/// Rows to show. Ids that today's rules refuse may be stored all the same: `is_empty` tells whether
/// the filter found nothing, and only then are they checked.
fn filter(channel: Option<&str>, account: Option<&str>) -> Filter {
    let mut filter = Filter::all();
    if let Some(channel) = channel {
        filter = filter.with_channel(ChannelId::from_stored(channel.to_owned()));
    }
    if let Some(account) = account {
        filter = filter.with_account(AccountId::from_stored(account.to_owned()));
    }
    filter
}

/// Tells an id that can be none, where the filter made of it found nothing.
fn check_filter(channel: Option<&str>, account: Option<&str>) -> Result<(), CliError> {
    channel.map_or(Ok(()), ChannelId::check).map_err(wrong_id)?;
    account.map_or(Ok(()), AccountId::check).map_err(wrong_id)
}
