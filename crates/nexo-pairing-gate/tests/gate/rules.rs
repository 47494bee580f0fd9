//! Each rule of the gate, in its order.

use crate::support::{World, assert_dropped, channel, direct, key};
use nexo_pairing_core::{
    AccountId, AccountScope, Actor, ChannelId, Decision, DecisionKind, DropReason, Grant, Inbound,
    Mode, NewRequest, PairingChannelAdapter, Rule, SenderId, SenderKey, UpsertOutcome,
};
use nexo_pairing_gate::Delivery;
use time::Duration;

#[tokio::test]
async fn rule_2_an_account_that_is_not_configured_is_unknown_in_every_mode() {
    for mode in [Mode::Open, Mode::Allowlist, Mode::Pairing] {
        let world = World::with_accounts(mode, Some(&["main"])).await;
        world.seed("other", "id:1").await;
        let screened = world.screen(Inbound::direct("test", "other", "id:1")).await;
        assert_dropped(&screened, Rule::UnknownAccount, DropReason::UnknownAccount);
        let screened = world.screen(Inbound::direct("else", "main", "id:1")).await;
        assert_dropped(&screened, Rule::UnknownAccount, DropReason::UnknownAccount);
        assert_ne!(world.write("id:1").await.rule, Rule::UnknownAccount);
    }
}

#[tokio::test]
async fn rule_4_an_unpairable_id_is_dropped_except_in_mode_open() {
    for mode in [Mode::Allowlist, Mode::Pairing] {
        let world = World::new(mode).await;
        for nobody in
            ["status", "", "id:\n", "down", &"x".repeat(2000), &format!("id:{}", "9".repeat(300))]
        {
            let screened = world.write(nobody).await;
            assert_dropped(&screened, Rule::NotPairable, DropReason::NotPairable);
            assert_eq!(screened.sender, None);
        }
    }
    let world = World::new(Mode::Open).await;
    let screened = world.write("status").await;
    assert_eq!((screened.decision, screened.rule), (Decision::Admit, Rule::NotPairable));
}

#[tokio::test]
async fn rule_2_accounts_can_be_replaced_and_apply_to_notices() {
    let world = World::with_accounts(Mode::Open, Some(&["main"])).await;
    assert_eq!(world.gate.screen_lifecycle_event("test", "main").unwrap(), Decision::Admit);
    let unknown = Decision::Drop(DropReason::UnknownAccount);
    assert_eq!(world.gate.screen_lifecycle_event("test", "other").unwrap(), unknown);
    assert!(world.gate.screen_lifecycle_event("test", "*").is_err());
    world.gate.set_accounts(Some(vec![(channel(), AccountId::parse("other").unwrap())]));
    assert_eq!(world.gate.screen_lifecycle_event("test", "other").unwrap(), Decision::Admit);
    assert_eq!(world.write("id:1").await.rule, Rule::UnknownAccount);
    world.gate.set_accounts(None);
    assert_eq!(world.write("id:1").await.rule, Rule::Open);
}

#[tokio::test]
async fn rule_2_the_order_of_accounts_does_not_matter() {
    let world = World::new(Mode::Open).await;
    let ids = |channel: &str, account: &str| {
        (ChannelId::parse(channel).unwrap(), AccountId::parse(account).unwrap())
    };
    let known = [("b", "y"), ("a", "z"), ("c", "x"), ("a", "a"), ("b", "y")];
    world.gate.set_accounts(Some(known.iter().map(|known| ids(known.0, known.1)).collect()));
    for (channel, account) in known {
        assert_eq!(world.gate.screen_lifecycle_event(channel, account).unwrap(), Decision::Admit);
    }
    for (channel, account) in [("a", "y"), ("b", "z"), ("c", "a"), ("d", "x"), ("a", "0")] {
        let unknown = Decision::Drop(DropReason::UnknownAccount);
        assert_eq!(world.gate.screen_lifecycle_event(channel, account).unwrap(), unknown);
    }
}

