//! Grants and blocks: given, limited, ended, lifted, on one account or on all.

use std::time::Duration;

use nexo_pairing_core::{
    AccountScope, Actor, ChannelId, Filter, Grant, NewRequest, PairingError, SeedReport, SenderId,
    Target, UpsertOutcome,
};

use crate::prelude::*;
use crate::world::{
    START, World, account, actor, channel, everywhere, hours, key, key_on, minutes, moment, sender,
};

const SECOND: Duration = Duration::from_secs(1);

pub async fn a_temporary_grant_expires<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    let grant = Grant::unlimited().with_expires_in(hours(2)).with_note("the plumber");
    let approved = world.store.approve(&code, &Actor::cli(), grant).await.unwrap();
    assert_eq!(approved.expires_at, Some(moment(START + 7200)));
    world.pass(hours(2) - SECOND);
    assert!(world.is_allowed("+1").await);
    let listed = world.store.list_allow(&Filter::all(), false).await.unwrap().remove(0);
    assert_eq!(listed.note.as_deref(), Some("the plumber"));
    assert_eq!((listed.expires_at, listed.revoked_at), (approved.expires_at, None));

    world.pass(SECOND);
    assert!(!world.is_allowed("+1").await);
    assert!(world.allowed().await.is_empty());
    for _ in ["before the purge", "and after"] {
        let ended = world.store.list_allow(&Filter::all(), true).await.unwrap().remove(0);
        assert_eq!(ended.revoked_at, approved.expires_at);
        world.store.purge_expired().await.unwrap();
    }
    world.code("+1").await;
}

pub async fn a_new_approval_replaces_the_old_grant<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    let brief = Grant::unlimited().with_expires_in(minutes(1)).with_note("brief");
    world.store.approve(&code, &actor("api:bo"), brief).await.unwrap();
    world.pass(minutes(1));
    let code = world.code("+1").await;
    world.approve(&code).await.unwrap();
    let grants = world.store.list_allow(&Filter::all(), true).await.unwrap();
    assert_eq!(grants.len(), 1);
    assert_eq!((grants[0].note.as_deref(), grants[0].expires_at), (None, None));
    assert_eq!((grants[0].approved_via.as_str(), grants[0].revoked_at), ("cli", None));

    world.store.revoke(&key("+1").into(), &Actor::cli()).await.unwrap();
    let code = world.code("+1").await;
    let longest = Grant::unlimited().with_expires_in(Grant::MAX_EXPIRES_IN);
    world.store.approve(&code, &Actor::cli(), longest).await.unwrap();
    let grant = world.store.list_allow(&Filter::all(), false).await.unwrap().remove(0);
    assert_eq!(grant.expires_at, Some(moment(START + 60) + Grant::MAX_EXPIRES_IN));
}

pub async fn revoking_is_for_one_account_or_for_all<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for name in ["work", "shop", "personal"] {
        seed(&world, name, &["+1", "+2"]).await;
    }
    let elsewhere = ChannelId::parse("telegram").unwrap();
    let ids = [sender("+1")];
    world.store.seed(&elsewhere, &account("work"), &ids, &Actor::seed()).await.unwrap();

    let one = world.store.revoke(&key_on("work", "+1").into(), &Actor::cli()).await.unwrap();
    assert_eq!(one, [key_on("work", "+1")]);
    let again = world.store.revoke(&key_on("work", "+1").into(), &Actor::cli()).await.unwrap();
    assert!(again.is_empty());
    let all = world.store.revoke(&everywhere("+1"), &Actor::cli()).await.unwrap();
    assert_eq!(all, [key_on("personal", "+1"), key_on("shop", "+1")]);
    assert_eq!(world.allowed().await, ["+1", "+2", "+2", "+2"], "the other channel is untouched");

    let ended =
        world.store.list_allow(&Filter::all().with_sender(sender("+1")), true).await.unwrap();
    let ended: Vec<_> = ended.iter().map(|grant| grant.revoked_at.is_some()).collect();
    assert_eq!(ended, [false, true, true, true], "telegram first");
}

pub async fn an_expired_grant_cannot_be_revoked<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for id in ["+1", "+2"] {
        let code = world.code(id).await;
        let grant = Grant::unlimited().with_expires_in(minutes(1));
        world.store.approve(&code, &Actor::cli(), grant).await.unwrap();
    }
    world.pass(minutes(2));
    let revoked = world.store.revoke(&key("+1").into(), &Actor::cli()).await.unwrap();
    assert!(revoked.is_empty(), "{revoked:?}");
    let blocking = world.store.block(&key("+2").into(), &Actor::cli(), None).await.unwrap();
    assert!(blocking.revoked.is_empty(), "{blocking:?}");
    for grant in world.store.list_allow(&Filter::all(), true).await.unwrap() {
        assert_eq!(grant.revoked_at, Some(moment(START + 60)), "it ended at its expiry");
    }
}

