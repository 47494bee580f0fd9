//! Which mode is in force for each account: what a configuration says, over what was said before.
//!
//! What is absent never widens anything: words that are lost stay in force as they are remembered,
//! and where nothing was ever said there is no mode.

use std::collections::{BTreeMap, BTreeSet};

use crate::{AccountId, ChannelId, Mode, limits};

/// A bot account: the channel, and the account on it.
pub type AccountKey = (ChannelId, AccountId);

/// The origin of the mode that `--open` stands for: it is for one run, so it is not kept.
const FOR_ONE_RUN: &str = "flag --open";

/// A mode that was said in words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModeSetting {
    /// The mode.
    pub mode: Mode,
    /// Where it was said: the path of a file, `environment NEXO_PAIRING_…` or `flag --…`.
    pub origin: String,
}

impl ModeSetting {
    /// A mode, and where it was said.
    #[must_use]
    pub fn new(mode: Mode, origin: impl Into<String>) -> Self {
        Self { mode, origin: origin.into() }
    }

    /// Mode `open` for this run, as the flag `--open` says it.
    #[must_use]
    pub fn open_for_one_run() -> Self {
        Self::new(Mode::Open, FOR_ONE_RUN)
    }

    fn is_for_one_run(&self) -> bool {
        self.origin == FOR_ONE_RUN
    }
}

/// What one configuration says of modes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfiguredModes {
    /// For accounts that have no mode of their own.
    pub default: Option<ModeSetting>,
    /// The accounts that are known, each with its own mode, if it has one. `None`: the configuration
    /// names no accounts.
    pub accounts: Option<BTreeMap<AccountKey, Option<ModeSetting>>>,
}

/// What was last in force, and was said in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RememberedModes {
    default: Option<ModeSetting>,
    accounts: Option<BTreeMap<AccountKey, Option<ModeSetting>>>,
    former: BTreeMap<AccountKey, ModeSetting>,
    forgotten: BTreeSet<Option<AccountKey>>,
}

/// The modes in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModesInForce {
    remembered: RememberedModes,
    kept: Vec<RetainedModes>,
}

/// Something that stays in force although the configuration does not say it any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetainedModes {
    /// The mode of accounts that have none of their own.
    Default(ModeSetting),
    /// The mode of one account.
    Account(AccountKey, ModeSetting),
    /// Which accounts are known, and how many they are.
    Accounts(usize),
}

/// Why no modes are in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModesError {
    /// Nothing says a mode, and nothing did before.
    #[error("no mode is set")]
    Unset,
    /// Nothing says a mode for one account, and it was not known before.
    #[error("no mode is set for {}/{}", .0.0, .0.1)]
    UnsetFor(AccountKey),
    /// More accounts than can be remembered, with those that are configured no more.
    #[error("{0} accounts are more than the {max} that can be remembered", max = RememberedModes::MAX_ACCOUNTS)]
    TooMany(usize),
}

impl RememberedModes {
    /// How many accounts are remembered at most.
    pub const MAX_ACCOUNTS: usize = limits::MAX_KNOWN_ACCOUNTS;

    /// Modes as a store holds them: the default, the accounts that are known, accounts that are not
    /// known any more but had a mode of their own, and accounts whose own mode was forgotten; `None`
    /// among the last: everything was.
    #[must_use]
    pub fn from_stored(
        default: Option<ModeSetting>,
        accounts: Option<BTreeMap<AccountKey, Option<ModeSetting>>>,
        former: BTreeMap<AccountKey, ModeSetting>,
        forgotten: BTreeSet<Option<AccountKey>>,
    ) -> Self {
        Self { default, accounts, former, forgotten }
    }

    /// The mode of accounts that have none of their own.
    #[must_use]
    pub fn default_mode(&self) -> Option<&ModeSetting> {
        self.default.as_ref()
    }

    /// The accounts that are known, each with its own mode, if it has one. `None`: all are known.
    #[must_use]
    pub fn accounts(&self) -> Option<&BTreeMap<AccountKey, Option<ModeSetting>>> {
        self.accounts.as_ref()
    }

    /// Accounts that are not known any more, with the modes that they had, unless that was `open`.
    #[must_use]
    pub fn former(&self) -> &BTreeMap<AccountKey, ModeSetting> {
        &self.former
    }

    /// Whether messages to this account are decided at all.
    #[must_use]
    pub fn is_known(&self, account: &AccountKey) -> bool {
        self.accounts.as_ref().is_none_or(|known| known.contains_key(account))
    }

    /// The mode that was in force for an account, or for any that is not named.
    #[must_use]
    pub fn mode(&self, account: Option<&AccountKey>) -> Option<&ModeSetting> {
        match (&self.accounts, account) {
            (Some(known), Some(account)) => known.get(account)?.as_ref().or(self.default_mode()),
            (Some(_), None) => None,
            (None, _) => self.default_mode(),
        }
    }

