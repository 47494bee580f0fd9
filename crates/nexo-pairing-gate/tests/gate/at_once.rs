//! What the calls answer that do not wait.

use nexo_pairing_core::{
    AccountId, AccountScope, Actor, Decision, DropReason, Inbound, Mode, PairingChannelAdapter,
    PairingError, Rule,
};
use nexo_pairing_gate::Listing;
use time::Duration;

use crate::support::{World, channel, direct, key};

/// The answer to a direct message from memory, which equals the answer of the calls that wait.
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
async fn answers_from_memory_without_waiting() {
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
async fn try_calls_return_none_and_change_nothing_if_a_lookup_is_needed() {
    let world = World::new(Mode::Pairing).await;
    // The store makes a request, or repeats it.
    assert_eq!(at_once(&world, "id:1").await, None);
    assert!(world.store.list_pending(&Default::default()).await.unwrap().is_empty());
    let code = world.challenge("id:1").await;
    world.pass(Duration::minutes(6));
    assert_eq!(at_once(&world, "id:1").await, None);
    assert_eq!(world.challenge("id:1").await, code);
    // The adapter has to resolve the id.
    world.seed("main", "id:asked").await;
    assert_eq!(at_once(&world, "ask").await, None);
    assert_eq!(world.write("ask").await.decision, Decision::Admit);
    let gate = &world.gate;
    let inbound = direct("id:nobody").with_alt(vec!["ask".into()]);
    assert!(gate.try_screen(&inbound, &world.policy, &world.registry).unwrap().is_none());
    // The lists have to be refreshed first, once.
    assert_eq!(at_once(&world, "id:asked").await, Some(Decision::Admit));
    gate.flush_cache();
    assert_eq!(at_once(&world, "id:asked").await, None);
    assert_eq!(world.write("id:asked").await.decision, Decision::Admit);
    assert_eq!(at_once(&world, "id:asked").await, Some(Decision::Admit));
}

#[tokio::test]
async fn each_id_is_read_once_even_if_the_store_is_asked() {
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
        // Once to see that it has to be resolved, and once before that.
        assert_eq!(times(alt), if alt == "ask" { 2 } else { 1 }, "{asked:?}");
    }
}

#[tokio::test]
async fn try_calls_see_a_change_through_the_same_store() {
    let world = World::new(Mode::Allowlist).await;
    world.seed("main", "id:1").await;
    assert_eq!(at_once(&world, "id:1").await, Some(Decision::Admit));
    world.store.revoke(&key("main", "id:1").into(), &Actor::cli()).await.unwrap();
    let dropped = Some(Decision::Drop(DropReason::NotAllowed));
    assert_eq!(at_once(&world, "id:1").await, dropped);
}

#[tokio::test]
async fn try_calls_reject_invalid_ids() {
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
async fn listing_uses_any_id_and_stale_lists() {
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
        // The adapter would have to resolve it; it is listed as it is.
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
