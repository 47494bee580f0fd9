//! Replicas: a change is visible when its operation returns.

use std::sync::Arc;

use nexo_pairing_core::{Actor, Grant, Validity};

use crate::prelude::*;
use crate::testing::TestReplica;
use crate::world::{START, World, everywhere, hours, key, moment, scenario};

pub async fn a_replica_starts_with_a_full_load<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.seed("+1").await;
    let code = world.code("+2").await;
    world.store.reject(&code, &Actor::cli()).await.unwrap();
    world.store.block(&everywhere("+3"), &Actor::cli(), None).await.unwrap();
    world.store.block(&key("+4").into(), &Actor::cli(), None).await.unwrap();
    let code = world.code("+5").await;
    let grant = Grant::unlimited().with_expires_in(hours(1));
    world.store.approve(&code, &Actor::cli(), grant).await.unwrap();
    world.code("+6").await;
    world.seed("+7").await;
    world.store.revoke(&everywhere("+7"), &Actor::cli()).await.unwrap();

    let copy = TestReplica::of(&world.store);
    assert_eq!(
        copy.lines(),
        [
            "whatsapp/*/+3 blocked",
            "whatsapp/personal/+1 allowed",
            "whatsapp/personal/+2 waiting",
            "whatsapp/personal/+4 blocked",
            "whatsapp/personal/+5 allowed-for-a-time",
            "whatsapp/personal/+6 pending",
        ]
    );
    let state = copy.state();
    let of = |id: &str| state.of(&format!("whatsapp/personal/{id}")).unwrap();
    let hour = Validity::Between(moment(START), moment(START + 3600));
    assert_eq!(of("+5").allowed, Some(hour));
    assert_eq!(of("+6").pending, Some((hour, moment(START))));
    assert_eq!(of("+2").waiting, Some(Validity::Between(moment(START), moment(START + 86_400))));
}

pub async fn dropped_replicas_are_released<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let (first, second) = (TestReplica::of(&world.store), TestReplica::of(&world.store));
    let weak = Arc::downgrade(&first);
    drop(first);
    world.seed("+1").await;
    assert!(weak.upgrade().is_none(), "the store holds no reference");
    assert_eq!(second.lines(), ["whatsapp/personal/+1 allowed"]);
    world.store.subscribe(weak);
    world.seed("+2").await;
    assert_eq!(second.lines().len(), 2);
}

pub async fn a_slow_load_delays_no_other_subscription<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.seed("+1").await;
    let (slow, second) = (Arc::new(TestReplica::default()), Arc::new(TestReplica::default()));
    let held = slow.hold();
    world.store.subscribe(slow.weak());
    slow.wait_until("it is being loaded", |state| state.begun > 0);
    // This would wait for ever if it waited for the load.
    world.store.subscribe(second.weak());
    drop(held);
    for copy in [slow, second] {
        copy.wait_until("it is loaded", |state| state.lines().len() == 1);
    }
}

pub async fn a_change_through_this_handle_is_visible_on_return<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    scenario::a_change_through_this_handle_is_visible_on_return(&world).await;
}

pub async fn a_failing_replica_affects_no_other<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let broken = Arc::new(TestReplica::default());
    broken.break_loads(true);
    world.store.subscribe(broken.weak());
    broken.wait_until("its load has failed", |state| state.invalidations > 0);
    let sound = Arc::new(TestReplica::default());
    world.store.subscribe(sound.weak());
    sound.wait_until("it is loaded", |state| state.position.is_some());

    world.seed("+1").await;
    assert_eq!(sound.lines(), ["whatsapp/personal/+1 allowed"]);
    assert!(world.store.refresh().await.is_err(), "one of them cannot be updated");
    assert_eq!(broken.state().position, None);

    broken.break_loads(false);
    world.store.refresh().await.unwrap();
    assert_eq!(broken.lines(), sound.lines());
}

pub async fn a_refresh_loads_a_new_replica<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.seed("+1").await;
    for _ in 0..50 {
        let copy = Arc::new(TestReplica::default());
        world.store.subscribe(copy.weak());
        world.store.refresh().await.unwrap();
        assert_eq!(copy.lines(), ["whatsapp/personal/+1 allowed"]);
    }
}
