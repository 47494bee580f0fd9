//! Remembers which mode was in force for each account. `pairing_accounts` is written here only.

use std::collections::{BTreeMap, BTreeSet};

use nexo_pairing_core::{
    AccountId, AccountKey, Actor, ChannelId, Mode, ModeWords, ModesError, ModesInForce,
    RememberedModes, SaidMode,
};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde_json::json;

use super::Write;
use super::audit::About;

/// The channel and the account of the row for all accounts together.
const ALL: &str = "*";

/// What the audit log says of an account that is not known.
const UNKNOWN: &str = "unknown_account";

/// What is remembered; `None` when nothing was ever in force here. A mode is `NULL` until it is said,
/// and when it was forgotten, which has a mark: no process takes the words of another one away, nor
/// does a backup from before they were said.
pub(crate) fn remembered(connection: &Connection) -> rusqlite::Result<Option<RememberedModes>> {
    let mut statement = connection.prepare_cached(
        "SELECT channel, account_id, mode, said_by, named, forgotten FROM pairing_accounts",
    )?;
    let mut rows = statement.query(())?;
    let (mut all, mut named, mut former) = (None, BTreeMap::new(), BTreeMap::new());
    let mut forgotten = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let (channel, account): (String, String) = (row.get(0)?, row.get(1)?);
        let (said, is_named, is_forgotten) = (said(row)?, row.get(4)?, row.get::<_, bool>(5)?);
        if channel == ALL {
            all = Some((said, is_named));
            forgotten.extend(is_forgotten.then_some(None));
            continue;
        }
        let key = (ChannelId::from_stored(channel), AccountId::from_stored(account));
        if is_forgotten {
            forgotten.insert(Some(key.clone()));
        }
        match said {
            said if is_named => drop(named.insert(key, said)),
            Some(said) => drop(former.insert(key, said)),
            None => {}
        }
    }
    Ok(all.map(|(default, is_list)| {
        RememberedModes::from_stored(default, is_list.then_some(named), former, forgotten)
    }))
}

/// What a process asks for: the words of its configuration, what counts where nothing was ever said,
/// and what it has in force itself.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) words: ModeWords,
    pub(crate) fallback: Option<SaidMode>,
    pub(crate) own: Option<RememberedModes>,
}

/// The modes in force, with what was in force before and what was stored.
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

/// Finds the modes in force: what is wanted, over what the process has in force, or else over what is
/// remembered.
pub(crate) fn resolve(
    connection: &Connection,
    wanted: &Wanted,
) -> rusqlite::Result<Result<Resolved, ModesError>> {
    let stored = remembered(connection)?;
    let before = match (&wanted.own, &stored) {
        (None, stored) => stored.clone().unwrap_or_default(),
        (Some(own), Some(stored)) => own.less_forgotten(stored),
        (Some(own), None) => own.clone(),
    };
    let modes = before.resolve(&wanted.words, wanted.fallback.clone());
    Ok(modes.map(|modes| Resolved { stored, before, modes }))
}

/// Puts in force what is wanted, and remembers it.
pub(crate) fn put_in_force(
    write: &mut Write<'_>,
    wanted: &Wanted,
) -> rusqlite::Result<Result<ModesInForce, ModesError>> {
    let resolved = match resolve(write.tx, wanted)? {
        Ok(resolved) => resolved,
        Err(error) => return Ok(Err(error)),
    };
    if resolved.is_change() {
        let new = resolved.modes.remembered();
        store(write, &resolved.stored.unwrap_or_default(), new)?;
        audit(write, &resolved.before, new)?;
    }
    Ok(Ok(resolved.modes))
}

/// Forgets the own mode of an account; `None` forgets everything. What was forgotten.
pub(crate) fn forget(
    write: &mut Write<'_>,
    account: Option<&AccountKey>,
    actor: &Actor,
) -> rusqlite::Result<Vec<(Option<AccountKey>, SaidMode)>> {
    let Some(stored) = remembered(write.tx)? else {
        return Ok(Vec::new());
    };
    let all = words(&stored).map(|(account, said)| (account.cloned(), said.clone()));
    let forgotten: Vec<_> = match account {
        None => all.collect(),
        Some(one) => all.filter(|(account, _)| account.as_ref() == Some(one)).collect(),
    };
    match account {
        None => write.tx.execute(
            "UPDATE pairing_accounts SET mode = NULL, said_by = NULL, said_at = ?1, named = 0,
                forgotten = 1",
            [write.now],
        )?,
        Some((channel, account)) => write.tx.execute(
            "UPDATE pairing_accounts SET mode = NULL, said_by = NULL, said_at = ?3,
                forgotten = 1 WHERE channel = ?1 AND account_id = ?2",
            params![channel.as_str(), account.as_str(), write.now],
        )?,
    };
    for (account, said) in &forgotten {
        let detail = json!({ "before": said.mode.as_str(), "said_by": said.origin });
        write.audit(actor.as_str(), "forget_mode", about(account.as_ref()), &detail)?;
    }
    Ok(forgotten)
}

