//! The audit log and its retention.

use nexo_pairing_core::{AccountScope, Actor, Filter, Grant, SenderId};

use crate::prelude::*;
use crate::world::{
    START, World, account, actor, channel, everywhere, hours, key, minutes, moment, sender, unknown,
};

const DAY: u64 = 24;

pub async fn every_change_is_audited_in_order<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let bo = actor("api:bo");
    let code = world.code("+1").await;
    let grant = Grant::unlimited().with_expires_in(hours(1)).with_note("not in the log");
    world.store.approve(&code, &bo, grant).await.unwrap();
    let code = world.code("+2").await;
    world.store.reject(&code, &bo).await.unwrap();
    world.code("+3").await;
    world.store.revoke(&everywhere("+1"), &bo).await.unwrap();
    world.store.block(&everywhere("+1"), &bo, Some("spam")).await.unwrap();
    world.store.unblock(&everywhere("+1"), &bo).await.unwrap();
    let ids = [sender("+4"), sender("+5")];
    world.store.seed(&channel(), &account("work"), &ids, &Actor::seed()).await.unwrap();
    world.pass(hours(1));
    world.store.purge_expired().await.unwrap();

    let log = world.store.audit(&Filter::all(), 100).await.unwrap();
    let lines: Vec<String> = log
        .iter()
        .map(|event| {
            let account = event.account_id.as_ref().map_or("-", AccountScope::as_str);
            let sender = event.sender_id.as_ref().map_or("-", SenderId::as_str);
            let (actor, action, detail) = (&event.actor, &event.action, &event.detail);
            assert_eq!(event.channel, Some(channel()));
            format!("{actor} {action} {account} {sender} {detail}")
        })
        .collect();
    assert_eq!(
        lines,
        [
            "gate request personal +1 null",
            r#"api:bo approve personal +1 {"expires_at":"2027-01-15T09:00:00Z"}"#,
            "gate request personal +2 null",
            "api:bo reject personal +2 null",
            "gate request personal +3 null",
            "api:bo revoke personal +1 null",
            r#"api:bo block * +1 {"reason":"spam"}"#,
            "api:bo unblock * +1 null",
            r#"seed seed work - {"inserted":2,"reactivated":0,"unchanged":0}"#,
            "gate expire personal +3 null",
        ]
    );
    let times: Vec<_> = log.iter().map(|event| event.at).collect();
    assert_eq!((times[0], times[9]), (moment(START), moment(START + 3600)));
    assert!(log.windows(2).all(|pair| pair[0].seq < pair[1].seq));
}

pub async fn refused_and_ineffective_operations_are_not_audited<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.approve(&unknown(0)).await.unwrap_err();
    world.store.revoke(&everywhere("+1"), &Actor::cli()).await.unwrap();
    world.store.unblock(&everywhere("+1"), &Actor::cli()).await.unwrap();
    world.store.purge_expired().await.unwrap();
    assert!(world.audit().await.is_empty());
}

pub async fn no_code_is_ever_in_the_log<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let codes = [world.code("+1").await, world.code("+2").await, world.code("+3").await];
    world.approve(&codes[0]).await.unwrap();
    world.store.reject(&codes[1], &Actor::cli()).await.unwrap();
    world.pass(hours(1));
    world.store.purge_expired().await.unwrap();
    let log =
        serde_json::to_string(&world.store.audit(&Filter::all(), 100).await.unwrap()).unwrap();
    for code in codes {
        assert!(!log.contains(&code), "{log}");
    }
}

pub async fn the_newest_entries_are_shown_oldest_of_them_first<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for number in 1..=5 {
        world.store.block(&everywhere(&format!("+{number}")), &Actor::cli(), None).await.unwrap();
    }
    let shown = async |filter: Filter, limit| {
        let events = world.store.audit(&filter, limit).await.unwrap();
        events
            .into_iter()
            .filter_map(|event| Some(event.sender_id?.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(Filter::all(), 2).await, ["+4", "+5"]);
    assert!(shown(Filter::all(), 0).await.is_empty());
    assert_eq!(shown(Filter::all(), u32::MAX).await.len(), 5);
    assert_eq!(shown(Filter::all().with_sender(sender("+3")), 2).await, ["+3"]);
    assert!(shown(Filter::all().with_channel("telegram".parse().unwrap()), 2).await.is_empty());
}

pub async fn a_temporarily_wrong_clock_neither_deletes_entries_nor_keeps_them_for_ever<
    S: Storage,
>(
    suite: &Suite<S>,
) {
    let world = World::new(suite).await;
    let day = i64::try_from(DAY * 3600).unwrap();
    world.clock.set(moment(START + 4000 * day));
    world.store.block(&everywhere("future"), &Actor::cli(), None).await.unwrap();
    world.clock.set(moment(START));
    world.store.block(&everywhere("now"), &Actor::cli(), None).await.unwrap();
    world.clock.set(moment(START - 400 * day));
    world.store.block(&everywhere("past"), &Actor::cli(), None).await.unwrap();
    world.clock.set(moment(START + 1));
    world.store.purge_expired().await.unwrap();
    assert_eq!(world.audit().await, ["cli block future", "cli block now", "cli block past"]);
    world.clock.set(moment(START + 365 * day));
    world.store.block(&everywhere("later"), &Actor::cli(), None).await.unwrap();
    world.store.purge_expired().await.unwrap();
    assert_eq!(world.audit().await, ["cli block future", "cli block later"]);
}

pub async fn a_purge_keeps_running_waits<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    world.store.reject(&code, &Actor::cli()).await.unwrap();
    for _ in 0..23 {
        world.pass(hours(1));
        world.store.purge_expired().await.unwrap();
    }
    world.pass(minutes(59));
    assert_eq!(world.message("+1").await, nexo_pairing_core::UpsertOutcome::Waiting);
    assert_eq!(world.store.list_allow(&Filter::all(), true).await.unwrap(), []);
    assert!(!world.store.is_allowed(&key("+1")).await.unwrap());
}
