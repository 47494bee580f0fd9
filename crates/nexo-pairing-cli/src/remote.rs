//! Channels that the adapter of another process served: without it, no id of theirs is taken as it is
//! written, unless somebody said so.

use nexo_pairing::config::Config;
use nexo_pairing::{AdaptersError, ChannelId, ConfiguredAdapters, ModesInForce};

use crate::channels::adapters_for_names;
use crate::context::View;
use crate::error::CliError;

/// What the configuration says of adapters in other processes. A channel that has one here is not meant.
pub(crate) fn words(config: &Config) -> ConfiguredAdapters {
    let mut words = config.adapter_words();
    if let ConfiguredAdapters::Channels(channels, _) = &mut words {
        let here = adapters_for_names();
        channels.retain(|channel| here.get(channel.as_str()).is_none());
    }
    words
}

/// Whether a gate takes the ids of a channel as they are written.
pub(crate) fn is_exposed(config: &Config, modes: &ModesInForce, channel: &ChannelId) -> bool {
    modes.decides_on(channel) && !has_adapter(config, channel)
}

/// Refuses a gate that would take the ids of a channel as they are written, although another process
/// served it and nothing says that this has ended.
pub(crate) async fn check_all(
    config: &Config,
    modes: &ModesInForce,
    known: &View,
) -> Result<(), CliError> {
    let is_exposed = |channel: &ChannelId| is_exposed(config, modes, channel);
    known.remembered_adapters().await?.resolve(&words(config), is_exposed)?;
    Ok(())
}

/// Refuses a command that would take an id of `channel` as it is written, likewise.
pub(crate) async fn check(
    config: &Config,
    channel: &ChannelId,
    known: &View,
) -> Result<(), CliError> {
    match is_lost(config, channel, known).await? {
        true => Err(AdaptersError::Lost([channel.clone()].into()).into()),
        false => Ok(()),
    }
}

/// Whether another process makes the canonical ids of a channel, or did and nothing says that it does no
/// more.
pub(crate) async fn is_remote(
    config: &Config,
    channel: &ChannelId,
    known: &View,
) -> Result<bool, CliError> {
    let is_configured = config.adapters().iter().any(|adapter| adapter.channel == *channel);
    Ok(is_configured || is_lost(config, channel, known).await?)
}

async fn is_lost(config: &Config, channel: &ChannelId, known: &View) -> Result<bool, CliError> {
    if has_adapter(config, channel) || matches!(words(config), ConfiguredAdapters::Empty(_)) {
        return Ok(false);
    }
    Ok(known.remembered_adapters().await?.channels().contains_key(channel))
}

fn has_adapter(config: &Config, channel: &ChannelId) -> bool {
    config.adapters().iter().any(|adapter| adapter.channel == *channel)
        || adapters_for_names().get(channel.as_str()).is_some()
}
