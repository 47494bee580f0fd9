//! Remembered channels whose adapter is in another process.

use nexo_pairing_core::{ChannelId, RememberedAdapters};

use crate::support::{World, actor};

fn channel(name: &str) -> ChannelId {
    ChannelId::parse(name).unwrap()
}

fn remote(names: &[&str]) -> RememberedAdapters {
    let said = |name: &&str| (channel(name), "pairing.yaml".to_owned());
    RememberedAdapters::from_stored(names.iter().map(said).collect())
}

async fn stored(world: &World) -> Vec<String> {
    let stored = world.store.remembered_adapters().await.unwrap();
    stored.channels().keys().map(ToString::to_string).collect()
}

#[tokio::test]
async fn an_adapter_outlives_the_process_and_is_written_once() {
    let mut world = World::new().await;
    let put = async |world: &World, before: &[&str], after: &[&str]| {
        world.store.remember_adapters(&remote(before), &remote(after)).await.unwrap().unwrap();
    };
    put(&world, &[], &["signal", "pigeon"]).await;
    assert_eq!(world.audit().await, ["config adapter", "config adapter"]);
    world.reopen().await;
    assert_eq!(stored(&world).await, ["pigeon", "signal"]);
    // A process that opened the database earlier finds the row and removes nothing of others.
    put(&world, &[], &["signal"]).await;
    put(&world, &["pigeon"], &["pigeon", "irc"]).await;
    assert_eq!(stored(&world).await, ["irc", "pigeon", "signal"]);
    assert_eq!(world.audit().await.len(), 3);
    put(&world, &["irc", "pigeon"], &["pigeon"]).await;
    put(&world, &["irc", "pigeon"], &["pigeon"]).await;
    assert_eq!(stored(&world).await, ["pigeon", "signal"]);
    assert_eq!(world.audit().await.len(), 4, "it was gone the second time");

    assert!(world.store.forget_adapter(&channel("signal"), &actor("cli")).await.unwrap());
    assert!(!world.store.forget_adapter(&channel("signal"), &actor("cli")).await.unwrap());
    assert_eq!(stored(&world).await, ["pigeon"]);
    assert_eq!(world.audit().await[4..], ["cli forget_adapter"]);
}

#[tokio::test]
async fn unchanged_adapters_wait_for_no_writer() {
    let world = World::new().await;
    let both = remote(&["signal", "pigeon"]);
    let lock = world.shell();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    world.store.remember_adapters(&both, &both).await.unwrap().unwrap();
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(stored(&world).await, [""; 0]);
}
