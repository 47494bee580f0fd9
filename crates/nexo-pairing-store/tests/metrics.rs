//! What the store counts: in a program of its own, for there is one recorder for a whole process
//! and the store counts on a thread of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use nexo_pairing_core::{
    AccountId, Actor, ChannelId, Grant, ManualClock, NewRequest, SenderId, SenderKey, UpsertOutcome,
};
use nexo_pairing_store::{PairingStore, StoreOptions};
use time::OffsetDateTime;

/// What was counted since the last time this was asked.
fn counted(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
    let snapshot = snapshotter.snapshot().into_vec();
    let counters = snapshot.into_iter().filter_map(|(key, _, _, value)| match value {
        DebugValue::Counter(count) if count > 0 => {
            let labels: Vec<_> = key.key().labels().map(|label| label.value().to_owned()).collect();
            Some((format!("{} {}", key.key().name(), labels.join(" ")), count))
        }
        _ => None,
    });
    counters.collect()
}

fn lines<const N: usize>(lines: [(&str, u64); N]) -> BTreeMap<String, u64> {
    lines.map(|(line, count)| (line.to_owned(), count)).into()
}

#[tokio::test]
async fn what_became_of_codes_is_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();

    // The two requests of the old file have expired, and are counted once.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pairing-0.1.8.db"), &path)
        .unwrap();
    let clock = ManualClock::new(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
    let options = StoreOptions::default().with_clock(clock.clone());
    let store = PairingStore::open_with(&path, options).await.unwrap();
    assert_eq!(counted(&snapshotter), lines([]), "opening counts nothing");
    assert_eq!(store.purge_expired().await.unwrap(), 2);
    assert_eq!(counted(&snapshotter), lines([("pairing_codes_expired_total ", 2)]));
    assert_eq!(store.purge_expired().await.unwrap(), 0);
    assert_eq!(counted(&snapshotter), lines([]));

    let approve =
        async |code: &str| store.approve(code, &Actor::cli(), Grant::unlimited()).await.map(drop);
    let request = async |sender: &str| {
        let key = SenderKey::new(
            ChannelId::parse("whatsapp").unwrap(),
            AccountId::default_account(),
            SenderId::parse(sender).unwrap(),
        );
        match store.upsert_pending(NewRequest::new(key)).await.unwrap() {
            UpsertOutcome::Created { code, .. } => code.as_str().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    approve(&request("+1").await).await.unwrap();
    let code = request("+2").await;
    clock.advance(Duration::from_hours(1));
    approve(&code).await.unwrap_err();
    approve("AAAAAAAB").await.unwrap_err();
    for unknown in ["AAAAAAAA", "BCDEFGH4", "AAAAAAAA", "AAAAAAAA", "AAAAAAAA", "AAAAAAAA"] {
        approve(unknown).await.unwrap_err();
    }
    assert_eq!(
        counted(&snapshotter),
        lines([
            ("pairing_approvals_total  locked_out", 2),
            ("pairing_approvals_total  mistyped", 1),
            ("pairing_approvals_total  not_found", 4),
            ("pairing_approvals_total whatsapp expired", 1),
            ("pairing_approvals_total whatsapp ok", 1),
            ("pairing_codes_expired_total ", 1),
        ])
    );
}
