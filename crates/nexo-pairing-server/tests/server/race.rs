//! Many clients with one setup code, and two servers on one database.

use std::sync::Arc;

use nexo_pairing_core::OnReplay;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::support::{
    Running, World, answer, claim, connect_from, frame, post, upgrade, websocket_answer,
};

const CLIENTS: u8 = 64;

/// How many of the clients got a session, and how many sessions are live afterwards.
async fn race(on_replay: OnReplay) -> (usize, usize) {
    let world = World::new().await;
    let mut servers = Vec::new();
    for store in [world.store.clone(), world.another_store().await] {
        let mut options = world.options();
        options.backend = Arc::new(store);
        options.settings.on_replay = on_replay;
        servers.push(Running::start(options).await);
    }
    let claim = claim(&world.code());
    let mut clients = JoinSet::new();
    for number in 1..=CLIENTS {
        let (claim, address) = (claim.clone(), servers[usize::from(number) % 2].address);
        clients.spawn(async move {
            // Each from an address of its own, so that none is throttled for the others.
            let mut stream = connect_from(&format!("127.0.1.{number}"), address).await;
            let told = if number % 4 < 2 {
                let sent = [upgrade().into_bytes(), frame(0x81, claim.as_bytes())].concat();
                stream.write_all(&sent).await.unwrap();
                websocket_answer(&mut stream).await.0.unwrap()
            } else {
                stream.write_all(post(&claim).as_bytes()).await.unwrap();
                answer(&mut stream).await.json()
            };
            let is_won = told.get("session_token").is_some();
            assert!(is_won || told["error"] == "replayed", "{told}");
            is_won
        });
    }
    let won = clients.join_all().await.into_iter().filter(|is_won| *is_won).count();
    (won, world.live_sessions().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_gets_the_session_and_keeps_it_where_replays_are_refused() {
    assert_eq!(race(OnReplay::Refuse).await, (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_gets_the_session_and_loses_it_where_replays_revoke() {
    assert_eq!(race(OnReplay::Revoke).await, (1, 0));
}
