//! A killed process: no acknowledged write is lost, and the files that it leaves are not
//! mixed with later ones.

use std::fs;
use std::path::Path;
use std::process::Command;

use nexo_pairing_core::{Actor, Filter};
use nexo_pairing_store::{Inspection, PairingStore};

use crate::support::{account, channel, names, options, sender};

/// Names the store that a child process of this test writes to until it is killed.
const FILE: &str = "PAIRING_TEST_CRASH";

/// The number of senders admitted before the crash.
const COUNT: usize = 20;

/// Admits senders and then exits at once, without closing anything.
async fn write_and_crash(path: &Path) -> ! {
    let (_, options) = options();
    let store = PairingStore::open_with(path, options).await.unwrap();
    for number in 0..COUNT {
        let ids = [sender(&format!("+1{number}"))];
        store.seed(&channel(), &account("work"), &ids, &Actor::seed()).await.unwrap();
    }
    std::process::abort();
}

/// Runs a test again, in a process that crashes.
fn crash(test: &str, path: &Path) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FILE, path)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !told.contains("panicked"), "{told}");
    assert!(fs::metadata(path.with_file_name("pairing.db-wal")).unwrap().len() > 0);
}

async fn allowed(store: &PairingStore) -> usize {
    store.list_allow(&Filter::all(), false).await.unwrap().len()
}

#[tokio::test]
async fn acknowledged_writes_survive_a_crash() {
    if let Some(path) = std::env::var_os(FILE) {
        write_and_crash(Path::new(&path)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    crash("crash::acknowledged_writes_survive_a_crash", &path);
    let (_, options) = options();
    let copy = PairingStore::snapshot(&path, options.clone()).await.unwrap();
    assert_eq!(allowed(&copy).await, COUNT);
    let store = PairingStore::open_with(&path, options).await.unwrap();
    assert_eq!(allowed(&store).await, COUNT);
    assert_eq!(Inspection::of(&path).await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn the_wal_of_a_crash_is_not_mixed_into_a_restored_backup() {
    if let Some(path) = std::env::var_os(FILE) {
        write_and_crash(Path::new(&path)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    let test = "the_wal_of_a_crash_is_not_mixed_into_a_restored_backup";
    crash(&format!("crash::{test}"), &path);
    let (_, options) = options();
    let elsewhere = tempfile::tempdir_in(folder.path()).unwrap();
    let other = elsewhere.path().join("pairing.db");
    let store = PairingStore::open_with(&other, options.clone()).await.unwrap();
    let ids = [sender("+2"), sender("+3")];
    store.seed(&channel(), &account("work"), &ids, &Actor::seed()).await.unwrap();
    let backup = elsewhere.path().join("backup.db");
    store.backup(&backup).await.unwrap();
    fs::rename(backup, &path).unwrap();
    drop((store, elsewhere));

    // A reader mixes nothing and moves nothing aside.
    let before = (names(folder.path()), fs::read(&path).unwrap());
    let copy = PairingStore::snapshot(&path, options.clone()).await.unwrap();
    assert_eq!(allowed(&copy).await, 2);
    assert_eq!(Inspection::of(&path).await.unwrap().problems, Vec::<String>::new());
    assert!((names(folder.path()), fs::read(&path).unwrap()) == before);

    let store = PairingStore::open_with(&path, options.clone()).await.unwrap();
    assert_eq!(allowed(&store).await, 2);
    drop(store);
    assert_eq!(Inspection::of(&path).await.unwrap().problems, Vec::<String>::new());
    let store = PairingStore::open_with(&path, options).await.unwrap();
    assert_eq!(allowed(&store).await, 2);
}
