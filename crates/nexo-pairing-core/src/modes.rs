//! The mode in force for each account: what is configured, or else what was configured before.
//!
//! Absence never widens access: a setting that disappears from the configuration stays in force as
//! remembered, and an account that never had one has no mode.

use std::collections::{BTreeMap, BTreeSet};

use crate::{AccountId, ChannelId, Mode, limits};

/// A bot account: its channel, and the account on it.
pub type AccountKey = (ChannelId, AccountId);

/// The origin of the mode that `--open` sets. It is for one run and not remembered.
const FOR_ONE_RUN: &str = "flag --open";

/// An explicitly configured mode.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModeSetting {
    /// The mode.
    pub mode: Mode,
    /// Where it was configured: the path of a file, `environment NEXO_PAIRING_…` or `flag --…`.
    pub origin: String,
}

impl ModeSetting {
    /// A mode and its origin.
    #[must_use]
    pub fn new(mode: Mode, origin: impl Into<String>) -> Self {
        Self { mode, origin: origin.into() }
    }

    /// Mode `open` for one run, as set by the flag `--open`.
    #[must_use]
    pub fn open_for_one_run() -> Self {
        Self::new(Mode::Open, FOR_ONE_RUN)
    }

    fn is_for_one_run(&self) -> bool {
        self.origin == FOR_ONE_RUN
    }
}

/// The modes in a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfiguredModes {
    /// The mode of accounts without their own.
    pub default: Option<ModeSetting>,
    /// The known accounts, each with its own mode, if any. `None`: the configuration does not list
    /// accounts.
    pub accounts: Option<BTreeMap<AccountKey, Option<ModeSetting>>>,
}

/// The explicit modes that were last in force.
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

/// A setting that stays in force although the configuration no longer has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetainedModes {
    /// The mode of accounts without their own.
    Default(ModeSetting),
    /// The mode of one account.
    Account(AccountKey, ModeSetting),
    /// The list of known accounts, with its length.
    Accounts(usize),
}

/// Why no modes can be put in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModesError {
    /// No mode is configured or remembered.
    #[error("no mode is set")]
    Unset,
    /// No mode is configured or remembered for an account.
    #[error("no mode is set for {}/{}", .0.0, .0.1)]
    UnsetFor(AccountKey),
    /// More accounts than can be remembered, including those no longer configured.
    #[error("{0} accounts exceed the {max} that can be remembered", max = RememberedModes::MAX_ACCOUNTS)]
    TooMany(usize),
}

impl RememberedModes {
    /// The maximum number of remembered accounts.
    pub const MAX_ACCOUNTS: usize = limits::MAX_KNOWN_ACCOUNTS;

    /// Modes from a database: the default, the known accounts, formerly known accounts that had their
    /// own mode, and accounts whose own mode was forgotten, where `None` means that everything was.
    #[must_use]
    pub fn from_stored(
        default: Option<ModeSetting>,
        accounts: Option<BTreeMap<AccountKey, Option<ModeSetting>>>,
        former: BTreeMap<AccountKey, ModeSetting>,
        forgotten: BTreeSet<Option<AccountKey>>,
    ) -> Self {
        Self { default, accounts, former, forgotten }
    }

    /// The mode of accounts without their own.
    #[must_use]
    pub fn default_mode(&self) -> Option<&ModeSetting> {
        self.default.as_ref()
    }

    /// The known accounts, each with its own mode, if any. `None`: all accounts are known.
    #[must_use]
    pub fn accounts(&self) -> Option<&BTreeMap<AccountKey, Option<ModeSetting>>> {
        self.accounts.as_ref()
    }

    /// Formerly known accounts with their own modes, except for mode `open`.
    #[must_use]
    pub fn former(&self) -> &BTreeMap<AccountKey, ModeSetting> {
        &self.former
    }

    /// Whether messages to this account are decided at all: it is known.
    #[must_use]
    pub fn is_known(&self, account: &AccountKey) -> bool {
        self.accounts.as_ref().is_none_or(|known| known.contains_key(account))
    }

    /// The mode that was in force for an account; for `None`, that of accounts that are not listed.
    #[must_use]
    pub fn mode(&self, account: Option<&AccountKey>) -> Option<&ModeSetting> {
        match (&self.accounts, account) {
            (Some(known), Some(account)) => known.get(account)?.as_ref().or(self.default_mode()),
            (Some(_), None) => None,
            (None, _) => self.default_mode(),
        }
    }

    /// The modes in force under the configuration `words`, after these were in force. `fallback` applies
    /// where no default is configured or remembered.
    ///
    /// # Errors
    ///
    /// [`ModesError`] if an account has no mode, or there are too many accounts.
    pub fn resolve(
        &self,
        words: &ConfiguredModes,
        fallback: Option<ModeSetting>,
    ) -> Result<ModesInForce, ModesError> {
        let mut kept = Vec::new();
        let remembered = self.default.clone().filter(|setting| !setting.is_for_one_run());
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
                // A remembered default does not extend to accounts that are new.
                return Err(ModesError::UnsetFor(account.clone()));
            } else {
                needs_default = true;
            }
        }
        match &default {
            None if needs_default => return Err(ModesError::Unset),
            Some(setting) if needs_default && keeps_default => {
                kept.insert(0, RetainedModes::Default(setting.clone()));
            }
            _ => {}
        }
        let remembered = RememberedModes { default, accounts, ..Self::default() };
        Ok(ModesInForce { remembered: remembered.with_former(self)?, kept })
    }

    /// The modes from which a process with `self` in force continues, after others wrote `stored`: its
    /// own, without what was forgotten there. What is merely absent there was not forgotten: the
    /// database may be another one, or an older backup.
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

    /// Whether both have the same modes, regardless of what was forgotten.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.default, &self.accounts, &self.former)
            == (&other.default, &other.accounts, &other.former)
    }

    /// An account's own mode, even if it is no longer known.
    fn own(&self, account: &AccountKey) -> Option<&ModeSetting> {
        let known = self.accounts.as_ref().and_then(|known| known.get(account)?.as_ref());
        known.or_else(|| self.former.get(account))
    }

    /// Adds the modes of accounts that `before` had and `self` does not know. Mode `open` is left out:
    /// such an account is refused until it is listed again, and then needs an explicit mode.
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
    /// The modes to remember.
    #[must_use]
    pub fn remembered(&self) -> &RememberedModes {
        &self.remembered
    }

    /// What stays in force although the configuration no longer has it.
    #[must_use]
    pub fn kept(&self) -> &[RetainedModes] {
        &self.kept
    }

    /// Whether messages on a channel are decided at all: it has a known account.
    #[must_use]
    pub fn decides_on(&self, channel: &ChannelId) -> bool {
        let known = self.remembered.accounts();
        known.is_none_or(|known| known.keys().any(|(of, _)| of == channel))
    }

    /// The mode of an account; `None` if the account is not known.
    #[must_use]
    pub fn mode(&self, channel: &ChannelId, account: &AccountId) -> Option<Mode> {
        let account = (channel.clone(), account.clone());
        self.remembered.mode(Some(&account)).map(|setting| setting.mode)
    }
}
