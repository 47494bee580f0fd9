//! How challenges are delivered, and what is counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::support::{World, channel, direct, key};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use nexo_pairing_core::{
    AccountId, Decision, Inbound, Mode, NewRequest, PairingAdapterRegistry, Rule,
};
use nexo_pairing_gate::{Delivery, GateOptions, PairingGate};
use time::Duration;

#[tokio::test]
async fn an_undelivered_challenge_is_retried_after_10_s() {
    let world = World::new(Mode::Pairing).await;
    world.adapter.is_broken.store(true, Ordering::SeqCst);
    let first = world.write("id:1").await;
    assert!(matches!(first.delivery, Some(Delivery::PublishFailed(_))), "{first:?}");
    world.adapter.is_broken.store(false, Ordering::SeqCst);
    world.pass(Duration::seconds(9));
    assert_eq!(world.write("id:1").await.rule, Rule::AlreadyChallenged);
    world.pass(Duration::seconds(1));
    let second = world.write("id:1").await;
    assert_eq!(second.rule, Rule::ChallengeAgain);
    assert_eq!(second.decision, first.decision, "the same code");
    let delivery = second.delivery.unwrap();
    assert!(matches!(delivery, Delivery::DeliveredViaAdapter));
    assert_eq!(delivery.warning(&direct("id:1")), None);
    assert_eq!(world.write("id:1").await.rule, Rule::AlreadyChallenged);
}

#[tokio::test]
async fn an_undelivered_challenge_of_another_id_is_retried_too() {
    let world = World::new(Mode::Pairing).await;
    world.challenge("id:phone").await;
    world.pass(Duration::seconds(300));
    world.adapter.is_broken.store(true, Ordering::SeqCst);
    let linked = || direct("id:linked").with_alt(vec!["id:phone".into()]);
    let again = world.screen(linked()).await;
    assert!(matches!(again.delivery, Some(Delivery::PublishFailed(_))), "{again:?}");
    world.adapter.is_broken.store(false, Ordering::SeqCst);
    world.pass(Duration::seconds(10));
    assert_eq!(world.screen(linked()).await.rule, Rule::ChallengeAgain);
}

#[tokio::test]
async fn a_channel_without_an_adapter_takes_ids_as_they_are_and_delivers_nothing() {
    let world = World::new(Mode::Pairing).await;
    let inbound = Inbound::direct("irc", "main", "Nick!user@host");
    let empty = PairingAdapterRegistry::new();
    let screened = world.gate.screen(&inbound, &world.policy, &empty).await.unwrap();
    assert!(matches!(screened.decision, Decision::Challenge { .. }));
    assert_eq!(screened.sender.unwrap().as_str(), "Nick!user@host");
    let delivery = screened.delivery.unwrap();
    assert!(matches!(delivery, Delivery::NoAdapterNoBrokerTopic));
    let warning = "no code was sent on irc/main: there is no adapter for this channel";
    assert_eq!(delivery.warning(&inbound).as_deref(), Some(warning));
    assert!(world.adapter.sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_channel_in_another_process_formats_and_sends_its_challenges() {
    let world = World::new(Mode::Pairing).await;
    world.adapter.is_elsewhere.store(true, Ordering::SeqCst);
    let screened = world.write("id:1").await;
    assert!(matches!(screened.delivery, Some(Delivery::DeliveredViaBroker)), "{screened:?}");
    let Decision::Challenge { code } = screened.decision else { panic!() };
    let sent = world.adapter.sent.lock().unwrap();
    assert_eq!(sent[0].2, format!("formatted elsewhere: {code}"));
}

/// The counters and gauges that are not zero, as `name{labels} value`.
fn counted(snapshotter: &Snapshotter) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let labels: Vec<_> =
            key.key().labels().map(|l| format!("{}={}", l.key(), l.value())).collect();
        let value = match value {
            DebugValue::Counter(value) if value > 0 => value.to_string(),
            DebugValue::Gauge(value) if value.0 > 0.0 => value.to_string(),
            DebugValue::Histogram(values) if !values.is_empty() => format!("n={}", values.len()),
            _ => continue,
        };
        lines.push(format!("{}{{{}}} {value}", key.key().name(), labels.join(",")));
    }
    lines.sort();
    lines
}

