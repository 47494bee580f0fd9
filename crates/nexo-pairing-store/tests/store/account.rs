//! Remembered and forgotten modes.

use nexo_pairing_core::{
    ConfiguredModes, Mode, ModeSetting, ModesError, PairingError, RememberedModes,
};
use nexo_pairing_store::StoreError;

use crate::support::{World, account_key, actor, configured, mode, start};

const ALLOWLIST: Option<Mode> = Some(Mode::Allowlist);
const OPEN: Option<Mode> = Some(Mode::Open);

#[tokio::test]
async fn explicit_modes_outlive_the_process_and_are_written_once() {
    let mut world = World::new().await;
    assert_eq!(start(&world.store, &configured(None, None)).await, Err(ModesError::Unset));
    let said = configured(OPEN, Some(&[("a", ALLOWLIST), ("b", None)]));
    let modes = start(&world.store, &said).await.unwrap();
    assert_eq!((mode(&modes, "a"), mode(&modes, "b"), mode(&modes, "c")), (ALLOWLIST, OPEN, None));
    world.reopen().await;
    let again = start(&world.store, &configured(None, None)).await.unwrap();
    assert_eq!(again.remembered(), modes.remembered());
    assert_eq!(again.kept().len(), 2, "the default and the accounts");
    let rows = "SELECT group_concat(account_id || ' ' || coalesce(mode, '-') || ' ' || named, ', ')
        FROM (SELECT * FROM pairing_accounts ORDER BY account_id)";
    let rows = || world.shell().query_row(rows, (), |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(rows(), "* open 1, a allowlist 1, b - 1");
    start(&world.store, &configured(None, Some(&[("b", ALLOWLIST)]))).await.unwrap();
    assert_eq!(rows(), "* open 1, a allowlist 0, b allowlist 1", "a comes back as it was");
    start(&world.store, &configured(None, Some(&[("a", OPEN)]))).await.unwrap();
    start(&world.store, &configured(None, Some(&[("b", None)]))).await.unwrap();
    assert_eq!(rows(), "* open 1, b allowlist 1", "an open one comes back only by words");
    let error = start(&world.store, &configured(None, Some(&[("a", None)]))).await.unwrap_err();
    assert_eq!(error, ModesError::UnsetFor(account_key("a")));
}

#[tokio::test]
async fn unchanged_modes_are_not_written_and_wait_for_no_writer() {
    let world = World::new().await;
    let said = configured(OPEN, Some(&[("a", ALLOWLIST)]));
    start(&world.store, &said).await.unwrap();
    let entries = world.audit().await;
    let lock = world.shell();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let own = start(&world.store, &said).await.unwrap();
    let again = world.store.put_modes_in_force(&said, None, Some(own.remembered())).await.unwrap();
    assert_eq!(again.unwrap(), own);
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(world.audit().await, entries);
}

#[tokio::test]
async fn a_process_continues_from_its_own_modes() {
    let world = World::new().await;
    let own = start(&world.store, &configured(ALLOWLIST, Some(&[("a", None)]))).await.unwrap();
    // Another gate on the same database, with a configuration of its own.
    start(&world.store, &configured(OPEN, None)).await.unwrap();
    let lost = configured(None, None);
    let again = world.store.put_modes_in_force(&lost, None, Some(own.remembered())).await.unwrap();
    let again = again.unwrap();
    assert_eq!((mode(&again, "a"), mode(&again, "b")), (ALLOWLIST, None));

    // A forgotten mode is forgotten for every process.
    world.store.forget_mode(None, &actor("cli")).await.unwrap();
    let lost = world.store.put_modes_in_force(&lost, None, Some(own.remembered())).await.unwrap();
    assert_eq!(lost, Err(ModesError::Unset));
}

#[tokio::test]
async fn at_most_ten_thousand_accounts_are_remembered() {
    let world = World::new().await;
    let many = |from: usize, to: usize| {
        let own = Some(ModeSetting::new(Mode::Allowlist, "pairing.yaml"));
        let accounts = (from..to).map(|number| (account_key(&number.to_string()), own.clone()));
        ConfiguredModes { default: None, accounts: Some(accounts.collect()) }
    };
    let max = RememberedModes::MAX_ACCOUNTS;
    let error = start(&world.store, &many(0, max + 1)).await.unwrap_err();
    assert_eq!(error, ModesError::TooMany(max + 1));
    start(&world.store, &many(0, max)).await.unwrap();
    let error = start(&world.store, &many(max, max + 1)).await.unwrap_err();
    assert_eq!(error, ModesError::TooMany(max + 1), "those that are gone are remembered, too");
    world.store.forget_mode(Some(&account_key("7")), &actor("cli")).await.unwrap();
    start(&world.store, &many(max, max + 1)).await.unwrap();
    let count = "SELECT count(*) FROM pairing_accounts";
    let rows: i64 = world.shell().query_row(count, (), |row| row.get(0)).unwrap();
    assert_eq!(rows, max as i64 + 1, "with the one for all accounts");

    // A forgotten account does not count against the bound.
    world.store.forget_mode(None, &actor("cli")).await.unwrap();
    start(&world.store, &many(max, 2 * max)).await.unwrap();
    let rows: i64 = world.shell().query_row(count, (), |row| row.get(0)).unwrap();
    assert_eq!(rows, max as i64 + 1);
}

#[tokio::test]
async fn a_mode_of_a_newer_version_is_not_treated_as_absent() {
    let world = World::new().await;
    start(&world.store, &configured(ALLOWLIST, None)).await.unwrap();
    world.shell().execute("UPDATE pairing_accounts SET mode = 'silent'", ()).unwrap();
    let error = world.store.remembered_modes().await.unwrap_err();
    let PairingError::Backend(source) = error else { panic!("{error}") };
    let error = source.downcast_ref::<StoreError>().unwrap();
    let hint = error.hint().unwrap();
    assert!(hint.contains("newer version"), "{hint}");
    let cause = std::error::Error::source(error).unwrap().to_string();
    assert!(cause.starts_with("unknown variant `silent`"), "{cause}");
    let said = configured(OPEN, None);
    assert!(world.store.put_modes_in_force(&said, None, None).await.is_err());
}
