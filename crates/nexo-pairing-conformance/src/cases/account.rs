//! Remembered and forgotten modes.

use nexo_pairing_core::{
    AccountKey, ConfiguredModes, Mode, ModeSetting, ModesError, ModesInForce, RememberedModes,
};

use crate::prelude::*;
use crate::world::{World, account, actor, channel};
use nexo_pairing_engine::PairingEngine;

/// A configuration: the default mode, and the modes of some accounts.
fn words(default: Option<Mode>, accounts: Option<&[(&str, Option<Mode>)]>) -> ConfiguredModes {
    let said = |mode| ModeSetting::new(mode, "pairing.yaml");
    let entry = |(name, mode): &(&str, Option<Mode>)| (named(name), mode.map(said));
    ConfiguredModes {
        default: default.map(said),
        accounts: accounts.map(|accounts| accounts.iter().map(entry).collect()),
    }
}

fn named(name: &str) -> AccountKey {
    (channel(), account(name))
}

async fn start<S: Storage>(
    store: &PairingEngine<S>,
    words: &ConfiguredModes,
) -> Result<ModesInForce, ModesError> {
    store.put_modes_in_force(words, None, None).await.unwrap()
}

fn mode(modes: &ModesInForce, name: &str) -> Option<Mode> {
    modes.mode(&channel(), &account(name))
}

const ALLOWLIST: Option<Mode> = Some(Mode::Allowlist);
const OPEN: Option<Mode> = Some(Mode::Open);

pub async fn a_process_keeps_its_modes_beside_another_process_or_database<S: Storage>(
    suite: &Suite<S>,
) {
    let world = World::new(suite).await;
    let said = words(OPEN, Some(&[("a", ALLOWLIST)]));
    let own = start(&world.store, &said).await.unwrap();
    // Another gate names the account without a mode, and a third one has no list of accounts.
    let other = start(&world.store, &words(ALLOWLIST, Some(&[("a", None)]))).await.unwrap();
    assert_eq!(mode(&other, "a"), ALLOWLIST);
    let other = words(ALLOWLIST, Some(&[("a", None), ("b", None)]));
    let in_force = start(&world.store, &other).await.unwrap();
    start(&world.store, &said).await.unwrap();
    let again = world.store.put_modes_in_force(&other, None, Some(in_force.remembered())).await;
    assert_eq!(mode(&again.unwrap().unwrap(), "b"), ALLOWLIST);
    start(&world.store, &words(OPEN, None)).await.unwrap();

    let lost = words(OPEN, Some(&[("a", None)]));
    let elsewhere = World::new(suite).await;
    for store in [&world.store, &elsewhere.store] {
        let again = store.put_modes_in_force(&lost, None, Some(own.remembered())).await.unwrap();
        assert_eq!(mode(&again.unwrap(), "a"), ALLOWLIST);
    }
    // An account that the other gate does not name is forgotten for this one as well.
    start(&world.store, &words(OPEN, None)).await.unwrap();
    let forgotten = world.store.forget_mode(Some(&named("a")), &actor("cli")).await.unwrap();
    assert_eq!(forgotten.len(), 1);
    let again = world.store.put_modes_in_force(&lost, None, Some(own.remembered())).await.unwrap();
    assert_eq!(mode(&again.unwrap(), "a"), OPEN);
}

pub async fn an_older_backup_removes_no_mode<S: Storage>(suite: &Suite<S>) {
    let allowed = words(OPEN, Some(&[("a", ALLOWLIST)]));
    let own = start(&World::new(suite).await.store, &allowed).await.unwrap();
    let own = own.remembered();
    // When the backup was made, the account had no mode of its own.
    let named = words(OPEN, Some(&[("a", None)]));
    let restored = World::new(suite).await;
    start(&restored.store, &named).await.unwrap();
    let again = restored.store.put_modes_in_force(&named, None, Some(own)).await.unwrap();
    assert_eq!(mode(&again.unwrap(), "a"), ALLOWLIST);
    // Or only a trial had run.
    let trial = World::new(suite).await;
    let (nothing, open) = (words(None, None), Some(ModeSetting::open_for_one_run()));
    trial.store.put_modes_in_force(&nothing, open, None).await.unwrap().unwrap();
    let again = trial.store.put_modes_in_force(&nothing, None, Some(own)).await.unwrap();
    assert_eq!(mode(&again.unwrap(), "a"), ALLOWLIST);

    // A mode that was forgotten there stays forgotten, whether it was stored there or not.
    let restored = World::new(suite).await;
    start(&restored.store, &named).await.unwrap();
    let account = (channel(), account("a"));
    assert_eq!(restored.store.forget_mode(Some(&account), &actor("cli")).await.unwrap(), []);
    let again = restored.store.put_modes_in_force(&named, None, Some(own)).await.unwrap();
    assert_eq!(mode(&again.unwrap(), "a"), OPEN);
    // An explicit mode ends that.
    start(&restored.store, &allowed).await.unwrap();
    start(&restored.store, &words(OPEN, Some(&[("b", None)]))).await.unwrap();
    let again = restored.store.put_modes_in_force(&named, None, Some(own)).await.unwrap();
    assert_eq!(mode(&again.unwrap(), "a"), ALLOWLIST);
}

pub async fn forgetting_ends_the_mode_of_one_account_or_of_all<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    start(&world.store, &words(OPEN, Some(&[("a", ALLOWLIST), ("b", ALLOWLIST)]))).await.unwrap();
    let own = start(&world.store, &words(None, None)).await.unwrap();
    let cli = actor("cli");
    assert_eq!(world.store.forget_mode(Some(&named("c")), &cli).await.unwrap(), []);
    let forgotten = world.store.forget_mode(Some(&named("a")), &cli).await.unwrap();
    let said = ModeSetting::new(Mode::Allowlist, "pairing.yaml");
    assert_eq!(forgotten, [(Some(named("a")), said)]);
    assert_eq!(world.store.forget_mode(Some(&named("a")), &cli).await.unwrap(), []);
    for own in [None, Some(own.remembered())] {
        let modes = world.store.put_modes_in_force(&words(None, None), None, own).await.unwrap();
        let modes = modes.unwrap();
        assert_eq!((mode(&modes, "a"), mode(&modes, "b")), (OPEN, ALLOWLIST));
    }
    let forgotten = world.store.forget_mode(None, &cli).await.unwrap();
    assert_eq!(forgotten.len(), 2, "the default, and b");
    let left = world.store.remembered_modes().await.unwrap();
    assert!(left.is_same(&RememberedModes::default()), "{left:?}");
}

pub async fn open_for_one_run_is_audited_and_not_stored<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let fallback = Some(ModeSetting::open_for_one_run());
    let nothing = words(None, None);
    let open = world.store.put_modes_in_force(&nothing, fallback.clone(), None).await.unwrap();
    assert_eq!(mode(&open.unwrap(), "a"), OPEN);
    assert_eq!(start(&world.store, &nothing).await, Err(ModesError::Unset));
    start(&world.store, &words(ALLOWLIST, None)).await.unwrap();
    let kept = world.store.put_modes_in_force(&nothing, fallback, None).await.unwrap();
    assert_eq!(mode(&kept.unwrap(), "a"), ALLOWLIST, "it counts only without an explicit mode");
}