/// The metrics that are recorded meanwhile.
fn counted_while(work: impl AsyncFnOnce(&Snapshotter)) -> Vec<String> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work(&snapshotter));
    });
    counted(&snapshotter)
}

#[test]
fn decisions_and_deliveries_are_counted_by_configured_channels_only() {
    let counted = counted_while(async |_| {
        let mut world = World::new(Mode::Pairing).await;
        world.seed("main", "id:1").await;
        world.write("id:1").await;
        world.write("id:2").await;
        world.write("id:2").await;
        world.adapter.is_broken.store(true, Ordering::SeqCst);
        world.write("id:3").await;
        world.adapter.is_broken.store(false, Ordering::SeqCst);
        world.adapter.is_elsewhere.store(true, Ordering::SeqCst);
        world.write("id:4").await;
        for stranger in ["evil-1", "evil-2"] {
            world.screen(Inbound::direct(stranger, "main", "id:1")).await;
        }
        let bad = Inbound::direct("BAD", "main", "x");
        assert!(world.gate.screen(&bad, &world.policy, &world.registry).await.is_err());
        world.policy.mode = Mode::Open;
        world.screen(direct("status")).await;
    });
    assert_eq!(
        counted,
        [
            "pairing_decision_seconds{} n=5",
            "pairing_decisions_total{channel=other,decision=challenge,reason=challenge} 2",
            "pairing_decisions_total{channel=other,decision=error,reason=stale} 1",
            "pairing_decisions_total{channel=test,decision=admit,reason=allowed} 1",
            "pairing_decisions_total{channel=test,decision=admit,reason=not_pairable} 1",
            "pairing_decisions_total{channel=test,decision=challenge,reason=challenge} 3",
            "pairing_decisions_total{channel=test,decision=drop,reason=already_challenged} 1",
            "pairing_inbound_challenged_total{channel=other,result=no_adapter_no_broker_topic} 2",
            "pairing_inbound_challenged_total{channel=test,result=delivered_via_adapter} 1",
            "pairing_inbound_challenged_total{channel=test,result=delivered_via_broker} 1",
            "pairing_inbound_challenged_total{channel=test,result=publish_failed} 1",
            "pairing_requests_pending{channel=test} 3",
        ]
    );
}

#[test]
fn a_decision_is_counted_once_under_a_channel_with_an_account() {
    let counted = counted_while(async |_| {
        let world = World::with_accounts(Mode::Allowlist, Some(&["main"])).await;
        let request = NewRequest::new(key("main", "id:2"));
        world.store.upsert_pending(request).await.unwrap();
        for channel in ["test", "test", "test", "evil"] {
            let (gate, policy) = (&world.gate, &world.policy);
            gate.should_admit(channel, "main", "id:1", policy, None).await.unwrap();
        }
    });
    assert_eq!(
        counted,
        [
            "pairing_decisions_total{channel=other,decision=drop,reason=unknown_account} 1",
            "pairing_decisions_total{channel=test,decision=drop,reason=not_allowed} 3",
            "pairing_requests_pending{channel=test} 1",
        ]
    );
}

#[test]
fn existing_requests_are_counted_from_the_start() {
    counted_while(async |snapshotter| {
        let world = World::new(Mode::Pairing).await;
        world.challenge("id:1").await;
        let accounts = Some(vec![(channel(), AccountId::parse("main").unwrap())]);
        for is_loaded_first in [false, true] {
            // Removes what the previous gate measured.
            metrics::gauge!("pairing_requests_pending", "channel" => "test").set(0.0);
            let mut options = GateOptions::default();
            if !is_loaded_first {
                options.accounts = accounts.clone();
            }
            let gate = PairingGate::with_options(Arc::clone(&world.store), options);
            world.store.refresh().await.unwrap();
            if is_loaded_first {
                gate.set_accounts(accounts.clone());
            }
            let counted = counted(snapshotter);
            let pending = "pairing_requests_pending{channel=test} 1".to_owned();
            assert!(counted.contains(&pending), "{is_loaded_first}: {counted:?}");
        }
    });
}
