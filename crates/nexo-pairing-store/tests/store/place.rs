//! Location, name and permissions of the file.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use nexo_pairing_conformance::testing;
use nexo_pairing_core::{Actor, Filter};
use nexo_pairing_store::{Inspection, PairingStore, StoreError, StoreErrorKind, StoreOptions};
use rustix::thread::CapabilitySet;

use crate::legacy::old_file;
use crate::support::{World, everywhere, names, options, store_error};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// Drops the capabilities by which root bypasses permissions, for this thread and its children. Any other
/// user has none of them.
pub(crate) fn obey_permissions() {
    let mut ours = rustix::thread::capabilities(None).unwrap();
    let passes_by = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    ours.effective &= !passes_by;
    // Its permitted capabilities are enough for access(2).
    ours.permitted &= !passes_by;
    rustix::thread::set_capabilities(None, ours).unwrap();
}

async fn refused(path: &Path) -> StoreError {
    store_error(PairingStore::open(path).await.map(drop).unwrap_err())
}

#[tokio::test]
async fn folders_that_are_missing_are_made_for_the_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/c/pairing.db");
    let store = PairingStore::open(&path).await.unwrap();
    store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    for made in ["a", "a/b", "a/b/c"] {
        assert_eq!(mode(&folder.path().join(made)), 0o700, "{made}");
    }
    for made in names(path.parent().unwrap()) {
        assert_eq!(mode(&path.parent().unwrap().join(&made)), 0o600, "{made}");
    }
}

#[tokio::test]
async fn a_folder_that_was_there_keeps_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    PairingStore::open(folder.path().join("pairing.db")).await.unwrap();
    assert_eq!(mode(folder.path()), 0o755);
}

/// Runs a test again in a child process: the umask belongs to a whole process.
fn again_with_umask(test: &str, umask: &str) {
    let script = format!("umask {umask} && exec \"$0\" --exact {test} --nocapture");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env("PAIRING_TEST_UMASK", umask)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{umask}: {told}");
}

