//! The locks of an open file. A process that closes any descriptor of it loses them all, and then
//! another process that closes its connection takes the WAL away from under it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use nexo_pairing_core::PairingBackend;
use nexo_pairing_store::{Inspection, PairingStore};

use crate::legacy::old_file;
use crate::mirrored::Copy;
use crate::support::{World, options, shell};

/// Says to a process of this test which file to open and to close.
const FILE: &str = "PAIRING_TEST_FILE";

/// Opens the file in another process, reads it and closes it, as the last one if it can.
fn another_process_comes_and_goes(path: &Path) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "locks::nothing_drops_the_locks_of_the_file", "--nocapture"])
        .env(FILE, path)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[tokio::test]
async fn nothing_drops_the_locks_of_the_file() {
    if let Some(path) = std::env::var_os(FILE) {
        let connection = shell(Path::new(&path));
        let count = "SELECT count(*) FROM pairing_allow_from";
        connection.query_row(count, (), |row| row.get::<_, i64>(0)).unwrap();
        connection.close().unwrap();
        return;
    }
    let new = World::new().await;
    let (_folder, old_path) = old_file();
    let (_, options) = options();
    let old = PairingStore::open_with(&old_path, options.clone()).await.unwrap();
    for (store, path) in [(&new.store, &new.path), (&old, &old_path)] {
        let wal = path.with_file_name("pairing.db-wal");
        let inode = || fs::metadata(&wal).map(|wal| wal.ino()).unwrap();
        let before = inode();
        let check = |what: &str| {
            another_process_comes_and_goes(path);
            assert_eq!(inode(), before, "{what} dropped the locks of {}", path.display());
        };
        check("opening");
        store.purge_expired().await.unwrap();
        check("writing");
        store.list_blocked(&nexo_pairing_core::Filter::all()).await.unwrap();
        check("reading");
        let copy = Copy::of(store);
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
        store.backup(path.with_file_name("backup.db")).await.unwrap();
        check("backing up");
        store.backup(path).await.unwrap_err();
        check("not backing up");
        store
            .forget(&crate::support::everywhere("+5491155556666"), &nexo_pairing_core::Actor::cli())
            .await
            .unwrap();
        check("forgetting");
        drop(copy);
        // So it would show.
        eprintln!(
            "{} {}",
            fs::metadata(path).unwrap().ino(),
            fs::read_to_string("/proc/locks").unwrap()
        );
        drop(fs::File::open(path).unwrap());
        eprintln!(
            "{} {}",
            fs::metadata(path).unwrap().ino(),
            fs::read_to_string("/proc/locks").unwrap()
        );
        another_process_comes_and_goes(path);
        assert_ne!(fs::metadata(&wal).map(|wal| wal.ino()).ok(), Some(before));
    }
}