#[tokio::test]
async fn rule_3_an_unreadable_id_may_be_blocked() {
    let nine: Vec<String> = (0..9).map(|n| format!("id:{n}")).collect();
    for mode in [Mode::Open, Mode::Pairing] {
        let world = World::new(mode).await;
        world.seed("main", "id:friend").await;
        let friend =
            |alt: &[&str]| direct("id:friend").with_alt(alt.iter().map(|&a| a.into()).collect());
        assert_eq!(world.screen(friend(&["down"])).await.decision, Decision::Admit);
        world.block(AccountScope::All, "id:8").await;
        for unreadable in ["down", "status", "id:\n", &"x".repeat(1025)] {
            let dropped = world.screen(friend(&[unreadable])).await;
            assert_dropped(&dropped, Rule::Blocked, DropReason::Blocked);
            let dropped = world.write(unreadable).await;
            assert_dropped(&dropped, Rule::Blocked, DropReason::Blocked);
            assert_eq!(world.explain(direct(unreadable)).await.rule, Rule::Blocked);
            let gate = &world.gate;
            let admitted = gate.should_admit("test", "main", unreadable, &world.policy, {
                Some(&*world.adapter as &dyn PairingChannelAdapter)
            });
            assert_eq!(admitted.await.unwrap(), Decision::Drop(DropReason::Blocked));
        }
        let dropped = world.screen(direct("id:friend").with_alt(nine.clone())).await;
        assert_dropped(&dropped, Rule::Blocked, DropReason::Blocked);
        let own = world.screen(friend(&["", "own"])).await;
        assert_eq!(
            own.decision,
            Decision::Admit,
            "an empty id and the channel's own belong to no person"
        );
        let elsewhere = Inbound::direct("other", "main", "id:\n");
        assert_ne!(world.screen(elsewhere).await.rule, Rule::Blocked, "another channel");
        let eight = world.screen(direct("id:friend").with_alt(nine[..8].to_vec())).await;
        assert_eq!(eight.decision, Decision::Admit, "eight ids are read, and no id is blocked");
    }
}

#[tokio::test]
async fn rule_3_precedes_mode_open_even_for_unpairable_ids() {
    let world = World::new(Mode::Open).await;
    world.block(AccountScope::All, "id:1").await;
    let screened = world.screen(direct("status").with_alt(vec!["id:1".into()])).await;
    assert_dropped(&screened, Rule::Blocked, DropReason::Blocked);
    assert_eq!(screened.sender, None);
    let screened = world.screen(direct("own").with_alt(vec!["id:1".into()])).await;
    assert_dropped(&screened, Rule::Blocked, DropReason::Blocked);
    let screened = world.screen(direct("own").with_alt(vec!["id:2".into()])).await;
    assert_eq!((screened.decision, screened.rule), (Decision::Admit, Rule::NotPairable));
}

#[tokio::test]
async fn rule_3_the_store_agrees_about_unreadable_ids() {
    let world = World::new(Mode::Pairing).await;
    let request = |channel: &str, id: &str| {
        let (channel, account) = (ChannelId::parse(channel).unwrap(), AccountId::default_account());
        let key = SenderKey::new(channel, account, SenderId::parse(id).unwrap());
        NewRequest::new(key).with_has_unreadable_id(true)
    };
    let outcome = world.store.upsert_pending(request("test", "id:1")).await.unwrap();
    assert!(matches!(outcome, UpsertOutcome::Created { .. }), "{outcome:?}");
    // Since the gate's decision, a sender was blocked on another account.
    world.block(AccountScope::One(AccountId::parse("main").unwrap()), "id:9").await;
    for id in ["id:1", "id:2"] {
        let outcome = world.store.upsert_pending(request("test", id)).await.unwrap();
        assert!(matches!(outcome, UpsertOutcome::Blocked), "{outcome:?}");
    }
    let outcome = world.store.upsert_pending(request("other", "id:1")).await.unwrap();
    assert!(matches!(outcome, UpsertOutcome::Created { .. }), "{outcome:?}");
}

