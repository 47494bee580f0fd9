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

use std::fmt;

use clap::Args;
use nexo_pairing::{AccountId, ChannelId, Filter, Inbound};
use serde_json::Value;

use crate::Result;

/// A code as it was typed, in one word or several; `Debug` does not show it.
#[derive(Args)]
pub(crate) struct TypedCode {
    /// The code; case, spaces and hyphens do not matter.
    #[arg(value_name = "CODE", required = true, num_args = 1..=16)]
    words: Vec<String>,
}

impl TypedCode {
    fn join(&self) -> String {
        self.words.join(" ")
    }
}

impl fmt::Debug for TypedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedCode(redacted)")
    }
}

/// The display name that a channel gave with a request. Senders may have chosen it themselves.
fn name_in(meta: &Value) -> Option<&str> {
    let name = |key: &str| meta.get(key).and_then(Value::as_str).filter(|name| !name.is_empty());
    Inbound::DISPLAY_NAMES.into_iter().find_map(name)
}

/// A filter for rows to show. Invalid ids may be stored all the same: they are [checked](check_filter)
/// only when the filter matches nothing.
fn filter(channel: Option<&str>, account: Option<&str>) -> Filter {
    let mut filter = Filter::all();
    filter.channel = channel.map(|channel| ChannelId::from_stored(channel.to_owned()));
    filter.account = account.map(|account| AccountId::from_stored(account.to_owned()));
    filter
}

/// Refuses invalid ids, if the filter made of them matched nothing.
fn check_filter(channel: Option<&str>, account: Option<&str>) -> Result {
    channel.map_or(Ok(()), ChannelId::check)?;
    Ok(account.map_or(Ok(()), AccountId::check)?)
}
