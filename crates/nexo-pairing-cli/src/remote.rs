//! Channels that a plugin in another process served: without it, their ids are not taken as they are
//! written unless the operator says so.

use nexo_pairing::ChannelId;
use nexo_pairing::config::Config;
use nexo_pairing::core::{AdaptersError, ConfiguredAdapters, ModesInForce};

use crate::channels::local_adapters;
use crate::{Result, Store};

/// The adapters in other processes that the configuration sets, without channels that have one here.
pub(crate) fn configured(config: &Config) -> ConfiguredAdapters {
    let mut configured = config.configured_adapters();
    if let ConfiguredAdapters::Channels(channels, _) = &mut configured {
        let here = local_adapters();
        channels.retain(|channel| here.get(channel.as_str()).is_none());
    }
    configured
}

/// Whether a gate takes the ids of a channel as they are written.
pub(crate) fn is_exposed(config: &Config, modes: &ModesInForce, channel: &ChannelId) -> bool {
    modes.decides_on(channel) && !has_adapter(config, channel)
}

/// Refuses a gate that would take the ids of a channel as they are written, although another process
/// served it and the operator has not ended that.
pub(crate) async fn check_all(config: &Config, modes: &ModesInForce, store: &Store) -> Result {
    let is_exposed = |channel: &ChannelId| is_exposed(config, modes, channel);
    store.remembered_adapters().await?.resolve(&configured(config), is_exposed)?;
    Ok(())
}

/// Likewise refuses a command that would take an id of `channel` as it is written.
pub(crate) async fn check(config: &Config, channel: &ChannelId, store: &Store) -> Result {
    match is_lost(config, channel, store).await? {
        true => Err(AdaptersError::Lost([channel.clone()].into()).into()),
        false => Ok(()),
    }
}

/// Whether another process makes the canonical ids of a channel, or did and the operator has not ended
/// that.
pub(crate) async fn is_remote(config: &Config, channel: &ChannelId, store: &Store) -> Result<bool> {
    Ok(is_configured(config, channel) || is_lost(config, channel, store).await?)
}

async fn is_lost(config: &Config, channel: &ChannelId, store: &Store) -> Result<bool> {
    if has_adapter(config, channel) || matches!(configured(config), ConfiguredAdapters::Empty(_)) {
        return Ok(false);
    }
    Ok(store.remembered_adapters().await?.channels().contains_key(channel))
}

fn has_adapter(config: &Config, channel: &ChannelId) -> bool {
    is_configured(config, channel) || local_adapters().get(channel.as_str()).is_some()
}

/// Whether the configuration names the process that serves a channel.
pub(crate) fn is_configured(config: &Config, channel: &ChannelId) -> bool {
    config.adapters().iter().any(|adapter| adapter.channel == *channel)
}
