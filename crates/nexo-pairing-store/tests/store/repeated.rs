//! Repeated claims of one code are counted on its row; few of them are audited.

use std::net::IpAddr;

use nexo_pairing_core::{PeerAddress, RedeemError};
use nexo_pairing_store::PairingStore;
use serde_json::json;

use crate::support::{START, World, claims, counted, details, moment, options, redemption};

/// The repetitions that are audited one by one.
const FIRST: usize = 5;

#[tokio::test]
async fn fifteen_seconds_of_replays_are_six_entries_that_count_all() {
    const A_SECOND: u64 = 2050;
    let (clock, options) = options();
    let store = PairingStore::open_memory_with(options).await.unwrap();
    let session = store.redeem(redemption(1, None)).await.unwrap().session;
    for second in 0..15 {
        for number in 0..A_SECOND {
            let mut replay = redemption(1, None);
            let ip = IpAddr::from([10, 0, second, u8::try_from(number % 250).unwrap()]);
            replay.peer = Some(PeerAddress::from(ip));
            let told = store.redeem(replay).await.unwrap_err();
            assert!(matches!(told, RedeemError::Replayed { .. }), "{told:?}");
        }
        clock.advance(std::time::Duration::from_secs(1));
    }
    let entries = details(&store, "replay").await;
    assert_eq!(entries.len(), FIRST);
    let first = json!({
        "session": session.id.as_str(), "revoked": true, "peer": "10.0.0.0", "count": 1, "total": 1,
    });
    assert_eq!(entries[0], first);
    // The flood is over; the rest since the last entry is still audited, once.
    clock.advance(std::time::Duration::from_mins(1));
    for _ in 0..3 {
        store.purge_sessions().await.unwrap();
    }
    let entries = details(&store, "replay").await;
    assert_eq!((entries.len(), counted(&entries)), (FIRST + 1, 15 * A_SECOND));
    let peer = format!("10.0.14.{}", (A_SECOND - 1) % 250);
    let last = json!({
        "session": session.id.as_str(), "revoked": false, "peer": peer,
        "count": 15 * A_SECOND - FIRST as u64, "total": 15 * A_SECOND,
    });
    assert_eq!(entries[FIRST], last);
}

#[tokio::test]
async fn a_day_of_repeated_claims_is_one_entry_per_minute() {
    for (claim, action) in [(None, "replay"), (Some(1), "session_reissued")] {
        let (clock, options) = options();
        let store = PairingStore::open_memory_with(options).await.unwrap();
        let repeat = |number| {
            let mut redemption = redemption(number, claim);
            redemption.claims.expires_at = moment(START + 86_400);
            redemption
        };
        store.redeem(repeat(1)).await.unwrap();
        let every = 7;
        for _ in 0..86_000 / every {
            clock.advance(std::time::Duration::from_secs(every));
            assert_eq!(store.redeem(repeat(1)).await.is_ok(), claim.is_some());
        }
        let entries = details(&store, action).await;
        let minutes = 86_400 / 60;
        assert!((minutes / 2..=FIRST + minutes).contains(&entries.len()), "{}", entries.len());
        let total = entries.last().unwrap()["total"].as_u64().unwrap();
        assert_eq!(counted(&entries), total);
    }
}

#[tokio::test]
async fn several_processes_share_one_count() {
    let world = World::new().await;
    world.device(1).await;
    let other = world.another().await;
    for _ in 0..20 {
        world.redeem(None).await.unwrap_err();
        other.redeem(redemption(1, None)).await.unwrap_err();
    }
    assert_eq!(details(&other, "replay").await.len(), FIRST);
    let count = "SELECT replays, last_replay_peer FROM pairing_redemptions WHERE nonce = ?1";
    let row = world.shell().query_row(count, [&claims(1).nonce], |row| row.try_into());
    let row: (i64, Option<String>) = row.unwrap();
    assert_eq!(row, (40, None));
}
