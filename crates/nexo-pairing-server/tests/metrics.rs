//! The metrics of claims.
#![expect(clippy::unwrap_used, reason = "a test stops at the first failure")]

#[path = "server/support.rs"]
#[expect(dead_code, reason = "the other tests need more of it")]
mod support;

use std::collections::BTreeMap;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use nexo_pairing_core::{Actor, metric};

use tokio::io::AsyncWriteExt;

use support::{World, claim, claim_with_id, read_head, request, upgrade_with};

// On one thread: the recorder is thread-local.
#[tokio::test]
async fn claims_are_counted_by_result() {
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let world = World::new().await;
    let server = world.serve().await;
    let counted = || {
        let all = snapshots.snapshot().into_vec().into_iter();
        let of_claims = all.filter_map(|(key, _, description, value)| {
            (key.key().name() == metric::BOOTSTRAP_TOKENS_REDEEMED_TOTAL).then(|| {
                assert!(description.is_some(), "it is not described");
                let label = key.key().labels().next().unwrap().value().to_owned();
                let DebugValue::Counter(count) = value else { panic!("no counter") };
                (label, count)
            })
        });
        let counted: BTreeMap<_, _> = of_claims.filter(|(_, count)| *count > 0).collect();
        counted.into_iter().map(|(label, count)| format!("{label} {count}")).collect::<Vec<_>>()
    };
    assert!(counted().is_empty());

    let code = world.code();
    server.post(&claim_with_id(&code)).await;
    server.websocket(&claim(&world.code())).await;
    assert_eq!(counted(), ["ok 2"]);

    server.post(&claim(&code)).await;
    assert_eq!(counted(), ["replayed 1"]);

    let cancelled = world.code();
    let claims = world.issuer.verify(&cancelled.bootstrap_token).unwrap();
    world.store.cancel(&claims, &Actor::cli()).await.unwrap();
    server.post(&claim(&cancelled)).await;
    server.post("nonsense").await;
    server.websocket(&claim(&code).replace('.', "x.")).await;
    assert_eq!(counted(), ["invalid 3"]);

    let expired = world.code();
    world.clock.advance(std::time::Duration::from_secs(60));
    server.post(&claim(&expired)).await;
    assert_eq!(counted(), ["expired 1"]);

    // A throttled claim is not counted.
    for _ in 0..20 {
        server.post("nonsense").await;
    }
    assert_eq!(counted(), ["invalid 9"]);
}

#[tokio::test]
async fn claims_rejected_unread_are_counted_by_reason() {
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let world = World::new().await;
    let server = world.serve().await;
    // The counts since the last call. No label is chosen by a stranger.
    let counted = || {
        let all = snapshots.snapshot().into_vec().into_iter();
        let of_refusals = all.filter_map(|(key, _, description, value)| {
            (key.key().name() == metric::CLAIMS_REFUSED_TOTAL).then(|| {
                assert!(description.is_some(), "it is not described");
                let label = |label: &metrics::Label| format!("{}={}", label.key(), label.value());
                let labels: Vec<_> = key.key().labels().map(label).collect();
                let DebugValue::Counter(count) = value else { panic!("no counter") };
                (labels.join(","), count)
            })
        });
        let mut counted: Vec<_> = of_refusals.map(|(label, n)| format!("{label} {n}")).collect();
        counted.sort();
        counted
    };
    let counts = |origin: u64, throttled: u64| {
        [format!("reason=origin_not_allowed {origin}"), format!("reason=throttled {throttled}")]
            .to_vec()
    };
    let upgrade = async |headers: &str| {
        let mut stream = server.connect().await;
        stream.write_all(upgrade_with(headers).as_bytes()).await.unwrap();
        read_head(&mut stream).await.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(counted(), counts(0, 0), "each is there before the first");

    let page = ("Origin", "https://evil.example");
    let json = ("Content-Type", "application/json");
    let post = request("POST", "/pair", &[page, json], &claim(&world.code()));
    assert_eq!(server.send(&post).await.status, 403);
    assert_eq!(upgrade("Origin: null\r\n").await, "403");
    assert_eq!(counted(), counts(2, 0));

    for _ in 0..10 {
        assert_eq!(server.post("nonsense").await.status, 400);
    }
    assert_eq!(counted(), counts(0, 0));
    assert_eq!(server.post(&claim(&world.code())).await.status, 429);
    assert_eq!(upgrade("").await, "429");
    assert_eq!(server.send(&post).await.status, 403);
    assert_eq!(counted(), counts(1, 2));
    // Requests other than claims are not counted here.
    assert_eq!(server.session("no-such-token-at-all").await.status, 401);
    assert_eq!(counted(), counts(0, 0));
}