pub async fn a_block_ends_grants_and_requests<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    seed(&world, "personal", &["+1"]).await;
    seed(&world, "work", &["+1"]).await;
    let request = NewRequest::new(key_on("shop", "+1"));
    world.store.upsert_pending(request).await.unwrap();

    let one = world.store.block(&key("+1").into(), &Actor::cli(), Some("spam")).await.unwrap();
    assert_eq!((one.revoked, one.dropped), (vec![key("+1")], vec![]));
    assert!(!world.is_allowed("+1").await);
    assert!(world.store.is_allowed(&key_on("work", "+1")).await.unwrap());

    let all = world.store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    assert_eq!(all.revoked, [key_on("work", "+1")]);
    assert_eq!(all.dropped, [key_on("shop", "+1")]);
    assert!(world.pending().await.is_empty() && world.allowed().await.is_empty());
    // Future accounts as well, but not other channels.
    for (name, outcome) in [("future", UpsertOutcome::Blocked), ("work", UpsertOutcome::Blocked)] {
        let request = NewRequest::new(key_on(name, "+1"));
        assert_eq!(world.store.upsert_pending(request).await.unwrap(), outcome);
    }
    let mut request = NewRequest::new(key("+1"));
    request.key.channel = ChannelId::parse("telegram").unwrap();
    let outcome = world.store.upsert_pending(request).await.unwrap();
    assert!(matches!(outcome, UpsertOutcome::Created { .. }));
}

pub async fn blocks_are_listed_and_keep_their_first_date<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.store.block(&key("+2").into(), &actor("api:bo"), None).await.unwrap();
    world.pass(minutes(1));
    world.store.block(&key("+2").into(), &Actor::cli(), Some("spam")).await.unwrap();
    world.store.block(&key("+2").into(), &Actor::cli(), None).await.unwrap();
    world.store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    let blocked = world.store.list_blocked(&Filter::all()).await.unwrap();
    assert_eq!(blocked.len(), 2);
    assert_eq!(blocked[0].account_id, AccountScope::All);
    assert_eq!((&blocked[1].sender_id, blocked[1].blocked_at), (&sender("+2"), moment(START)));
    assert_eq!(
        (blocked[1].blocked_via.as_str(), blocked[1].reason.as_deref()),
        ("api:bo", Some("spam"))
    );

    let of = async |filter| world.store.list_blocked(&filter).await.unwrap().len();
    assert_eq!(
        of(Filter::all().with_account(account("personal"))).await,
        2,
        "and those on all accounts"
    );
    assert_eq!(of(Filter::all().with_account(account("work"))).await, 1);
    assert_eq!(of(Filter::all().with_sender(sender("+2"))).await, 1);
    assert_eq!(of(Filter::all().with_channel(ChannelId::parse("telegram").unwrap())).await, 0);
}

pub async fn lifting_a_block_restores_nothing<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.seed("+1").await;
    world.code("+2").await;
    for id in ["+1", "+2"] {
        let target = Target::from(key(id));
        world.store.block(&target, &Actor::cli(), None).await.unwrap();
        assert!(
            !world.store.unblock(&everywhere(id), &Actor::cli()).await.unwrap(),
            "no such block"
        );
        assert!(world.store.unblock(&target, &Actor::cli()).await.unwrap());
        assert!(!world.store.unblock(&target, &Actor::cli()).await.unwrap());
    }
    assert!(world.allowed().await.is_empty() && world.pending().await.is_empty());
    // Both are strangers now, without a wait.
    world.code("+1").await;
    world.code("+2").await;
}

pub async fn a_block_for_one_account_and_one_for_all_are_two<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.store.block(&key("+1").into(), &Actor::cli(), None).await.unwrap();
    world.store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    assert!(world.store.unblock(&everywhere("+1"), &Actor::cli()).await.unwrap());
    assert_eq!(world.message("+1").await, UpsertOutcome::Blocked);
    assert!(world.store.unblock(&key("+1").into(), &Actor::cli()).await.unwrap());
    world.code("+1").await;
}

