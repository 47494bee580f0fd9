//! Remembers the mode that was in force for each account.

use std::collections::{BTreeMap, BTreeSet};

use nexo_pairing_core::{
    AccountKey, AccountScope, Actor, AuditAction, ConfiguredModes, Mode, ModeSetting, ModesError,
    ModesInForce, RememberedModes,
};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde_json::json;

use crate::port::{AccountRow, LockKey, PortError, PortResult, Rows};
use crate::refusal::{Specific, TxError, TxResult};
use crate::tx::{Subject, Tx};

/// What the audit log says in place of the mode of an unknown account.
const UNKNOWN: &str = "unknown_account";

/// The remembered modes; `None` if none was ever in force. A mode is absent until it is set, and marked when
/// it is forgotten: no process discards the settings of another one, nor does an older backup.
pub(crate) fn remembered(rows: &dyn Rows) -> PortResult<Option<RememberedModes>> {
    from_rows(&rows.accounts()?)
}

fn from_rows(rows: &[AccountRow]) -> PortResult<Option<RememberedModes>> {
    let (mut all, mut named, mut former) = (None, BTreeMap::new(), BTreeMap::new());
    let mut forgotten = BTreeSet::new();
    for row in rows {
        let setting = mode_setting(row)?;
        if row.forgotten {
            forgotten.insert(row.account.clone());
        }
        match (row.account.clone(), setting) {
            (None, setting) => all = Some((setting, row.named)),
            (Some(key), setting) if row.named => drop(named.insert(key, setting)),
            (Some(key), Some(setting)) => drop(former.insert(key, setting)),
            (Some(_), None) => {}
        }
    }
    Ok(all.map(|(default, is_list)| {
        RememberedModes::from_stored(default, is_list.then_some(named), former, forgotten)
    }))
}

/// The request of a process: the modes of its configuration, the fallback if none was ever set, and the
/// modes that it has in force itself.
#[derive(Clone)]
pub(crate) struct WantedModes {
    pub(crate) configured: ConfiguredModes,
    pub(crate) fallback: Option<ModeSetting>,
    pub(crate) own: Option<RememberedModes>,
}

/// The modes in force, with those in force before and those stored.
pub(crate) struct Resolved {
    stored: Option<RememberedModes>,
    before: RememberedModes,
    pub(crate) modes: ModesInForce,
}

impl Resolved {
    /// Whether there is anything to write.
    pub(crate) fn is_change(&self) -> bool {
        let new = self.modes.remembered();
        !self.stored.as_ref().is_some_and(|stored| stored.is_same(new)) || !self.before.is_same(new)
    }
}

/// Resolves the modes in force: the wanted ones, over those that the process has in force, or else the
/// remembered ones.
pub(crate) fn resolve(
    rows: &dyn Rows,
    wanted: &WantedModes,
) -> PortResult<Result<Resolved, ModesError>> {
    let stored = remembered(rows)?;
    let before = match (&wanted.own, &stored) {
        (None, stored) => stored.clone().unwrap_or_default(),
        (Some(own), Some(stored)) => own.less_forgotten(stored),
        (Some(own), None) => own.clone(),
    };
    let modes = before.resolve(&wanted.configured, wanted.fallback.clone());
    Ok(modes.map(|modes| Resolved { stored, before, modes }))
}

/// Puts the wanted modes in force, and remembers them.
pub(crate) fn put_in_force(
    tx: &mut Tx<'_>,
    wanted: &WantedModes,
) -> TxResult<ModesInForce, Specific<ModesError>> {
    tx.lock([LockKey::Modes])?;
    let resolved =
        resolve(tx.rows, wanted)?.map_err(|error| TxError::Refused(Specific::Refusal(error)))?;
    if resolved.is_change() {
        let new = resolved.modes.remembered();
        store(tx, &resolved.stored.unwrap_or_default(), new)?;
        audit(tx, &resolved.before, new)?;
    }
    Ok(resolved.modes)
}

/// Forgets the mode of an account, or all with `None`. Returns the forgotten modes.
pub(crate) fn forget(
    tx: &mut Tx<'_>,
    account: Option<&AccountKey>,
    actor: &Actor,
) -> TxResult<Vec<(Option<AccountKey>, ModeSetting)>> {
    tx.lock([LockKey::Modes])?;
    let mut rows = tx.rows.accounts()?;
    let Some(stored) = from_rows(&rows)? else { return Ok(Vec::new()) };
    let is_meant = |it: Option<&AccountKey>| account.is_none() || it == account;
    let forgotten: Vec<_> = explicit_modes(&stored)
        .filter(|(it, _)| is_meant(*it))
        .map(|(account, setting)| (account.cloned(), setting.clone()))
        .collect();
    for row in rows.iter_mut().filter(|row| is_meant(row.account.as_ref())) {
        (row.mode, row.said_by, row.said_at) = (None, None, tx.now);
        row.named &= account.is_some();
        row.forgotten = true;
    }
    tx.rows.replace_accounts(&rows)?;
    for (account, setting) in &forgotten {
        let detail = json!({ "before": setting.mode.as_str(), "said_by": setting.origin });
        tx.audit(actor, AuditAction::ForgetMode, subject(account.as_ref()), detail)?;
    }
    Ok(forgotten)
}

