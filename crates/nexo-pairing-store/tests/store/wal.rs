//! The disk space that the write-ahead log keeps.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nexo_pairing_core::Actor;

use crate::support::{World, account, channel, everywhere, sender};

const KEPT: u64 = 4 << 20;

#[tokio::test]
async fn the_wal_keeps_its_blocks_and_allocates_no_more() {
    let world = World::new().await;
    let wal = world.path.with_extension("db-wal");
    let room = || {
        let metadata = fs::metadata(&wal).unwrap();
        (metadata.len(), metadata.blocks() * 512)
    };
    let is_kept = |what: &str| {
        let (length, allocated) = room();
        assert_eq!(length, KEPT, "{what}");
        assert!(allocated >= KEPT, "{what}: {allocated}");
    };
    is_kept("opened");
    for number in 0..700 {
        world.store.block(&everywhere(&format!("+{number}")), &Actor::cli(), None).await.unwrap();
    }
    is_kept("many small writes");
    world.store.forget(&everywhere("+1"), &Actor::cli()).await.unwrap();
    is_kept("forgetting");
    // A large write needs more, and later ones release it.
    let ids: Vec<_> = (0..50_000).map(|number| sender(&format!("{number:040}"))).collect();
    world.store.seed(&channel(), &account("work"), &ids, &Actor::seed()).await.unwrap();
    assert!(room().0 > KEPT);
    for number in 700..710 {
        world.store.block(&everywhere(&format!("+{number}")), &Actor::cli(), None).await.unwrap();
    }
    is_kept("a large write");
    let other = world.another().await;
    drop(other);
    is_kept("another one has come and gone");
}
