//! What is answered at once, and what is not.

use nexo_pairing_core::{
    AccountId, AccountScope, Actor, Decision, DropReason, Inbound, Mode, PairingChannelAdapter,
    PairingError, Rule,
};
use nexo_pairing_gate::Listing;
use time::Duration;

use crate::support::{World, channel, direct, key};

/// What is said at once to a direct message; whatever it is, it is what is said to one who waits.
async fn at_once(world: &World, raw: &str) -> Option<Decision> {
    let adapter: Option<&dyn PairingChannelAdapter> = Some(&*world.adapter);
    let (gate, policy) = (&world.gate, &world.policy);
    let decision = gate.try_admit("test", "main", raw, policy, adapter).unwrap();
    let screened = gate.try_screen(&direct(raw), policy, &world.registry).unwrap();
    assert_eq!(screened.as_ref().map(|screened| &screened.decision), decision.as_ref(), "{raw}");
    if let (Some(decision), Some(screened)) = (&decision, screened) {
        let waited = gate.should_admit("test", "main", raw, policy, adapter).await.unwrap();
        assert_eq!(*decision, waited, "{raw}");
        let waited = world.write(raw).await;
        assert_eq!((screened.rule, screened.sender), (waited.rule, waited.sender), "{raw}");
    }
    decision
}

#[tokio::test]
async fn what_is_in_memory_is_answered_at_once() {
    let mut world = World::new(Mode::Pairing).await;
    world.seed("main", "id:known").await;
    world.seed("main", "id:blocked").await;
    world.block(AccountScope::All, "id:blocked").await;
    world.reject("id:rejected").await;
    for stranger in ["id:1", "id:2", "id:3"] {
        world.challenge(stranger).await;
    }
    let dropped = |reason| Some(Decision::Drop(reason));
    for (raw, expected) in [
        ("ID:known", Some(Decision::Admit)),
        ("id:blocked", dropped(DropReason::Blocked)),
        ("group:1", dropped(DropReason::NotDirect)),
        ("id:rejected", dropped(DropReason::Waiting)),
        ("id:1", dropped(DropReason::AlreadyChallenged)),
        ("id:4", dropped(DropReason::PendingFull)),
    ] {
        assert_eq!(at_once(&world, raw).await, expected, "{raw}");
    }
    world.policy.mode = Mode::Allowlist;
    assert_eq!(at_once(&world, "id:4").await, dropped(DropReason::NotAllowed));
    world.policy.mode = Mode::Open;
    assert_eq!(at_once(&world, "id:4").await, Some(Decision::Admit));
    world.gate.set_accounts(Some(vec![(channel(), AccountId::parse("other").unwrap())]));
    assert_eq!(at_once(&world, "id:known").await, dropped(DropReason::UnknownAccount));
}

#[tokio::test]
async fn what_somebody_has_to_be_asked_for_is_not_answered_at_once_and_changes_nothing() {
    let world = World::new(Mode::Pairing).await;
    // The store makes a request, or repeats it.
    assert_eq!(at_once(&world, "id:1").await, None);
    assert!(world.store.list_pending(&Default::default()).await.unwrap().is_empty());
    let code = world.challenge("id:1").await;
    world.pass(Duration::minutes(6));
    assert_eq!(at_once(&world, "id:1").await, None);
    assert_eq!(world.challenge("id:1").await, code);
    // The adapter asks whose id it is.
    world.seed("main", "id:asked").await;
    assert_eq!(at_once(&world, "ask").await, None);
    assert_eq!(world.write("ask").await.decision, Decision::Admit);
    let gate = &world.gate;
    let inbound = direct("id:nobody").with_alt(vec!["ask".into()]);
    assert!(gate.try_screen(&inbound, &world.policy, &world.registry).unwrap().is_none());
    // The lists are to be compared with the store first, once.
    assert_eq!(at_once(&world, "id:asked").await, Some(Decision::Admit));
    gate.flush_cache();
    assert_eq!(at_once(&world, "id:asked").await, None);
    assert_eq!(world.write("id:asked").await.decision, Decision::Admit);
    assert_eq!(at_once(&world, "id:asked").await, Some(Decision::Admit));
}

