//! The locks of an open file. A process that closes any descriptor of it loses them all; then another
//! process takes itself for the last one, and takes the WAL away with it.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use nexo_pairing_core::{Actor, Filter};
use nexo_pairing_store::{Inspection, PairingStore};
use rustix::fs::FlockOperation;

use crate::legacy::old_file;
use crate::support::{World, everywhere, options};
use nexo_pairing_conformance::testing::TestReplica;

/// Names the file that a child process of this test looks at.
const FILE: &str = "PAIRING_TEST_FILE";

/// Whether another process sees that the file is in use. A process does not see its own locks.
fn is_locked(path: &Path) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "locks::nothing_drops_the_locks_of_the_file", "--nocapture"])
        .env(FILE, path)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    told.contains("it is locked")
}

#[tokio::test]
async fn nothing_drops_the_locks_of_the_file() {
    if let Some(path) = std::env::var_os(FILE) {
        let file = File::options().read(true).write(true).open(path).unwrap();
        if rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            println!("it is locked");
        }
        return;
    }
    let new = World::new().await;
    let (_folder, old_path) = old_file();
    let (_, options) = options();
    let old = PairingStore::open_with(&old_path, options.clone()).await.unwrap();
    for (store, path) in [(&new.store, &new.path), (&old, &old_path)] {
        let check = |what: &str| assert!(is_locked(path), "not after {what}: {}", path.display());
        check("opening");
        store.purge_expired().await.unwrap();
        check("writing");
        store.list_blocked(&Filter::all()).await.unwrap();
        check("reading");
        let copy = TestReplica::of(store);
        check("watching");
        let other = PairingStore::open_with(path, options.clone()).await.unwrap();
        check("opening once more");
        other.refresh().await.unwrap();
        drop(other);
        check("closing that");
        Inspection::of(path).await.unwrap();
        check("inspecting");
        drop(PairingStore::snapshot(path, options.clone()).await.unwrap());
        check("copying");
        drop(PairingStore::view(path, options.clone()).await.unwrap());
        check("viewing");
        store.backup(path.with_file_name("backup.db")).await.unwrap();
        check("backing up");
        store.backup(path).await.unwrap_err();
        check("not backing up");
        store.forget(&everywhere("+5491155556666"), &Actor::cli()).await.unwrap();
        check("forgetting");
        drop(copy);
        // So a lost lock would show.
        drop(fs::File::open(path).unwrap());
        assert!(!is_locked(path));
    }
}
