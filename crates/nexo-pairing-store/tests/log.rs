//! What the store writes into the log of its process: in a program of its own, for there is one log.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Debug;
use std::fs;
use std::sync::Mutex;

use nexo_pairing_core::{
    AccountId, Actor, ChannelId, ClaimId, Grant, NewRequest, Redemption, SenderId, SenderKey,
    TokenClaims, UpsertOutcome,
};
use nexo_pairing_store::PairingStore;
use time::OffsetDateTime;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static LOG: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());

/// Keeps every event, whatever its level.
struct Keeper;

impl Subscriber for Keeper {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        LOG.lock().unwrap().push((*event.metadata().level(), text.0));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

/// What was logged with these words.
fn logged(words: &str) -> Vec<(Level, String)> {
    let log = LOG.lock().unwrap();
    log.iter().filter(|(_, text)| text.contains(words)).cloned().collect()
}

#[tokio::test]
async fn what_is_wrong_is_said_once_and_no_secret_ever() {
    tracing::subscriber::set_global_default(Keeper).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    let store = PairingStore::open(&path).await.unwrap();

    let key = SenderKey::new(
        ChannelId::parse("whatsapp").unwrap(),
        AccountId::default_account(),
        SenderId::parse("+1").unwrap(),
    );
    let created = store.upsert_pending(NewRequest::new(key)).await.unwrap();
    let UpsertOutcome::Created { code, .. } = created else { panic!("{created:?}") };
    store.approve("AAAAAAAA", &Actor::cli(), Grant::unlimited()).await.unwrap_err();
    store.approve(code.as_str(), &Actor::cli(), Grant::unlimited()).await.unwrap();

    let expires_at = OffsetDateTime::now_utc() + time::Duration::minutes(10);
    let nonce = "0123456789abcdef0123456789abcdef";
    let claims = TokenClaims::new("companion-v1".into(), expires_at, nonce.into(), None);
    let claim = "claim-id-of-the-thief-who-came-second";
    let mut redemption = Redemption::new(claims);
    let issued = store.redeem(redemption.clone()).await.unwrap();
    redemption.claim_id = Some(ClaimId::parse(claim).unwrap());
    store.redeem(redemption).await.unwrap_err();
    let replay = logged("a second time");
    assert_eq!((replay.len(), replay[0].0), (1, Level::WARN), "{replay:?}");
    let told = format!("session=\"{}\" revoked=true", issued.session.id);
    assert!(replay[0].1.contains(&told), "{replay:?}");

    store.refresh().await.unwrap();
    let aside = folder.path().join("aside.db");
    for round in 1..=2 {
        fs::rename(&path, &aside).unwrap();
        for _ in 0..50 {
            store.refresh().await.unwrap_err();
        }
        let wrong = logged("the store cannot be read");
        assert_eq!(wrong.len(), round, "at its beginning, not at every poll: {wrong:?}");
        assert_eq!(wrong[0].0, Level::ERROR);
        fs::rename(&aside, &path).unwrap();
        store.refresh().await.unwrap();
        assert_eq!(logged("the store can be read again").len(), round);
    }
    for secret in [code.as_str(), &code.to_string(), issued.token.as_str(), nonce, claim] {
        assert!(logged(secret).is_empty(), "{secret}");
    }
}
