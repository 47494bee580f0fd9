//! A setup code gives one session, once.

use std::time::Duration;

use nexo_pairing_core::{Actor, OnReplay, TokenClaims};
use nexo_pairing_store::{
    Cancellation, ClaimId, IssuedSession, RedeemError, Redemption, RedemptionState, Session,
};

use crate::support::{START, World, hours, minutes, moment};

/// The claims of a code that lives for ten minutes from the start; another one for each number.
fn claims(number: u64) -> TokenClaims {
    let (profile, expires_at) = ("companion-v1".to_owned(), moment(START + 600));
    TokenClaims::new(profile, expires_at, format!("{number:032x}"), Some("Ana's phone".into()))
}

fn claim_id(number: u64) -> ClaimId {
    ClaimId::parse(&format!("claim-{number:022}")).unwrap()
}

impl World {
    async fn redeem(&self, claim: Option<u64>) -> Result<IssuedSession, RedeemError> {
        self.redeem_with(claim, OnReplay::Revoke).await
    }

    async fn redeem_with(
        &self,
        claim: Option<u64>,
        on_replay: OnReplay,
    ) -> Result<IssuedSession, RedeemError> {
        let mut redemption = Redemption::new(claims(1));
        redemption.claim_id = claim.map(claim_id);
        redemption.on_replay = on_replay;
        self.store.redeem(redemption).await
    }

    /// Whether the token of a session is accepted now.
    async fn accepts(&self, issued: &IssuedSession) -> bool {
        self.store.session(&issued.token).await.unwrap().is_some()
    }

    async fn live(&self) -> Vec<Session> {
        self.store.list_sessions(false).await.unwrap()
    }
}

#[tokio::test]
async fn a_setup_code_gives_a_session() {
    let world = World::new().await;
    let issued = world.redeem(Some(1)).await.unwrap();
    assert_eq!(issued.token.as_str().len(), 43);
    let session = issued.session.clone();
    assert_eq!(session.profile, "companion-v1");
    assert_eq!(session.device_label.as_deref(), Some("Ana's phone"));
    assert_eq!(session.issued_at, moment(START));
    assert_eq!(session.expires_at, moment(START + 86_400));
    assert_eq!(session.renew_until, moment(START + 30 * 86_400));
    assert_eq!((session.last_seen_at, session.revoked_at), (None, None));
    assert_eq!(world.store.session(&issued.token).await.unwrap(), Some(session.clone()));
    assert_eq!(world.live().await, std::slice::from_ref(&session));
    let state = world.store.redemption(&claims(1).nonce).await.unwrap();
    assert_eq!(state, Some(RedemptionState::Claimed(session)));
    assert_eq!(world.store.redemption(&claims(2).nonce).await.unwrap(), None);
    assert_eq!(world.audit().await, ["device session_issued"]);
    world.pass(hours(24) - Duration::from_secs(1));
    assert!(world.accepts(&issued).await);
    world.pass(Duration::from_secs(1));
    assert!(!world.accepts(&issued).await);
}

#[tokio::test]
async fn the_client_that_asks_again_gets_a_new_token_for_its_session() {
    let world = World::new().await;
    let first = world.redeem(Some(1)).await.unwrap();
    world.pass(minutes(5));
    let again = world.redeem(Some(1)).await.unwrap();
    assert_eq!(again.session, first.session, "its end is not put off");
    assert!(world.accepts(&again).await && !world.accepts(&first).await);
    assert_eq!(world.live().await.len(), 1);
    assert_eq!(world.audit().await, ["device session_issued", "device session_reissued"]);
}

#[tokio::test]
async fn somebody_else_with_the_same_code_ends_the_session() {
    for second in [None, Some(2)] {
        let world = World::new().await;
        let first = world.redeem(Some(1)).await.unwrap();
        let told = world.redeem(second).await.unwrap_err();
        assert_eq!(told.kind(), "replayed");
        let RedeemError::Replayed { session: Some(session), revoked: true } = told else {
            panic!("{told:?}")
        };
        assert_eq!(
            (session.id, session.revoked_at),
            (first.session.id.clone(), Some(moment(START)))
        );
        assert!(!world.accepts(&first).await);
        assert_eq!(world.audit().await, ["device session_issued", "device replay"]);
        let told = world.redeem(Some(1)).await.unwrap_err();
        assert!(matches!(told, RedeemError::Replayed { revoked: false, .. }), "never revived");
        assert!(world.live().await.is_empty());
    }
}

#[tokio::test]
async fn where_replays_are_only_refused_the_session_lives_on() {
    let world = World::new().await;
    let first = world.redeem_with(None, OnReplay::Refuse).await.unwrap();
    let told = world.redeem_with(None, OnReplay::Refuse).await.unwrap_err();
    assert!(matches!(told, RedeemError::Replayed { revoked: false, .. }), "{told:?}");
    assert!(world.accepts(&first).await);
}

#[tokio::test]
async fn a_cancelled_code_gives_nothing() {
    let world = World::new().await;
    let cancel = || async { world.store.cancel(&claims(1), &Actor::cli()).await.unwrap() };
    assert_eq!(cancel().await, Cancellation::Cancelled);
    assert_eq!(cancel().await, Cancellation::AlreadyCancelled);
    assert_eq!(world.redeem(Some(1)).await.unwrap_err().kind(), "cancelled");
    assert_eq!(world.audit().await, ["cli code_cancelled"]);
    let state = world.store.redemption(&claims(1).nonce).await.unwrap();
    assert_eq!(state, Some(RedemptionState::Cancelled));
}

#[tokio::test]
async fn a_code_that_expired_in_the_meantime_gives_nothing_and_takes_nothing() {
    let world = World::new().await;
    let issued = world.redeem(Some(1)).await.unwrap();
    world.pass(minutes(10));
    for claim in [Some(1), Some(2), None] {
        let told = world.redeem(claim).await.unwrap_err();
        assert_eq!(told.kind(), "expired");
        assert_eq!(told.to_string(), "the setup code expired at 2027-01-15T08:10:00Z");
    }
    assert!(world.accepts(&issued).await);
}
