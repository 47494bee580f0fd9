//! What it costs to look up the session of a token, among a thousand: by one caller, and by 64 at
//! once.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use nexo_pairing_core::{Redemption, SessionToken, TokenClaims};
use nexo_pairing_store::PairingStore;
use time::OffsetDateTime;
use tokio::runtime::Runtime;

const SESSIONS: usize = 1_000;
const CALLERS: usize = 64;

async fn sessions(store: &PairingStore) -> Vec<SessionToken> {
    let mut tokens = Vec::with_capacity(SESSIONS);
    for number in 0..SESSIONS {
        let expires_at = OffsetDateTime::now_utc() + time::Duration::HOUR;
        let (profile, nonce) = ("companion-v1".to_owned(), format!("{number:032x}"));
        let claims = TokenClaims::new(profile, expires_at, nonce, Some("Ana's phone".into()));
        let issued = store.redeem(Redemption::new(claims)).await;
        tokens.push(issued.expect("the code was not used yet").token);
    }
    tokens
}

/// Looks up so many sessions, one after the other.
async fn look_up(store: &PairingStore, tokens: &[SessionToken], count: usize) {
    for token in tokens.iter().cycle().take(count) {
        let found = store.session(token).await.expect("the store can be read");
        assert!(found.is_some());
    }
}

/// Looks up so many sessions from many tasks at once.
async fn look_up_at_once(store: &PairingStore, tokens: &[SessionToken], count: usize) -> Duration {
    let started = Instant::now();
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (store, mut tokens) = (store.clone(), tokens.to_vec());
            tokens.rotate_left(caller * SESSIONS / CALLERS);
            tokio::spawn(async move { look_up(&store, &tokens, count.div_ceil(CALLERS)).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("every session was found");
    }
    started.elapsed()
}

fn session(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime can be made");
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let store = runtime.block_on(PairingStore::open(folder.path().join("pairing.db")));
    let store = store.expect("a store can be made");
    let tokens = runtime.block_on(sessions(&store));
    let count = |iterations: u64| usize::try_from(iterations).expect("they fit");

    let mut group = criterion.benchmark_group("session");
    group.bench_function("one caller", |bencher| {
        bencher.iter_custom(|iterations| {
            let started = Instant::now();
            runtime.block_on(look_up(&store, &tokens, count(iterations)));
            started.elapsed()
        });
    });
    group.bench_function("64 callers", |bencher| {
        bencher.iter_custom(|iterations| {
            runtime.block_on(look_up_at_once(&store, &tokens, count(iterations)))
        });
    });
    group.finish();
}

criterion_group!(benches, session);
criterion_main!(benches);
