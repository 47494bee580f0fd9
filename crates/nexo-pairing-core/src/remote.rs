//! Channels whose adapter runs in another process: as configured, or else as configured before.
//!
//! Without its adapter, such a channel's ids are not normalized and may be confused with those
//! of another sender. An adapter that disappears from the configuration is therefore an error until an explicit
//! setting says that it is not needed.

use std::collections::{BTreeMap, BTreeSet};

use crate::{ChannelId, limits};

/// The adapters in other processes, as a configuration has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfiguredAdapters {
    /// The key is absent.
    #[default]
    Absent,
    /// An empty list, with its origin.
    Empty(String),
    /// These channels, with their origin.
    Channels(BTreeSet<ChannelId>, String),
}

/// The channels that were configured with an adapter in another process, each with its origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RememberedAdapters(BTreeMap<ChannelId, String>);

/// Why a configuration of adapters is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdaptersError {
    /// Channels that another process served are no longer configured.
    #[error(
        "pairing.adapters no longer lists {}, which a plugin served: without it, ids are not \
         normalized, and a stranger's id could match a grant",
        Listed(.0)
    )]
    Lost(BTreeSet<ChannelId>),
    /// More channels than can be remembered.
    #[error("{0} channels exceed the {max} whose adapters can be remembered", max = RememberedAdapters::MAX_CHANNELS)]
    TooMany(usize),
}

impl RememberedAdapters {
    /// The maximum number of remembered channels.
    pub const MAX_CHANNELS: usize = limits::MAX_REMOTE_CHANNELS;

    /// Channels from a database, each with its origin.
    #[must_use]
    pub fn from_stored(channels: BTreeMap<ChannelId, String>) -> Self {
        Self(channels)
    }

    /// The channels, each with its origin.
    #[must_use]
    pub fn channels(&self) -> &BTreeMap<ChannelId, String> {
        &self.0
    }

    /// What to remember under the configuration `words`. `is_exposed` tells whether messages of a channel
    /// would be decided without an adapter.
    ///
    /// # Errors
    ///
    /// [`AdaptersError::Lost`] if a remembered channel is exposed without an explicit setting;
    /// [`AdaptersError::TooMany`].
    pub fn resolve(
        &self,
        words: &ConfiguredAdapters,
        is_exposed: impl Fn(&ChannelId) -> bool,
    ) -> Result<Self, AdaptersError> {
        let mut channels = self.0.clone();
        if let ConfiguredAdapters::Channels(named, origin) = words {
            for channel in named {
                channels.entry(channel.clone()).or_insert_with(|| origin.clone());
            }
        }
        if matches!(words, ConfiguredAdapters::Empty(_)) {
            channels.retain(|channel, _| !is_exposed(channel));
        }
        let lost: BTreeSet<_> = channels.keys().filter(|it| is_exposed(it)).cloned().collect();
        match channels.len() {
            _ if !lost.is_empty() => Err(AdaptersError::Lost(lost)),
            0..=Self::MAX_CHANNELS => Ok(Self(channels)),
            count => Err(AdaptersError::TooMany(count)),
        }
    }
}

/// Displays the first channels and the number of the rest.
struct Listed<'a>(&'a BTreeSet<ChannelId>);

impl std::fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 10;
        for (number, channel) in self.0.iter().take(SHOWN).enumerate() {
            f.write_str(if number == 0 { "" } else { ", " })?;
            f.write_str(channel.as_str())?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