/// Every explicit mode with its account; `None` is for all others.
fn explicit_modes(
    modes: &RememberedModes,
) -> impl Iterator<Item = (Option<&AccountKey>, &ModeSetting)> {
    let named = modes.accounts().into_iter().flatten();
    let named = named.filter_map(|(account, own)| Some((account, own.as_ref()?)));
    let own = named.chain(modes.former()).map(|(account, setting)| (Some(account), setting));
    modes.default_mode().map(|setting| (None, setting)).into_iter().chain(own)
}

fn store(tx: &mut Tx<'_>, old: &RememberedModes, new: &RememberedModes) -> PortResult<()> {
    let mut rows: BTreeMap<Option<AccountKey>, AccountRow> =
        tx.rows.accounts()?.into_iter().map(|row| (row.account.clone(), row)).collect();
    let named =
        new.accounts().into_iter().flatten().map(|(it, own)| (Some(it), own.as_ref(), true));
    let former = new.former().iter().map(|(it, own)| (Some(it), Some(own), false));
    let all = (None, new.default_mode(), new.accounts().is_some());
    for (account, setting, named) in [all].into_iter().chain(named).chain(former) {
        let account = account.cloned();
        let row = merged(rows.get(&account), account.clone(), setting, named, tx.now);
        rows.insert(account, row);
    }
    let is_in = |modes: &RememberedModes, account: &AccountKey| {
        modes.former().contains_key(account)
            || modes.accounts().is_some_and(|named| named.contains_key(account))
    };
    rows.retain(|account, _| {
        account.as_ref().is_none_or(|account| is_in(new, account) || !is_in(old, account))
    });
    // Beside the row for all accounts.
    if rows.len() > RememberedModes::MAX_ACCOUNTS + 1 {
        rows.retain(|account, row| account.is_none() || row.mode.is_some() || row.named);
    }
    tx.rows.replace_accounts(&rows.into_values().collect::<Vec<_>>())
}

/// A row with the new setting. An absent setting keeps the old one, and its time.
fn merged(
    old: Option<&AccountRow>,
    account: Option<AccountKey>,
    setting: Option<&ModeSetting>,
    named: bool,
    now: i64,
) -> AccountRow {
    let (mode, said_by) =
        setting.map(|setting| (setting.mode.as_str().to_owned(), setting.origin.clone())).unzip();
    let Some(old) = old else {
        return AccountRow { account, mode, said_by, said_at: now, named, forgotten: false };
    };
    let is_same = (&old.mode, &old.said_by) == (&mode, &said_by);
    let names_all = account.is_none() && named;
    AccountRow {
        said_at: if is_same || mode.is_none() { old.said_at } else { now },
        forgotten: old.forgotten && mode.is_none() && !names_all,
        mode: mode.or_else(|| old.mode.clone()),
        said_by: said_by.or_else(|| old.said_by.clone()),
        account,
        named,
    }
}

/// Adds an entry for each account whose mode changed, and one for all that are not named.
fn audit(tx: &mut Tx<'_>, before: &RememberedModes, after: &RememberedModes) -> PortResult<()> {
    let of = |modes: &RememberedModes, account: Option<&AccountKey>| match modes.mode(account) {
        Some(setting) => Some(setting.mode.as_str()),
        None => modes.accounts().map(|_| UNKNOWN),
    };
    let named = [before, after].into_iter().flat_map(RememberedModes::accounts);
    let named: BTreeSet<&AccountKey> = named.flat_map(BTreeMap::keys).collect();
    for account in [None].into_iter().chain(named.into_iter().map(Some)) {
        let (old, new) = (of(before, account), of(after, account));
        if old.unwrap_or(UNKNOWN) == new.unwrap_or(UNKNOWN) {
            continue;
        }
        let said_by = after.mode(account).map(|setting| &setting.origin);
        let detail = json!({ "before": old, "mode": new, "said_by": said_by });
        tx.audit(&Actor::config(), AuditAction::Mode, subject(account), detail)?;
    }
    Ok(())
}

fn subject(account: Option<&AccountKey>) -> Subject<'static> {
    let (channel, account) = account.cloned().unzip();
    Subject { channel, account: account.map(AccountScope::One), ..Subject::default() }
}

/// The mode of a row, and its origin. An unknown one is an error: it may be stricter than any known one.
fn mode_setting(row: &AccountRow) -> PortResult<Option<ModeSetting>> {
    let Some(mode) = &row.mode else { return Ok(None) };
    let text: StrDeserializer<'_, ValueError> = mode.as_str().into_deserializer();
    let mode = Mode::deserialize(text).map_err(PortError::new)?;
    Ok(Some(ModeSetting::new(mode, row.said_by.clone().unwrap_or_default())))
}