#[tokio::test]
async fn small_clock_corrections_end_nothing() {
    let world = World::new(Mode::Pairing).await;
    let code = world.challenge("id:1").await;
    let now = nexo_pairing_core::Clock::now(&*world.clock);
    world.clock.set(now - Duration::seconds(2));
    assert_eq!(world.write("id:1").await.rule, Rule::AlreadyChallenged);
    let grant = Grant::unlimited().with_expires_in(std::time::Duration::from_secs(60));
    world.store.approve(code.as_str(), &Actor::cli(), grant).await.unwrap();
    world.clock.set(now - Duration::seconds(4));
    assert_eq!(world.write("id:1").await.rule, Rule::Allowed);
}

#[tokio::test]
async fn rule_4_no_adapter_is_asked_about_more_than_1024_bytes() {
    let world = World::new(Mode::Pairing).await;
    let raw = |length| format!("{:.<length$}", "id:1");
    assert_eq!(world.explain(direct(&raw(1024))).await.rule, Rule::Challenge);
    assert_eq!(world.explain(direct(&raw(1025))).await.rule, Rule::NotPairable);
}

#[tokio::test]
async fn rule_4_comes_before_the_lists() {
    let world = World::new(Mode::Pairing).await;
    world.seed("main", "status").await;
    assert_dropped(&world.write("status").await, Rule::NotPairable, DropReason::NotPairable);
}

#[tokio::test]
async fn rule_3_a_blocked_sender_is_dropped_in_every_mode() {
    for mode in [Mode::Open, Mode::Allowlist, Mode::Pairing] {
        let world = World::new(mode).await;
        world.seed("main", "id:1").await;
        world.block(AccountScope::One(AccountId::parse("main").unwrap()), "id:1").await;
        assert_dropped(&world.write("ID:1").await, Rule::Blocked, DropReason::Blocked);
        let elsewhere = world.screen(Inbound::direct("test", "other", "id:1")).await;
        assert_ne!(
            elsewhere.rule,
            Rule::Blocked,
            "a block on one account does not count on another"
        );
    }
}

#[tokio::test]
async fn rule_3_a_block_on_all_accounts_covers_future_ones_and_other_ids() {
    let world = World::new(Mode::Pairing).await;
    world.seed("main", "id:2").await;
    world.block(AccountScope::All, "id:1").await;
    let future = world.screen(Inbound::direct("test", "future", "id:1")).await;
    assert_dropped(&future, Rule::Blocked, DropReason::Blocked);
    // The sender is allowed, but another of their ids is blocked.
    let screened = world.screen(direct("id:2").with_alt(vec!["ID:1".into()])).await;
    assert_dropped(&screened, Rule::Blocked, DropReason::Blocked);
}

