//! A full disk: no acknowledged write is lost, and the store continues
//! once there is room again.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nexo_pairing_core::{Actor, Filter, PairingError};
use nexo_pairing_store::{Inspection, PairingStore, StoreError, StoreErrorKind};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{account, channel, everywhere, names, options, sender, store_error};
use nexo_pairing_conformance::testing::TestReplica;

/// Tells a child process of this test what to fill: the folder of its own small disk, or
/// nothing, when only the size of its files can be limited.
const DISK: &str = "PAIRING_TEST_DISK";

/// Runs a test again in a child process with a disk of 1 MiB in its own namespace. Users without
/// that permission (most containers, and users on some systems) get a limit on the file size.
fn again_on_a_small_disk(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let unshare: &[&str] = if rustix::process::geteuid().is_root() {
        &["--mount"]
    } else {
        &["--mount", "--user", "--map-root-user"]
    };
    let run = |program: &str, arguments: &[&str], script: &str, disk: &Path| {
        let output = Command::new(program)
            .args(arguments)
            .args(["sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(DISK, disk)
            .output();
        let output = output.unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = format!("{told}{}", String::from_utf8_lossy(&output.stderr));
        (output.status.code(), told)
    };
    let mount = "mount -t tmpfs -o size=1m tmpfs \"$PAIRING_TEST_DISK\" || exit 77
        exec \"$0\" \"$@\"";
    let (mut code, mut told) = run("unshare", unshare, mount, folder.path());
    // A failed test exits with 101; any other status comes from before the test.
    if !matches!(code, Some(0 | 101)) {
        eprintln!("no disk of its own, a limit for files instead: {told}");
        let limit = "trap '' XFSZ; exec \"$0\" \"$@\"";
        (code, told) = run("env", &[], limit, Path::new(""));
    }
    assert!(code == Some(0) && told.contains("1 passed"), "{code:?}: {told}");
}

/// A disk to fill.
struct Disk {
    folder: PathBuf,
    /// `None` on a separate disk.
    limited: Option<tempfile::TempDir>,
}

impl Disk {
    /// `None` in the parent process.
    fn from_environment() -> Option<Self> {
        let disk = std::env::var_os(DISK)?;
        Some(if disk.is_empty() {
            let limited = tempfile::tempdir().unwrap();
            Self { folder: limited.path().into(), limited: Some(limited) }
        } else {
            Self { folder: disk.into(), limited: None }
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Leaves this much room.
    fn fill(&self, left: u64) {
        if self.limited.is_some() {
            return limit_files(Some(left));
        }
        let mut filler = File::create(self.path("filler")).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
        let full = filler.metadata().unwrap().len();
        filler.set_len(full.saturating_sub(left)).unwrap();
    }

    fn make_room(&self) {
        if self.limited.is_some() {
            return limit_files(None);
        }
        fs::remove_file(self.path("filler")).unwrap();
    }

    /// Whether this is the error of a full disk, as opposed to a limit.
    fn is_full(&self, error: &StoreError) -> bool {
        matches!(error, StoreError { kind: StoreErrorKind::Full, .. })
            || self.limited.is_some()
                && matches!(
                    error,
                    StoreError { kind: StoreErrorKind::Sqlite, .. }
                        | StoreError { kind: StoreErrorKind::Io, .. }
                        | StoreError { kind: StoreErrorKind::Migration, .. }
                )
    }

    fn names(&self) -> Vec<String> {
        names(&self.folder)
    }
}

fn limit_files(bytes: Option<u64>) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

async fn seed(store: &PairingStore, number: u32) -> Result<(), PairingError> {
    // Long, so that few fit.
    let ids = [sender(&format!("{number:0200}"))];
    store.seed(&channel(), &account("work"), &ids, &Actor::seed()).await.map(drop)
}

async fn count(store: &PairingStore) -> u32 {
    let allowed = store.list_allow(&Filter::all(), false).await.unwrap();
    u32::try_from(allowed.len()).unwrap()
}

#[tokio::test]
async fn acknowledged_writes_survive_a_full_disk() {
    let Some(disk) = Disk::from_environment() else {
        return again_on_a_small_disk("full::acknowledged_writes_survive_a_full_disk");
    };
    let path = disk.path("pairing.db");
    let (_, options) = options();
    let store = PairingStore::open_with(&path, options.clone()).await.unwrap();
    let copy = TestReplica::of(&store);
    disk.fill(300_000);
    let mut done = 0;
    let error = loop {
        match seed(&store, done).await {
            Ok(()) => done += 1,
            Err(error) => break store_error(error),
        }
        assert!(done < 10_000, "there is no end to this disk");
    };
    assert!(done > 5 && disk.is_full(&error), "{done}: {error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()) && error.hint().is_some());

    for _ in 0..3 {
        seed(&store, done).await.unwrap_err();
        assert_eq!(count(&store).await, done);
        assert_eq!(copy.lines().len(), done as usize, "the replicas know of nothing more");
    }
    disk.make_room();
    for _ in 0..3 {
        seed(&store, done).await.unwrap();
        done += 1;
    }
    assert_eq!((count(&store).await, copy.lines().len()), (done, done as usize));
    drop(store);
    assert_eq!(Inspection::of(&path).await.unwrap().problems, Vec::<String>::new());
    let store = PairingStore::open_with(&path, options).await.unwrap();
    assert_eq!(count(&store).await, done);
}

#[tokio::test]
async fn an_upgrade_waits_for_room() {
    let Some(disk) = Disk::from_environment() else {
        return again_on_a_small_disk("full::an_upgrade_waits_for_room");
    };
    let path = disk.path("pairing.db");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pairing-0.1.8.db"), &path)
        .unwrap();
    let (_, options) = options();
    for left in [0, 4096, 8192, 16_384, 32_768] {
        disk.fill(left);
        let opened = PairingStore::open_with(&path, options.clone()).await.map(drop);
        disk.make_room();
        if let Err(error) = opened {
            let error = store_error(error);
            assert!(disk.is_full(&error), "{left}: {error:?}");
            let inspection = Inspection::of(&path).await.unwrap();
            assert_eq!((inspection.schema_version, inspection.problems), (0, vec![]), "{left}");
            let copy = PairingStore::snapshot(&path, options.clone()).await.unwrap();
            assert_eq!(count(&copy).await, 6, "{left}");
        }
    }
    let store = PairingStore::open_with(&path, options).await.unwrap();
    assert_eq!(count(&store).await, 6);
}

#[tokio::test]
async fn a_new_file_waits_for_room() {
    let Some(disk) = Disk::from_environment() else {
        return again_on_a_small_disk("full::a_new_file_waits_for_room");
    };
    let path = disk.path("pairing.db");
    for left in [0, 4096, 20_000] {
        disk.fill(left);
        let error = PairingStore::open(&path).await.map(drop).unwrap_err();
        let error = store_error(error);
        assert!(disk.is_full(&error), "{left}: {error:?}");
        disk.make_room();
    }
    let store = PairingStore::open(&path).await.unwrap();
    store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
}

#[tokio::test]
async fn a_backup_that_does_not_fit_leaves_nothing() {
    let Some(disk) = Disk::from_environment() else {
        return again_on_a_small_disk("full::a_backup_that_does_not_fit_leaves_nothing");
    };
    let folder = tempfile::tempdir().unwrap();
    let (_, options) = options();
    let store = PairingStore::open_with(folder.path().join("pairing.db"), options).await.unwrap();
    seed(&store, 1).await.unwrap();
    disk.fill(30_000);
    let before = disk.names();
    let destination = disk.path("backup.db");
    let error = store_error(store.backup(&destination).await.unwrap_err());
    disk.make_room();
    assert!(disk.is_full(&error), "{error:?}");
    assert!(error.to_string().contains(destination.to_str().unwrap()), "{error}");
    let left = disk.names();
    assert!(left.iter().all(|name| before.contains(name)), "{left:?}");
    store.backup(&destination).await.unwrap();
}

#[tokio::test]
async fn a_probe_finds_a_full_disk() {
    let Some(disk) = Disk::from_environment() else {
        return again_on_a_small_disk("full::a_probe_finds_a_full_disk");
    };
    let (_, options) = options();
    let store = PairingStore::open_with(disk.path("pairing.db"), options).await.unwrap();
    seed(&store, 0).await.unwrap();
    store.probe().await.unwrap();
    disk.fill(0);
    // An existing WAL has room for a while.
    let mut done = 1;
    while seed(&store, done).await.is_ok() {
        done += 1;
    }
    let error = store_error(store.probe().await.unwrap_err());
    assert!(disk.is_full(&error), "{error:?}");
    disk.make_room();
    store.probe().await.unwrap();
    assert_eq!(count(&store).await, done);
}
