//! Probes: they read and write.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use nexo_pairing_store::{PairingStore, StoreError, StoreErrorKind};

use crate::place::obey_permissions;
use crate::support::{World, store_error};

#[tokio::test]
async fn a_probe_of_a_working_store_leaves_nothing() {
    let world = World::new().await;
    for _ in 0..3 {
        world.store.probe().await.unwrap();
    }
    world.another().await.probe().await.unwrap();
    world.device(1).await;
    assert_eq!(world.audit().await, ["device session_issued"]);
    world.store.probe().await.unwrap();
    PairingStore::open_memory().await.unwrap().probe().await.unwrap();
}

#[tokio::test]
async fn a_probe_fails_on_a_deleted_file() {
    let world = World::new().await;
    let aside = world.path.with_extension("aside");
    fs::rename(&world.path, &aside).unwrap();
    let error = store_error(world.store.probe().await.unwrap_err());
    assert!(matches!(error, StoreError { kind: StoreErrorKind::Missing, .. }), "{error:?}");
    fs::rename(&aside, &world.path).unwrap();
    world.store.probe().await.unwrap();
}

#[tokio::test]
async fn a_probe_fails_on_a_read_only_file() {
    obey_permissions();
    let world = World::new().await;
    let (restored, aside) =
        (world.path.with_extension("restored"), world.path.with_extension("aside"));
    world.store.backup(&restored).await.unwrap();
    fs::set_permissions(&restored, Permissions::from_mode(0o400)).unwrap();
    fs::rename(&world.path, &aside).unwrap();
    fs::rename(&restored, &world.path).unwrap();
    let error = store_error(world.store.probe().await.unwrap_err());
    assert!(matches!(error, StoreError { kind: StoreErrorKind::Permission, .. }), "{error:?}");
    fs::set_permissions(&world.path, Permissions::from_mode(0o600)).unwrap();
    world.store.probe().await.unwrap();
}
