//! Remembered channels whose adapter is in another process.

use nexo_pairing_core::{AdaptersError, ChannelId, ConfiguredAdapters, RememberedAdapters};

use crate::prelude::*;
use crate::world::{World, actor};

fn channel(name: &str) -> ChannelId {
    ChannelId::parse(name).unwrap()
}

async fn stored<S: Storage>(world: &World<S>) -> Vec<String> {
    let stored = world.store.remembered_adapters().await.unwrap();
    stored.channels().keys().map(ToString::to_string).collect()
}

pub async fn at_most_a_thousand_adapters_are_remembered<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let max = RememberedAdapters::MAX_CHANNELS;
    let names: Vec<String> = (0..=max).map(|number| format!("c{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let words = |names: &[&str]| {
        let names = names.iter().map(|name| channel(name)).collect();
        ConfiguredAdapters::Channels(names, "pairing.yaml".to_owned())
    };
    let resolve = |before: &RememberedAdapters, names| before.resolve(&words(names), |_| false);
    let nothing = RememberedAdapters::default();
    assert_eq!(resolve(&nothing, &names), Err(AdaptersError::TooMany(max + 1)));
    let all = resolve(&nothing, &names[..max]).unwrap();
    world.store.remember_adapters(&nothing, &all).await.unwrap().unwrap();
    // The same holds for two processes that both found room.
    let one = resolve(&nothing, &names[max..]).unwrap();
    let error = world.store.remember_adapters(&nothing, &one).await.unwrap().unwrap_err();
    assert_eq!(error, AdaptersError::TooMany(max + 1));
    assert_eq!(resolve(&all, &names[max..]), Err(AdaptersError::TooMany(max + 1)));
    assert_eq!(stored(&world).await.len(), max);
    world.store.forget_adapter(&channel("c7"), &actor("cli")).await.unwrap();
    world.store.remember_adapters(&nothing, &one).await.unwrap().unwrap();
    assert_eq!(stored(&world).await.len(), max);
}