#[tokio::test]
async fn the_modes_do_not_depend_on_the_mask() {
    if std::env::var_os("PAIRING_TEST_UMASK").is_none() {
        for umask in ["000", "022", "077"] {
            again_with_umask("place::the_modes_do_not_depend_on_the_mask", umask);
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    let store = PairingStore::open(&path).await.unwrap();
    store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    let made = ["pairing.db", "pairing.db-shm", "pairing.db-wal", "pairing.db.lock"];
    assert_eq!(names(folder.path()), made);
    for name in made {
        assert_eq!(mode(&folder.path().join(name)), 0o600, "{name}");
    }
    let backup = folder.path().join("backup.db");
    store.backup(&backup).await.unwrap();
    assert_eq!(mode(&backup), 0o600);
}

#[tokio::test]
async fn the_file_of_0_1_8_becomes_private() {
    let (folder, path) = old_file();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let store = PairingStore::open(&path).await.unwrap();
    store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    for name in names(folder.path()) {
        assert_eq!(mode(&folder.path().join(&name)), 0o600, "{name}");
    }
    // Made readable while it is open: its owner finds it private at the next opening.
    for name in names(folder.path()) {
        fs::set_permissions(folder.path().join(name), Permissions::from_mode(0o644)).unwrap();
    }
    PairingStore::open(&path).await.unwrap();
    for name in ["pairing.db", "pairing.db-wal", "pairing.db-shm"] {
        assert_eq!(mode(&folder.path().join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn files_created_by_root_belong_to_the_owner_of_the_database() {
    let (folder, path) = old_file();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(12_345), Some(12_345)).unwrap();
    }
    let owner = fs::metadata(&path).unwrap().uid();
    let store = PairingStore::open(&path).await.unwrap();
    store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    for name in names(folder.path()) {
        assert_eq!(fs::metadata(folder.path().join(&name)).unwrap().uid(), owner, "{name}");
    }
}

/// A service runs as its own user, and root maintains it.
#[tokio::test]
async fn files_created_by_root_belong_to_the_owner_of_the_folder() {
    if !rustix::process::geteuid().is_root() {
        println!("not tested: only root can act for another user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(12_345), Some(12_345)).unwrap();
    let state = folder.path().join("nexo/state");
    let store = PairingStore::open(state.join("pairing.db")).await.unwrap();
    store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    // A backup stays where root puts it, and the service can open it once it is moved into place.
    let elsewhere = tempfile::tempdir().unwrap();
    let backup = elsewhere.path().join("backup.db");
    store.backup(&backup).await.unwrap();
    let mut made = vec![backup, state.clone(), folder.path().join("nexo")];
    made.extend(names(&state).into_iter().map(|name| state.join(name)));
    assert_eq!(made.len(), 7, "{made:?}");
    for path in made {
        assert_eq!(fs::metadata(&path).unwrap().uid(), 12_345, "{}", path.display());
    }
}

#[tokio::test]
async fn file_names_are_used_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let awkward = [
        "with space.db",
        "it's.db",
        "\"quoted\".db",
        "question?mode=memory",
        "percent%20.db",
        "hash#.db",
        "file:pairing.db",
        "file:x?mode=memory&cache=shared",
        ":memory:",
        "ñandú-鸚鵡-🦜.db",
        "-db",
        "semi;colon & more",
        "new\nline",
    ];
    for name in awkward.map(OsStr::new).into_iter().chain([OsStr::from_bytes(b"not-utf-8-\xff")]) {
        let path = folder.path().join(name);
        let store = PairingStore::open(&path).await.unwrap();
        store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
        drop(store);
        assert!(fs::metadata(&path).unwrap().len() > 0, "{}", path.display());
        assert_eq!(Inspection::of(&path).await.unwrap().problems, Vec::<String>::new());
        let copy = PairingStore::snapshot(&path, StoreOptions::default()).await.unwrap();
        assert_eq!(copy.list_blocked(&Filter::all()).await.unwrap().len(), 1);
        let store = PairingStore::open(&path).await.unwrap();
        assert_eq!(store.list_blocked(&Filter::all()).await.unwrap().len(), 1);
        let mut backup = path.clone().into_os_string();
        backup.push(".backup");
        store.backup(&backup).await.unwrap();
        drop(store);
        fs::remove_file(backup).unwrap();
        fs::remove_file(&path).unwrap();
    }
    let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    for name in left {
        assert!(name.as_bytes().ends_with(b".lock"), "{}", name.display());
    }
}

#[tokio::test]
async fn a_link_stands_for_its_target() {
    let folder = tempfile::tempdir().unwrap();
    let (real, links) = (folder.path().join("real"), folder.path().join("links"));
    fs::create_dir(&real).unwrap();
    fs::create_dir(&links).unwrap();
    let link = links.join("pairing.db");
    // A link to a missing target as well.
    symlink("../real/pairing.db", &link).unwrap();
    let through = PairingStore::open(&link).await.unwrap();
    through.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    let direct = PairingStore::open(real.join("pairing.db")).await.unwrap();
    assert_eq!(direct.list_blocked(&Filter::all()).await.unwrap().len(), 1);
    direct.block(&everywhere("+2"), &Actor::cli(), None).await.unwrap();
    assert_eq!(through.list_blocked(&Filter::all()).await.unwrap().len(), 2);
    assert_eq!(names(&links), ["pairing.db"], "what lies beside it lies beside the file");
    assert!(names(&real).contains(&"pairing.db-wal".to_owned()));

    let circle = folder.path().join("circle");
    symlink("circle", &circle).unwrap();
    let error = refused(&circle).await;
    assert!(error.to_string().contains("circle"), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.join("pairing.db"), file.join("deeper/pairing.db")] {
        let error = refused(&path).await;
        assert!(matches!(error, StoreError { kind: StoreErrorKind::Io, .. }), "{error:?}");
        assert!(error.to_string().contains(file.to_str().unwrap()) && error.hint().is_some());
    }
    obey_permissions();
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, Permissions::from_mode(0o555)).unwrap();
    let error = refused(&locked.join("state/pairing.db")).await;
    assert!(matches!(error, StoreError { kind: StoreErrorKind::Permission, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("ls -la"));
    let error = refused(&locked.join("pairing.db")).await;
    assert!(matches!(error, StoreError { kind: StoreErrorKind::Permission, .. }), "{error:?}");
    assert_eq!(names(&locked), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_that_may_not_be_used_is_refused() {
    obey_permissions();
    for locked in [0o000, 0o200, 0o400] {
        let World { world: testing::World { store, .. }, path, folder, .. } = World::new().await;
        drop(store);
        fs::set_permissions(&path, Permissions::from_mode(locked)).unwrap();
        let error = refused(&path).await;
        assert!(
            matches!(error, StoreError { kind: StoreErrorKind::Permission, .. }),
            "{locked:o}: {error:?}"
        );
        assert_eq!(mode(&path), locked, "and is not made usable");
        drop(folder);
    }
}

#[tokio::test]
async fn a_read_only_file_can_be_inspected() {
    obey_permissions();
    for (of_file, of_folder) in [(0o400, 0o500), (0o600, 0o500), (0o400, 0o700)] {
        let World { world: testing::World { store, .. }, path, folder, .. } = World::new().await;
        store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
        drop(store);
        fs::set_permissions(&path, Permissions::from_mode(of_file)).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(of_folder)).unwrap();
        let before = (fs::read(&path).unwrap(), names(folder.path()));
        let copy = PairingStore::snapshot(&path, StoreOptions::default()).await.unwrap();
        assert_eq!(copy.list_blocked(&Filter::all()).await.unwrap().len(), 1);
        assert_eq!(Inspection::of(&path).await.unwrap().problems, Vec::<String>::new());
        let after = (fs::read(&path).unwrap(), names(folder.path()));
        assert!(before == after, "{of_file:o} in {of_folder:o}: {:?}", after.1);
        let error = refused(&path).await;
        assert!(matches!(error, StoreError { kind: StoreErrorKind::Permission, .. }), "{error:?}");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    }
}

#[tokio::test]
async fn a_file_is_read_completely_or_not_at_all() {
    // The WAL of a crash, in a read-only folder: without it, rows are missing.
    let world = World::new().await;
    world.store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    let (folder, path) = world.crashed();
    fs::remove_file(folder.path().join("pairing.db-shm")).unwrap();
    obey_permissions();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o500)).unwrap();
    let (_, options) = options();
    let copy = PairingStore::snapshot(&path, options.clone()).await;
    let error = store_error(copy.map(drop).unwrap_err());
    assert!(matches!(error, StoreError { kind: StoreErrorKind::Permission, .. }), "{error:?}");
    let error = store_error(PairingStore::view(path, options).await.map(drop).unwrap_err());
    assert!(matches!(error, StoreError { kind: StoreErrorKind::Permission, .. }), "{error:?}");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
}