pub async fn a_seed_reports_its_changes<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    assert_eq!(seed(&world, "personal", &["+1", "+2", "+1"]).await, SeedReport::new(2, 0, 1));
    world.store.revoke(&key("+1").into(), &Actor::cli()).await.unwrap();
    let code = world.code("+3").await;
    let brief = Grant::unlimited().with_expires_in(minutes(1)).with_note("brief");
    world.store.approve(&code, &Actor::cli(), brief).await.unwrap();
    world.pass(minutes(2));
    assert_eq!(seed(&world, "personal", &["+1", "+2", "+3", "+4"]).await, SeedReport::new(1, 2, 1));
    assert_eq!(world.allowed().await, ["+1", "+2", "+3", "+4"]);
    let grants = world.store.list_allow(&Filter::all(), true).await.unwrap();
    let since: Vec<_> = grants.iter().map(|grant| grant.approved_at.unix_timestamp()).collect();
    assert_eq!(since, [START + 120, START, START + 120, START + 120]);
    assert!(grants.iter().all(|grant| grant.expires_at.is_none() && grant.revoked_at.is_none()));
    assert_eq!(seed(&world, "work", &[]).await, SeedReport::new(0, 0, 0));
}

pub async fn a_seed_makes_a_temporary_grant_permanent<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    let brief = Grant::unlimited().with_expires_in(minutes(1));
    world.store.approve(&code, &Actor::cli(), brief).await.unwrap();
    assert_eq!(seed(&world, "personal", &["+1"]).await, SeedReport::new(0, 1, 0));
    world.pass(hours(1));
    assert!(world.is_allowed("+1").await);
}

pub async fn a_seed_settles_a_request<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    world.code("+2").await;
    seed(&world, "work", &["+1"]).await;
    assert_eq!(world.pending().await, ["+1", "+2"], "a seed of another account has no effect here");
    seed(&world, "personal", &["+1"]).await;
    assert_eq!(world.pending().await, ["+2"]);
    assert_eq!(world.approve(&code).await.unwrap_err().kind(), "already_approved");
}

pub async fn a_seed_with_a_blocked_sender_grants_nothing<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.code("+1").await;
    world.store.block(&everywhere("+2"), &Actor::cli(), None).await.unwrap();
    let ids = ["+1", "+2", "+3"].map(sender);
    let refused = world.store.seed(&channel(), &account("personal"), &ids, &Actor::seed()).await;
    assert!(matches!(refused, Err(PairingError::Blocked { key: whose }) if whose == key("+2")));
    assert!(world.allowed().await.is_empty());
    assert_eq!(world.pending().await, ["+1"]);
    assert_eq!(world.audit().await, ["gate request +1", "cli block +2"]);
}

pub async fn an_id_is_only_itself<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let ids = ["a", "A", "ä", "a ", "%", "_", "*", "'; DROP TABLE pairing_allow_from; --", "é"];
    for id in ids {
        world.seed(id).await;
        world.store.revoke(&everywhere(id), &Actor::cli()).await.unwrap();
        assert!(!world.is_allowed(id).await);
    }
    world.seed("a").await;
    for id in &ids[1..] {
        assert!(!world.is_allowed(id).await, "{id}");
    }
    // A sender whose id equals the sign for all accounts is one sender.
    world.store.block(&everywhere("*"), &Actor::cli(), None).await.unwrap();
    assert!(world.is_allowed("a").await);
    // A stored id that no current adapter produces still matches itself.
    let old = SenderId::from_stored("old\nid".into());
    world
        .store
        .seed(&channel(), &account("work"), std::slice::from_ref(&old), &Actor::seed())
        .await
        .unwrap();
    let target = Target::new(channel(), AccountScope::All, old);
    assert_eq!(world.store.revoke(&target, &Actor::cli()).await.unwrap().len(), 1);
}

pub async fn grants_are_listed_by_filter_in_order<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    seed(&world, "work", &["+2", "+1"]).await;
    seed(&world, "personal", &["+3"]).await;
    assert_eq!(world.allowed().await, ["+3", "+1", "+2"]);
    let work =
        world.store.list_allow(&Filter::all().with_account(account("work")), false).await.unwrap();
    assert_eq!(work.len(), 2);
    let one = Filter::all()
        .with_channel(channel())
        .with_account(account("work"))
        .with_sender(sender("+2"));
    assert_eq!(world.store.list_allow(&one, false).await.unwrap().len(), 1);
}

async fn seed<S: Storage>(world: &World<S>, name: &str, ids: &[&str]) -> SeedReport {
    let ids: Vec<_> = ids.iter().map(|id| sender(id)).collect();
    world.store.seed(&channel(), &account(name), &ids, &Actor::seed()).await.unwrap()
}
