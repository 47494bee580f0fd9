//! A setup code gives one session, once.

use nexo_pairing_core::{IssuedSession, OnReplay, Redemption};

use crate::support::{World, redemption};

/// Ten clients on two handles use one code at once; returns the sessions.
async fn at_once(world: &World, redemption: impl Fn(u64) -> Redemption) -> Vec<IssuedSession> {
    let other = world.another().await;
    let tasks: Vec<_> = (0..10)
        .map(|number| {
            let store = if number % 2 == 0 { world.store.clone() } else { other.clone() };
            let redemption = redemption(number);
            tokio::spawn(async move { store.redeem(redemption).await })
        })
        .collect();
    let mut issued = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(session) => issued.push(session),
            Err(error) => assert_eq!(error.kind(), "replayed"),
        }
    }
    issued
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_gets_a_session_and_a_replay_ends_it() {
    for on_replay in [OnReplay::Refuse, OnReplay::Revoke] {
        let world = World::new().await;
        for code in 0..10 {
            let issued = at_once(&world, |number| {
                let mut redemption = redemption(code, Some(number));
                redemption.on_replay = on_replay;
                redemption
            });
            let issued = issued.await;
            assert_eq!(issued.len(), 1);
            assert_eq!(world.accepts(&issued[0]).await, on_replay == OnReplay::Refuse);
        }
        let live = if on_replay == OnReplay::Refuse { 10 } else { 0 };
        assert_eq!(world.live().await.len(), live);
        assert_eq!(world.store.list_sessions(true).await.unwrap().len(), 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_asks_many_times_at_once_has_one_session_and_one_token() {
    let world = World::new().await;
    let issued = at_once(&world, |_| redemption(1, Some(1))).await;
    assert_eq!((issued.len(), world.live().await.len()), (10, 1));
    let mut accepted = 0;
    for session in &issued {
        accepted += u32::from(world.accepts(session).await);
    }
    assert_eq!(accepted, 1, "the last one only");
}
