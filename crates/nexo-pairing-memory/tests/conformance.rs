//! The suite of all storages.

use nexo_pairing_conformance::{Capabilities, Environment, Opened, conformance_tests};
use nexo_pairing_memory::MemoryStorage;

async fn open(environment: Environment) -> Opened<MemoryStorage> {
    Opened::new(MemoryStorage::new(environment.clock))
}

conformance_tests!(open, Capabilities::default());
