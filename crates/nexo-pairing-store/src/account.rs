//! The modes and the adapters that are remembered, as the gate and the commands see them.

use nexo_pairing_core::{
    AccountKey, Actor, AdaptersError, ChannelId, ModeWords, ModesError, ModesInForce, PairingError,
    RememberedAdapters, RememberedModes, SaidMode,
};

use crate::PairingStore;
use crate::op::account::{self, Wanted};
use crate::op::adapter;

impl PairingStore {
    /// The modes that were last in force; the default where nothing was, or all was forgotten.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store cannot be read, or holds a mode that this version does
    /// not know.
    pub async fn remembered_modes(&self) -> Result<RememberedModes, PairingError> {
        let modes = self.read(|connection, _| account::remembered(connection)).await?;
        Ok(modes.unwrap_or_default())
    }

    /// Finds the modes in force under `words`, remembers them, and notes each change in the audit log.
    ///
    /// `own` are those that the calling process has in force; `None` when it starts: then it goes on
    /// from what is remembered. What was forgotten since counts in neither case. `fallback` counts
    /// where nothing was said, now or before. Nothing is written when nothing changes.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`]; within the answer [`ModesError`], when there is no mode for an
    /// account: then nothing has changed.
    pub async fn put_modes_in_force(
        &self,
        words: &ModeWords,
        fallback: Option<SaidMode>,
        own: Option<&RememberedModes>,
    ) -> Result<Result<ModesInForce, ModesError>, PairingError> {
        let wanted = Wanted { words: words.clone(), fallback, own: own.cloned() };
        let asked = wanted.clone();
        // Most of the time there is nothing to write, and nobody has to wait for a writer.
        match self.read(move |connection, _| account::resolve(connection, &asked)).await? {
            Ok(resolved) if resolved.is_change() => {}
            resolved => return Ok(resolved.map(|resolved| resolved.modes)),
        }
        self.write(move |write| account::put_in_force(write, &wanted)).await
    }

    /// Forgets the own mode of an account, which then follows the default as soon as a gate starts or
    /// reloads; `None` forgets all modes, and which accounts are known. What was forgotten; `None` in
    /// it is the default.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`].
    pub async fn forget_mode(
        &self,
        account: Option<&AccountKey>,
        actor: &Actor,
    ) -> Result<Vec<(Option<AccountKey>, SaidMode)>, PairingError> {
        let (account, actor) = (account.cloned(), actor.clone());
        self.write(move |write| account::forget(write, account.as_ref(), &actor)).await
    }

    /// The channels that were said to have their adapter in another process.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`].
    pub async fn remembered_adapters(&self) -> Result<RememberedAdapters, PairingError> {
        self.read(|connection, _| adapter::remembered(connection)).await
    }

    /// Remembers the channels that `after` has and `before` had not, forgets those that only `before`
    /// had, and notes each in the audit log. Nothing is written when the two are the same.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`]; within the answer [`AdaptersError::TooMany`]: then nothing has changed.
    pub async fn remember_adapters(
        &self,
        before: &RememberedAdapters,
        after: &RememberedAdapters,
    ) -> Result<Result<(), AdaptersError>, PairingError> {
        if before.channels().keys().eq(after.channels().keys()) {
            return Ok(Ok(()));
        }
        let (before, after) = (before.clone(), after.clone());
        self.write(move |write| adapter::put(write, &before, &after)).await
    }

    /// Forgets that another process served a channel; whether that was remembered.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`].
    pub async fn forget_adapter(
        &self,
        channel: &ChannelId,
        actor: &Actor,
    ) -> Result<bool, PairingError> {
        let (channel, actor) = (channel.clone(), actor.clone());
        self.write(move |write| adapter::forget(write, &channel, &actor)).await
    }
}
