//! The suite of all storages, on a file and in memory.

use std::path::PathBuf;

use nexo_pairing_conformance::{Capabilities, Environment, Opened, conformance_tests};

use crate::storage::SqliteStorage;
use crate::{StoreOptions, inspect};

fn options(environment: Environment) -> StoreOptions {
    let Environment { clock, random, .. } = environment;
    StoreOptions { clock, random, ..StoreOptions::default() }
}

async fn open(environment: Environment) -> Opened<SqliteStorage> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    let storage = SqliteStorage::open(&path, options(environment)).await.unwrap();
    Opened::with(storage, folder)
}

conformance_tests!(open, Capabilities::default());

mod memory {
    use super::*;

    async fn open(environment: Environment) -> Opened<SqliteStorage> {
        let path = PathBuf::from(":memory:");
        let storage = SqliteStorage::detached(path, options(environment), inspect::empty);
        Opened::new(storage.await.unwrap())
    }

    conformance_tests!(open, Capabilities::default());
}
