//! No token and no claim id is written or shown anywhere.

use std::sync::Arc;

use nexo_pairing_core::{Actor, Filter, ImportedSession, SessionToken, SetupEvent};
use nexo_pairing_store::OsRandom;

use crate::support::{START, World, bytes, hours, moment};
use crate::support::{claim_id, claims, redemption};

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn the_database_holds_no_clear_token_and_no_claim_id() {
    let world = World::with(|options| options.random = Arc::new(OsRandom::default())).await;
    let (claim, legacy) = (format!("claim-{:022}", 1), "legacy-session-token-1");
    let first = world.redeem(Some(1)).await.unwrap();
    let second = world.redeem(Some(1)).await.unwrap();
    world.store.session(&second.token).await.unwrap().unwrap();
    world.store.touch(&second.session.id, None).await.unwrap();
    world.store.renew_session(&second.token, hours(48)).await.unwrap().unwrap();
    world.redeem(Some(2)).await.unwrap_err();
    let ended = world.device(2).await;
    world.store.end_session(&ended.token).await.unwrap();
    world.store.cancel(&claims(3), &Actor::cli()).await.unwrap();
    let (issued_at, expires_at) = (moment(START), moment(START + 60));
    let token = SessionToken::parse(legacy).unwrap();
    let imported = ImportedSession::new(token, "imported-v1".into(), None, issued_at, expires_at);
    world.store.import_sessions(vec![imported], &Actor::cli()).await.unwrap();
    let event = SetupEvent::KeyRotated { key_id: "0a1b2c3d".into() };
    world.store.record(&Actor::cli(), event).await.unwrap();

    let audit = format!("{:?}", world.store.audit(&Filter::all(), 100).await.unwrap());
    let wal = world.path.with_extension("db-wal");
    let mut files = [bytes(&world.path), bytes(&wal)].concat();
    world.shell().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    files.extend(bytes(&world.path));
    assert!(contains(&files, b"imported-v1") && contains(&files, b"session_reissued"));
    let tokens = [&first, &second, &ended].map(|issued| issued.token.as_str());
    for secret in tokens.into_iter().chain([legacy, &claim]) {
        assert!(!contains(&files, secret.as_bytes()) && !audit.contains(secret), "{secret}");
    }
    for code in 1..=3 {
        assert!(!audit.contains(&claims(code).nonce));
    }
}

#[tokio::test]
async fn nothing_shows_a_secret_when_it_is_printed() {
    let world = World::with(|options| options.random = Arc::new(OsRandom::default())).await;
    let issued = world.redeem(Some(1)).await.unwrap();
    let token = issued.token.clone();
    let (from, until) = (moment(START), moment(START + 60));
    let imported = ImportedSession::new(token.clone(), "companion-v1".into(), None, from, until);
    let replayed = world.redeem(Some(2)).await.unwrap_err();
    let state = world.store.redemption(&claims(1).nonce).await.unwrap();
    let printed = format!(
        "{issued:?} {token:?} {imported:?} {replayed:?} {replayed} {state:?} {:?} {:?} {:?} {:?}",
        claim_id(1),
        redemption(1, Some(1)),
        world.store.cancel(&claims(1), &Actor::cli()).await,
        world.store,
    );
    assert!(printed.contains("SessionToken(redacted)") && printed.contains("ClaimId(redacted)"));
    let claim = format!("claim-{:022}", 1);
    for secret in [token.as_str(), &claim, &claims(1).nonce] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