    /// The modes in force under a configuration that says `words`, when these were in force before.
    /// `fallback` counts where nothing else was said, now or before.
    ///
    /// # Errors
    ///
    /// [`ModesError`] when there is no mode for an account, or there are too many accounts.
    pub fn resolve(
        &self,
        words: &ConfiguredModes,
        fallback: Option<ModeSetting>,
    ) -> Result<ModesInForce, ModesError> {
        let mut kept = Vec::new();
        let remembered = self.default.clone().filter(|said| !said.is_for_one_run());
        let keeps_default = words.default.is_none() && remembered.is_some();
        let default = words.default.clone().or(remembered).or(fallback);
        let mut accounts = words.accounts.clone();
        if let (None, Some(known)) = (&accounts, &self.accounts) {
            kept.push(RetainedModes::Accounts(known.len()));
            accounts = Some(known.clone());
        }
        let mut needs_default = accounts.is_none();
        for (account, own) in accounts.iter_mut().flatten().filter(|(_, own)| own.is_none()) {
            *own = self.own(account).cloned();
            if let Some(own) = own {
                kept.push(RetainedModes::Account(account.clone(), own.clone()));
            } else if default.is_none() || (keeps_default && !self.is_known(account)) {
                // A default that is not said any more is no word on an account that was not there.
                return Err(ModesError::UnsetFor(account.clone()));
            } else {
                needs_default = true;
            }
        }
        match &default {
            None if needs_default => return Err(ModesError::Unset),
            Some(said) if needs_default && keeps_default => {
                kept.insert(0, RetainedModes::Default(said.clone()));
            }
            _ => {}
        }
        let remembered = RememberedModes { default, accounts, ..Self::default() };
        Ok(ModesInForce { remembered: remembered.with_former(self)?, kept })
    }

    /// What a process that has `self` in force goes on from, after others have written `stored`:
    /// what its own words were, except for what was forgotten there. What is only absent there was
    /// not forgotten: the database may be another one, or an older backup.
    #[must_use]
    pub fn less_forgotten(&self, stored: &Self) -> Self {
        if stored.forgotten.contains(&None) {
            return Self::default();
        }
        let own = |(account, own): (&AccountKey, &Option<ModeSetting>)| {
            let is_forgotten = stored.forgotten.contains(&Some(account.clone()));
            (account.clone(), own.clone().filter(|_| !is_forgotten))
        };
        let accounts = self.accounts.as_ref().map(|known| known.iter().map(own).collect());
        Self { default: self.default.clone(), accounts, ..Self::default() }.with_all_former(stored)
    }

    /// Whether the same is in force and remembered, whatever was forgotten.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.default, &self.accounts, &self.former)
            == (&other.default, &other.accounts, &other.former)
    }

    /// The own words of an account, also of one that is not known any more.
    fn own(&self, account: &AccountKey) -> Option<&ModeSetting> {
        let known = self.accounts.as_ref().and_then(|known| known.get(account)?.as_ref());
        known.or_else(|| self.former.get(account))
    }

    /// With the words of accounts that `before` had and `self` does not know. Mode `open` is not among
    /// them: such an account is refused until it is named again, and then needs words.
    fn with_former(self, before: &Self) -> Result<Self, ModesError> {
        let all = self.with_all_former(before);
        match all.accounts.as_ref().map_or(0, BTreeMap::len) + all.former.len() {
            0..=Self::MAX_ACCOUNTS => Ok(all),
            count => Err(ModesError::TooMany(count)),
        }
    }

    fn with_all_former(mut self, before: &Self) -> Self {
        let known = before.accounts.iter().flatten();
        let known = known.filter_map(|(account, own)| Some((account, own.as_ref()?)));
        let is_named = |account: &AccountKey| {
            self.accounts.as_ref().is_some_and(|it| it.contains_key(account))
        };
        self.former = known
            .chain(&before.former)
            .filter(|(account, own)| own.mode != Mode::Open && !is_named(account))
            .map(|(account, own)| (account.clone(), own.clone()))
            .collect();
        self
    }
}

impl ModesInForce {
    /// What is to be remembered of them.
    #[must_use]
    pub fn remembered(&self) -> &RememberedModes {
        &self.remembered
    }

    /// What the configuration does not say any more, and stays in force.
    #[must_use]
    pub fn kept(&self) -> &[RetainedModes] {
        &self.kept
    }

    /// Whether messages on a channel are decided at all: an account on it is known.
    #[must_use]
    pub fn decides_on(&self, channel: &ChannelId) -> bool {
        let known = self.remembered.accounts();
        known.is_none_or(|known| known.keys().any(|(of, _)| of == channel))
    }

    /// The mode of an account; `None` when it is not known.
    #[must_use]
    pub fn mode(&self, channel: &ChannelId, account: &AccountId) -> Option<Mode> {
        let account = (channel.clone(), account.clone());
        self.remembered.mode(Some(&account)).map(|said| said.mode)
    }
}
