//! A program that depends on the facade alone can use the whole API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use nexo_pairing::core::NewRequest;
use nexo_pairing::{
    AccountId, ChannelId, DEFAULT_TTL, IssuerOptions, MAX_TTL, MIN_TTL, PairingStore, RandomError,
    RandomSource, SenderId, SenderKey, SetupCodeIssuer, StoreOptions, UpsertOutcome, limits,
};
use nexo_pairing_tests::Home;

/// Bytes of a counter.
#[derive(Debug, Default)]
struct Counting(AtomicU8);

impl RandomSource for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        bytes.fill(self.0.fetch_add(1, Ordering::SeqCst));
        Ok(())
    }
}

#[tokio::test]
async fn one_source_of_randomness_serves_the_store_and_the_issuer() {
    let home = Home::new();
    let random: Arc<dyn RandomSource> = Arc::new(Counting::default());

    let options = IssuerOptions::default().with_random(random.clone());
    let issuer = SetupCodeIssuer::open_with(home.path().join("a.key"), options).unwrap();
    let code = issuer.issue("wss://h/pair", "companion-v1", DEFAULT_TTL, None).unwrap();
    assert_eq!(issuer.verify(&code.bootstrap_token).unwrap().nonce, "01".repeat(16));

    let options = StoreOptions::default().with_random(random);
    let store = PairingStore::open_with(home.database(), options).await.unwrap();
    let ids = (ChannelId::parse("telegram").unwrap(), AccountId::default_account());
    let key = SenderKey::new(ids.0, ids.1, SenderId::parse("7").unwrap());
    let UpsertOutcome::Created { code, .. } =
        store.upsert_pending(NewRequest::new(key)).await.unwrap()
    else {
        panic!("a stranger's first request is made");
    };
    assert_eq!(code, nexo_pairing::PairingCode::from_random([2; 7]));
}

#[test]
fn the_facade_exports_the_bounds_of_setup_codes() {
    let home = Home::new();
    let issuer = SetupCodeIssuer::open_or_create(home.path().join("a.key")).unwrap();
    let issue = |ttl| issuer.issue("wss://h/pair", "companion-v1", ttl, None);
    assert!(issue(MIN_TTL).is_ok() && issue(MAX_TTL).is_ok());
    assert!(issue(MIN_TTL / 2).is_err() && issue(MAX_TTL * 2).is_err());
    assert_eq!(limits::SETUP_CODE_TTL.default, DEFAULT_TTL);
}
