//! Remembered and forgotten modes.

use nexo_pairing_core::{Mode, ModeSetting, ModesError, RememberedModes};

use crate::prelude::*;
use crate::world::{account, account_key, actor, channel, configured, mode, start};

const ALLOWLIST: Option<Mode> = Some(Mode::Allowlist);
const OPEN: Option<Mode> = Some(Mode::Open);

pub async fn a_process_keeps_its_modes_beside_another_process_or_database<S: Storage>(
    suite: &Suite<S>,
) {
    let world = World::new(suite).await;
    let said = configured(OPEN, Some(&[("a", ALLOWLIST)]));
    let own = start(&world.store, &said).await.unwrap();
    // Another gate names the account without a mode, and a third one has no list of accounts.
    let other = start(&world.store, &configured(ALLOWLIST, Some(&[("a", None)]))).await.unwrap();
    assert_eq!(mode(&other, "a"), ALLOWLIST);
    let other = configured(ALLOWLIST, Some(&[("a", None), ("b", None)]));
    let in_force = start(&world.store, &other).await.unwrap();
    start(&world.store, &said).await.unwrap();
    let again = world.store.put_modes_in_force(&other, None, Some(in_force.remembered())).await;
    assert_eq!(mode(&again.unwrap().unwrap(), "b"), ALLOWLIST);
    start(&world.store, &configured(OPEN, None)).await.unwrap();

    let lost = configured(OPEN, Some(&[("a", None)]));
    let elsewhere = World::new(suite).await;
    for store in [&world.store, &elsewhere.store] {
        let again = store.put_modes_in_force(&lost, None, Some(own.remembered())).await.unwrap();
        assert_eq!(mode(&again.unwrap(), "a"), ALLOWLIST);
    }
    // An account that the other gate does not name is forgotten for this one as well.
    start(&world.store, &configured(OPEN, None)).await.unwrap();
    let forgotten = world.store.forget_mode(Some(&account_key("a")), &actor("cli")).await.unwrap();
    assert_eq!(forgotten.len(), 1);
    let again = world.store.put_modes_in_force(&lost, None, Some(own.remembered())).await.unwrap();
    assert_eq!(mode(&again.unwrap(), "a"), OPEN);
}

pub async fn an_older_backup_removes_no_mode<S: Storage>(suite: &Suite<S>) {
    let allowed = configured(OPEN, Some(&[("a", ALLOWLIST)]));
    let own = start(&World::new(suite).await.store, &allowed).await.unwrap();
    let own = own.remembered();
    // When the backup was made, the account had no mode of its own.
    let named = configured(OPEN, Some(&[("a", None)]));
    let restored = World::new(suite).await;
    start(&restored.store, &named).await.unwrap();
    let again = restored.store.put_modes_in_force(&named, None, Some(own)).await.unwrap();
    assert_eq!(mode(&again.unwrap(), "a"), ALLOWLIST);
    // Or only a trial had run.
    let trial = World::new(suite).await;
    let (nothing, open) = (configured(None, None), Some(ModeSetting::open_for_one_run()));
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
    start(&restored.store, &configured(OPEN, Some(&[("b", None)]))).await.unwrap();
    let again = restored.store.put_modes_in_force(&named, None, Some(own)).await.unwrap();
    assert_eq!(mode(&again.unwrap(), "a"), ALLOWLIST);
}

pub async fn forgetting_ends_the_mode_of_one_account_or_of_all<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    start(&world.store, &configured(OPEN, Some(&[("a", ALLOWLIST), ("b", ALLOWLIST)])))
        .await
        .unwrap();
    let own = start(&world.store, &configured(None, None)).await.unwrap();
    let cli = actor("cli");
    assert_eq!(world.store.forget_mode(Some(&account_key("c")), &cli).await.unwrap(), []);
    let forgotten = world.store.forget_mode(Some(&account_key("a")), &cli).await.unwrap();
    let said = ModeSetting::new(Mode::Allowlist, "pairing.yaml");
    assert_eq!(forgotten, [(Some(account_key("a")), said)]);
    assert_eq!(world.store.forget_mode(Some(&account_key("a")), &cli).await.unwrap(), []);
    for own in [None, Some(own.remembered())] {
        let modes =
            world.store.put_modes_in_force(&configured(None, None), None, own).await.unwrap();
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
    let nothing = configured(None, None);
    let open = world.store.put_modes_in_force(&nothing, fallback.clone(), None).await.unwrap();
    assert_eq!(mode(&open.unwrap(), "a"), OPEN);
    assert_eq!(start(&world.store, &nothing).await, Err(ModesError::Unset));
    start(&world.store, &configured(ALLOWLIST, None)).await.unwrap();
    let kept = world.store.put_modes_in_force(&nothing, fallback, None).await.unwrap();
    assert_eq!(mode(&kept.unwrap(), "a"), ALLOWLIST, "it counts only without an explicit mode");
}