/// Everything that was said in words, and for which account; `None` is for all the others.
fn words(modes: &RememberedModes) -> impl Iterator<Item = (Option<&AccountKey>, &SaidMode)> {
    let named = modes.accounts().into_iter().flatten();
    let named = named.filter_map(|(account, own)| Some((account, own.as_ref()?)));
    let own = named.chain(modes.former()).map(|(account, said)| (Some(account), said));
    modes.default_mode().map(|said| (None, said)).into_iter().chain(own)
}

fn store(write: &Write<'_>, old: &RememberedModes, new: &RememberedModes) -> rusqlite::Result<()> {
    let mut put = write.tx.prepare_cached(
        "INSERT INTO pairing_accounts (channel, account_id, mode, said_by, said_at, named)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (channel, account_id) DO UPDATE SET
                said_at = CASE WHEN (mode, said_by) IS (excluded.mode, excluded.said_by)
                    OR excluded.mode IS NULL THEN said_at ELSE excluded.said_at END,
                mode = coalesce(excluded.mode, mode),
                said_by = coalesce(excluded.said_by, said_by), named = excluded.named,
                forgotten = forgotten AND excluded.mode IS NULL
                    AND NOT (channel = '*' AND excluded.named)",
    )?;
    let mut put = |channel: &str, account: &str, said: Option<&SaidMode>, named: bool| {
        let (mode, by) = said.map(|said| (said.mode.as_str(), &said.origin)).unzip();
        put.execute(params![channel, account, mode, by, write.now, named]).map(drop)
    };
    put(ALL, ALL, new.default_mode(), new.accounts().is_some())?;
    for ((channel, account), own) in new.accounts().into_iter().flatten() {
        put(channel.as_str(), account.as_str(), own.as_ref(), true)?;
    }
    for ((channel, account), own) in new.former() {
        put(channel.as_str(), account.as_str(), Some(own), false)?;
    }
    let mut delete = write
        .tx
        .prepare_cached("DELETE FROM pairing_accounts WHERE channel = ?1 AND account_id = ?2")?;
    let is_kept = |account: &AccountKey| {
        new.former().contains_key(account)
            || new.accounts().is_some_and(|named| named.contains_key(account))
    };
    let gone = old.accounts().into_iter().flat_map(BTreeMap::keys).chain(old.former().keys());
    for (channel, account) in gone.filter(|account| !is_kept(account)) {
        delete.execute([channel.as_str(), account.as_str()])?;
    }
    drop(delete);
    write
        .tx
        .prepare_cached(
            "DELETE FROM pairing_accounts WHERE mode IS NULL AND named = 0 AND channel <> '*'
                AND (SELECT count(*) FROM pairing_accounts) > ?1",
        )?
        // Beside the row for all accounts.
        .execute([RememberedModes::MAX_ACCOUNTS as i64 + 1])?;
    Ok(())
}

/// An entry for each account whose mode is another one now, and one for all that are not named.
fn audit(
    write: &Write<'_>,
    before: &RememberedModes,
    after: &RememberedModes,
) -> rusqlite::Result<()> {
    let of = |modes: &RememberedModes, account: Option<&AccountKey>| match modes.mode(account) {
        Some(said) => Some(said.mode.as_str()),
        None => modes.accounts().map(|_| UNKNOWN),
    };
    let named = [before, after].into_iter().flat_map(RememberedModes::accounts);
    let named: BTreeSet<&AccountKey> = named.flat_map(BTreeMap::keys).collect();
    for account in [None].into_iter().chain(named.into_iter().map(Some)) {
        let (old, new) = (of(before, account), of(after, account));
        if old.unwrap_or(UNKNOWN) == new.unwrap_or(UNKNOWN) {
            continue;
        }
        let said_by = after.mode(account).map(|said| &said.origin);
        let detail = json!({ "before": old, "mode": new, "said_by": said_by });
        write.audit(Actor::config().as_str(), "mode", about(account), &detail)?;
    }
    Ok(())
}

fn about(account: Option<&AccountKey>) -> About<'_> {
    let (channel, account) =
        account.map(|(channel, account)| (channel.as_str(), account.as_str())).unzip();
    About { channel, account, ..About::default() }
}

/// The mode of a row, and where it was said. One that nobody knows is an error: it may be stricter
/// than any that is known.
fn said(row: &Row<'_>) -> rusqlite::Result<Option<SaidMode>> {
    let Some(mode) = row.get::<_, Option<String>>(2)? else {
        return Ok(None);
    };
    let text: StrDeserializer<'_, ValueError> = mode.as_str().into_deserializer();
    let mode = Mode::deserialize(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(2, Type::Text, error.into()))?;
    Ok(Some(SaidMode::new(mode, row.get::<_, Option<String>>(3)?.unwrap_or_default())))
}
