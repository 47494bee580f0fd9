//! Which channels have their adapter in another process: what a configuration says, over what was said
//! before.
//!
//! Without its adapter, the ids of such a channel are taken as they are written, and may be those of
//! somebody else. So an adapter that is absent is missed until words say that it is not needed.

use std::collections::{BTreeMap, BTreeSet};

use crate::{ChannelId, limits};

/// What one configuration says of adapters in other processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfiguredAdapters {
    /// Nothing.
    #[default]
    Absent,
    /// That there are none: an empty list. Where that was said.
    Empty(String),
    /// That these channels have one, and where that was said.
    Channels(BTreeSet<ChannelId>, String),
}

/// The channels that were said to have their adapter in another process, each with where that was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RememberedAdapters(BTreeMap<ChannelId, String>);

/// Why a configuration that names fewer adapters than were named before is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdaptersError {
    /// Channels that another process served are not among the adapters any more.
    #[error(
        "pairing.adapters does not name {} any more, which another process served: without it, ids are \
         taken as they are written, and a stranger may have one that is allowed",
        Listed(.0)
    )]
    Lost(BTreeSet<ChannelId>),
    /// More channels than can be remembered.
    #[error("{0} channels are more than the {max} whose adapters can be remembered", max = RememberedAdapters::MAX_CHANNELS)]
    TooMany(usize),
}

impl RememberedAdapters {
    /// How many channels are remembered at most.
    pub const MAX_CHANNELS: usize = limits::MAX_REMOTE_CHANNELS;

    /// Channels as a store holds them, each with where it was said that it is served elsewhere.
    #[must_use]
    pub fn from_stored(channels: BTreeMap<ChannelId, String>) -> Self {
        Self(channels)
    }

    /// The channels, each with where it was said that another process serves it.
    #[must_use]
    pub fn channels(&self) -> &BTreeMap<ChannelId, String> {
        &self.0
    }

    /// What is to be remembered under a configuration that says `words`. `is_exposed`: whether messages
    /// of a channel would be decided by their ids as they are written.
    ///
    /// # Errors
    ///
    /// [`AdaptersError::Lost`] when a channel that is remembered would be exposed without words;
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

/// The first of them, and how many more there are.
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