#[tokio::test]
async fn rule_5_mode_open_admits_strangers() {
    let world = World::new(Mode::Open).await;
    let screened = world.write("id:1").await;
    assert_eq!((screened.decision, screened.rule), (Decision::Admit, Rule::Open));
    let screened = world.screen(direct("group:1").with_is_group(true)).await;
    assert_eq!((screened.decision, screened.rule), (Decision::Admit, Rule::Open));
    assert!(world.store.list_pending(&Default::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn rule_6_a_grant_admits_on_its_account_and_on_no_other() {
    for mode in [Mode::Allowlist, Mode::Pairing] {
        let world = World::new(mode).await;
        world.seed("main", "id:1").await;
        let screened = world.write("ID:1").await;
        assert_eq!((screened.decision, screened.rule), (Decision::Admit, Rule::Allowed));
        let elsewhere = world.screen(Inbound::direct("test", "work", "id:1")).await;
        assert_ne!(elsewhere.decision, Decision::Admit);
        let stranger = world.screen(Inbound::direct("test2", "main", "id:1")).await;
        assert_ne!(stranger.decision, Decision::Admit, "another channel");
    }
}

#[tokio::test]
async fn rule_6_another_id_of_the_sender_counts_and_so_does_a_group_that_was_seeded() {
    let world = World::new(Mode::Pairing).await;
    world.seed("main", "id:1").await;
    world.seed("main", "group:1").await;
    let screened = world.screen(direct("id:lid").with_alt(vec!["x".into(), "ID:1".into()])).await;
    assert_eq!((screened.decision, screened.rule), (Decision::Admit, Rule::Allowed));
    let screened = world.screen(direct("id:1").with_is_group(true)).await;
    assert_eq!(screened.rule, Rule::Allowed, "allowed senders are admitted in groups");
    assert_eq!(world.write("group:1").await.rule, Rule::Allowed);
}

#[tokio::test]
async fn rule_6_ends_with_the_grant() {
    let world = World::new(Mode::Allowlist).await;
    let mut pairing = World::new(Mode::Pairing).await;
    pairing.policy.mode = Mode::Pairing;
    let code = pairing.challenge("id:1").await;
    let grant = Grant::unlimited().with_expires_in(std::time::Duration::from_secs(60));
    pairing.store.approve(code.as_str(), &Actor::cli(), grant).await.unwrap();
    pairing.pass(Duration::seconds(59));
    assert_eq!(pairing.write("id:1").await.rule, Rule::Allowed);
    pairing.pass(Duration::seconds(1));
    assert_ne!(pairing.write("id:1").await.rule, Rule::Allowed, "it expired, without a write");

    world.seed("main", "id:1").await;
    let revoked = world.store.revoke(&key("main", "id:1").into(), &Actor::cli()).await.unwrap();
    assert_eq!(revoked, [key("main", "id:1")]);
    assert_dropped(&world.write("id:1").await, Rule::NotAllowed, DropReason::NotAllowed);
}

#[tokio::test]
async fn rule_7_mode_allowlist_never_writes_a_code_to_anyone() {
    let world = World::new(Mode::Allowlist).await;
    for inbound in [direct("id:1"), direct("id:1").with_is_group(true), direct("group:1")] {
        let screened = world.screen(inbound).await;
        assert_dropped(&screened, Rule::NotAllowed, DropReason::NotAllowed);
    }
    assert!(world.store.list_pending(&Default::default()).await.unwrap().is_empty());
    assert!(world.adapter.sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn rule_8_groups_are_not_challenged() {
    let world = World::new(Mode::Pairing).await;
    for inbound in [direct("id:1").with_is_group(true), direct("group:1")] {
        let screened = world.screen(inbound).await;
        assert_dropped(&screened, Rule::NotDirect, DropReason::NotDirect);
    }
    assert!(world.store.list_pending(&Default::default()).await.unwrap().is_empty());
    // Not even with a code that was sent before.
    world.challenge("id:1").await;
    world.pass(Duration::hours(1) - Duration::seconds(1));
    let screened = world.screen(direct("id:1").with_is_group(true)).await;
    assert_dropped(&screened, Rule::NotDirect, DropReason::NotDirect);
}

#[tokio::test]
async fn rule_9_a_rejected_sender_waits_for_24_hours() {
    let world = World::new(Mode::Pairing).await;
    world.reject("id:1").await;
    world.pass(Duration::hours(24) - Duration::seconds(1));
    assert_dropped(&world.write("id:1").await, Rule::Waiting, DropReason::Waiting);
    let screened = world.screen(direct("id:other").with_alt(vec!["id:1".into()])).await;
    assert_dropped(&screened, Rule::Waiting, DropReason::Waiting);
    world.pass(Duration::seconds(1));
    assert_eq!(world.write("id:1").await.rule, Rule::Challenge);
}

#[tokio::test]
async fn rule_9_each_expired_code_means_a_longer_wait() {
    let world = World::new(Mode::Pairing).await;
    world.challenge("id:1").await;
    world.pass(Duration::hours(1));
    assert_eq!(world.write("id:1").await.rule, Rule::Challenge, "the first has no consequence");
    for hours in [1, 2, 4] {
        world.pass(Duration::hours(1));
        assert_dropped(&world.write("id:1").await, Rule::Waiting, DropReason::Waiting);
        world.pass(Duration::hours(hours) - Duration::seconds(1));
        assert_dropped(&world.write("id:1").await, Rule::Waiting, DropReason::Waiting);
        world.pass(Duration::seconds(1));
        assert_eq!(world.write("id:1").await.rule, Rule::Challenge, "after {hours} h");
    }
}

#[tokio::test]
async fn rules_10_and_11_the_same_code_again_after_the_cooldown() {
    let world = World::new(Mode::Pairing).await;
    let code = world.challenge("id:1").await;
    let again = world.write("ID:1").await;
    assert_dropped(&again, Rule::AlreadyChallenged, DropReason::AlreadyChallenged);
    world.pass(Duration::seconds(299));
    assert_eq!(world.write("id:1").await.rule, Rule::AlreadyChallenged);
    let with_alt = world.screen(direct("id:lid").with_alt(vec!["id:1".into()])).await;
    assert_eq!(with_alt.rule, Rule::AlreadyChallenged, "by another of their ids");
    world.pass(Duration::seconds(1));
    let again = world.write("id:1").await;
    assert_eq!(again.rule, Rule::ChallengeAgain);
    assert_eq!(again.decision, Decision::Challenge { code });
    assert_eq!(world.write("id:1").await.rule, Rule::AlreadyChallenged);
    let sent = std::mem::take(&mut *world.adapter.sent.lock().unwrap());
    let texts: Vec<_> = sent.iter().map(|(_, _, text)| text.as_str()).collect();
    assert!(texts[0].ends_with("60 min.") && texts[1].ends_with("55 min."), "{texts:?}");
    assert_eq!(texts.len(), 2);
    world.pass(Duration::seconds(301));
    world.write("id:1").await;
    let sent = std::mem::take(&mut *world.adapter.sent.lock().unwrap());
    assert!(sent[0].2.ends_with("50 min."), "rounded up: {sent:?}");
}

#[tokio::test]
async fn rule_12_an_account_has_three_requests_at_most() {
    let world = World::new(Mode::Pairing).await;
    for sender in ["id:1", "id:2", "id:3"] {
        world.challenge(sender).await;
    }
    assert_dropped(&world.write("id:4").await, Rule::PendingFull, DropReason::PendingFull);
    let elsewhere = world.screen(Inbound::direct("test", "work", "id:4")).await;
    assert_eq!(elsewhere.rule, Rule::Challenge, "the cap is the account's own");
    // The third place is free once its code has expired, even without a purge.
    world.pass(Duration::hours(1));
    assert_eq!(world.write("id:4").await.rule, Rule::Challenge);
}

#[tokio::test]
async fn rule_12_the_policy_limits_the_requests_of_an_account() {
    for max in [1, 5] {
        let mut world = World::new(Mode::Pairing).await;
        world.policy.max_pending = max;
        for stranger in 0..max {
            world.challenge(&format!("id:{stranger}")).await;
        }
        assert_dropped(&world.write("id:x").await, Rule::PendingFull, DropReason::PendingFull);
        assert_eq!(world.adapter.sent.lock().unwrap().len(), max as usize);
    }
}

#[tokio::test]
async fn rule_12_all_accounts_together_have_a_cap() {
    let world = World::with_options(Mode::Pairing, |options| options.max_pending_total = 4).await;
    let write = |account: String| {
        let inbound = Inbound::direct("test", account, "id:1");
        async { world.screen(inbound).await }
    };
    for number in 0..4 {
        assert_eq!(write(format!("a{number}")).await.rule, Rule::Challenge);
    }
    assert_dropped(&write("a4".to_owned()).await, Rule::PendingFull, DropReason::PendingFull);
    // Existing requests stay, and a place is free once a code has expired.
    assert_eq!(write("a3".to_owned()).await.rule, Rule::AlreadyChallenged);
    world.pass(Duration::hours(1));
    assert_eq!(write("a4".to_owned()).await.rule, Rule::Challenge);
}

#[tokio::test]
async fn rule_13_a_stranger_gets_a_code_on_their_channel() {
    let mut world = World::new(Mode::Pairing).await;
    world.policy.language = nexo_pairing_core::Language::Es;
    let screened = world.write("ID:1").await;
    assert_eq!(screened.rule, Rule::Challenge);
    assert_eq!(screened.sender.unwrap().as_str(), "id:1");
    assert!(matches!(screened.delivery, Some(Delivery::DeliveredViaAdapter)));
    let Decision::Challenge { code } = screened.decision else { panic!() };
    let sent = std::mem::take(&mut *world.adapter.sent.lock().unwrap());
    let [(account, to, text)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((account.as_str(), to.as_str()), ("main", "id:1"));
    assert!(text.contains(&code.to_string()) && text.starts_with("Tu código"), "{text}");
    let pending = world.store.list_pending(&Default::default()).await.unwrap();
    assert_eq!((pending[0].code.clone(), pending[0].channel.clone()), (code, channel()));
}

#[tokio::test]
async fn a_resolved_sender_is_challenged_under_the_resolved_id() {
    let world = World::new(Mode::Pairing).await;
    assert_eq!(world.write("ask").await.sender.unwrap().as_str(), "id:asked");
    let adapter = Some(&*world.adapter as _);
    let again = world.gate.should_admit("test", "main", "ask", &world.policy, adapter).await;
    assert_eq!(again.unwrap(), Decision::Drop(DropReason::AlreadyChallenged));
}

#[tokio::test]
async fn explain_says_what_screen_does_and_writes_nothing() {
    let world = World::new(Mode::Pairing).await;
    let before = world.explain(direct("ID:1")).await;
    assert_eq!((before.rule, before.decision), (Rule::Challenge, DecisionKind::Challenge));
    assert_eq!(before.sender.unwrap().as_str(), "id:1");
    assert!(world.store.list_pending(&Default::default()).await.unwrap().is_empty());
    assert!(world.adapter.sent.lock().unwrap().is_empty());
    world.approve("id:1").await;
    let after = world.explain(direct("id:1")).await;
    assert_eq!((after.rule, after.decision), (Rule::Allowed, DecisionKind::Admit));
    world.challenge("id:2").await;
    let again = world.explain(direct("id:2")).await;
    assert_eq!(again.decision, DecisionKind::Drop(DropReason::AlreadyChallenged));
    world.pass(Duration::minutes(5));
    assert_eq!(world.explain(direct("id:2")).await.rule, Rule::ChallengeAgain);
}

#[tokio::test]
async fn metadata_is_stored_unless_it_is_too_long() {
    let world = World::new(Mode::Pairing).await;
    let meta = serde_json::json!({ "push_name": "Ana" });
    world.screen(direct("id:1").with_meta(meta.clone())).await;
    let huge = serde_json::json!({ "push_name": "A".repeat(5000) });
    world.screen(direct("id:2").with_meta(huge)).await;
    let pending = world.store.list_pending(&Default::default()).await.unwrap();
    assert_eq!(pending[0].meta, meta);
    assert_eq!(pending[1].meta, serde_json::Value::Null);
}

#[tokio::test]
async fn a_clock_set_back_makes_nothing_last_forever() {
    let world = World::new(Mode::Pairing).await;
    let start = nexo_pairing_core::Clock::now(&*world.clock);
    world.reject("id:rejected").await;
    let code = world.challenge("id:guest").await;
    let grant = Grant::unlimited().with_expires_in(std::time::Duration::from_secs(60));
    world.store.approve(code.as_str(), &Actor::cli(), grant).await.unwrap();
    world.seed("main", "id:friend").await;
    world.challenge("id:stranger").await;
    world.clock.set(start - Duration::days(365));
    assert_eq!(world.write("id:friend").await.rule, Rule::Allowed, "an unlimited grant stays");
    assert_eq!(world.write("id:guest").await.rule, Rule::Challenge, "a limited one gets no longer");
    assert_eq!(world.write("id:rejected").await.rule, Rule::Challenge, "the wait is not a year");
    assert_eq!(world.write("id:stranger").await.rule, Rule::Challenge, "with a new code");
}