#[tokio::test]
async fn an_id_is_read_once_also_of_a_message_that_the_store_is_asked_about() {
    let world = World::new(Mode::Pairing).await;
    for (raw, alt, rule) in [
        ("id:1", "id:lid", Rule::Challenge),
        ("id:1", "id:lid", Rule::AlreadyChallenged),
        ("id:2", "ask", Rule::Challenge),
    ] {
        let screened = world.screen(direct(raw).with_alt(vec![alt.into()])).await;
        assert_eq!(screened.rule, rule);
        let asked = std::mem::take(&mut *world.adapter.asked.lock().unwrap());
        let times = |id: &str| asked.iter().filter(|asked| *asked == id).count();
        assert_eq!(times(raw), 1, "{asked:?}");
        // Once to see that somebody else has to be asked, and once before they are.
        assert_eq!(times(alt), if alt == "ask" { 2 } else { 1 }, "{asked:?}");
    }
}

#[tokio::test]
async fn a_change_through_the_same_store_is_seen_at_once() {
    let world = World::new(Mode::Allowlist).await;
    world.seed("main", "id:1").await;
    assert_eq!(at_once(&world, "id:1").await, Some(Decision::Admit));
    world.store.revoke(&key("main", "id:1").into(), &Actor::cli()).await.unwrap();
    let dropped = Some(Decision::Drop(DropReason::NotAllowed));
    assert_eq!(at_once(&world, "id:1").await, dropped);
}

#[tokio::test]
async fn ids_that_are_none_are_errors_at_once() {
    for mode in [Mode::Open, Mode::Allowlist, Mode::Pairing] {
        let world = World::new(mode).await;
        for is_loaded in [false, true] {
            if is_loaded {
                world.seed("main", "id:1").await;
                assert_eq!(at_once(&world, "id:1").await, Some(Decision::Admit));
            }
            for (channel, account) in [("", "main"), ("a.b", "main"), ("test", ""), ("test", "*")] {
                let decided = world.gate.try_admit(channel, account, "id:1", &world.policy, None);
                assert!(
                    matches!(decided, Err(PairingError::Id(_))),
                    "{channel}/{account}: {decided:?}"
                );
                let inbound = Inbound::direct(channel, account, "id:1");
                let screened = world.gate.try_screen(&inbound, &world.policy, &world.registry);
                assert!(matches!(screened, Err(PairingError::Id(_))), "{channel}/{account}");
            }
        }
    }
}

#[tokio::test]
async fn a_listing_is_found_by_any_id_without_asking_and_also_when_the_lists_are_old() {
    let world = World::new(Mode::Pairing).await;
    world.seed("main", "id:known").await;
    world.seed("main", "elsewhere").await;
    world.challenge("id:pending").await;
    world.pass(Duration::days(2));
    let listing = |inbound: &Inbound| world.gate.listing(inbound, &world.registry);
    for (raw, expected) in [
        ("ID:known", Some(Listing::Allowed)),
        ("id:pending", Some(Listing::Pending)),
        ("id:other", None),
        // The adapter would have to ask; it is on the list as it is.
        ("elsewhere", Some(Listing::Allowed)),
        ("", None),
    ] {
        assert_eq!(listing(&direct(raw)), expected, "{raw}");
    }
    let mut alt = vec![String::new(), "id:pending".to_owned()];
    assert_eq!(listing(&direct("id:other").with_alt(alt.clone())), Some(Listing::Pending));
    alt.push("id:known".to_owned());
    assert_eq!(listing(&direct("id:other").with_alt(alt)), Some(Listing::Allowed));
    assert_eq!(listing(&Inbound::direct("test", "other", "id:known")), None);
}
