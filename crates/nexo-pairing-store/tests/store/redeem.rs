//! A setup code gives one session, once, over two handles on one file.

use nexo_pairing_core::OnReplay;

use crate::support::{World, scenario};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_gets_a_session_and_a_replay_ends_it() {
    for on_replay in [OnReplay::Refuse, OnReplay::Revoke] {
        let world = World::new().await;
        let other = world.another().await;
        scenario::of_many_at_once_one_gets_a_session(&world, &other, on_replay).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_asks_many_times_at_once_has_one_session_and_one_token() {
    let world = World::new().await;
    let other = world.another().await;
    scenario::a_client_that_asks_many_times_at_once_has_one_session(&world, &other).await;
}
