//! Sessions imported from another store.

use nexo_pairing_core::{Actor, ImportedSession, PairingError, SessionToken};

use crate::prelude::*;
use crate::world::{START, World, moment};

fn token(text: &str) -> SessionToken {
    SessionToken::parse(text).unwrap()
}

/// A session that lives for an hour from the start.
fn session(text: &str) -> ImportedSession {
    let (issued_at, expires_at) = (moment(START), moment(START + 3600));
    ImportedSession::new(token(text), "companion-v1".into(), None, issued_at, expires_at)
}

pub async fn an_import_is_all_or_nothing<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    type Change = fn(&mut ImportedSession);
    let cli = Actor::cli();
    let import = |sessions| world.store.import_sessions(sessions, &cli);
    for (name, change) in [
        ("device_label", (|to| to.device_label = Some("a\nb".into())) as Change),
        ("profile", |to| to.profile = "Companion".into()),
    ] {
        let mut bad = session("another-token");
        change(&mut bad);
        let told = import(vec![session("token-one"), bad]).await.unwrap_err();
        assert!(
            matches!(&told, PairingError::Invalid { name: told, .. } if *told == name),
            "{told:?}"
        );
        assert!(world.live().await.is_empty() && world.audit().await.is_empty());
    }
    let report = import(vec![session("token-one"), session("token-two"), session("token-one")]);
    let report = report.await.unwrap();
    assert_eq!((report.imported, report.unchanged), (2, 1));
}

pub async fn a_session_from_the_future_is_left_out<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.clock.set(moment(START - 6));
    let report = world.store.import_sessions(vec![session("token-one")], &Actor::cli()).await;
    assert_eq!(report.unwrap().expired, 1);
}
