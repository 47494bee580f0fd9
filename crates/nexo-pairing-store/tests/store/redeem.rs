//! A setup code gives one session, once.

use nexo_pairing_core::{
    ClaimId, IssuedSession, OnReplay, RedeemError, Redemption, Session, TokenClaims,
};

use crate::support::{START, World, moment};

/// The claims of a code that lives for ten minutes from the start; another one for each number.
pub(crate) fn claims(number: u64) -> TokenClaims {
    let (profile, expires_at) = ("companion-v1".to_owned(), moment(START + 600));
    TokenClaims::new(profile, expires_at, format!("{number:032x}"), Some("Ana's phone".into()))
}

pub(crate) fn claim_id(number: u64) -> ClaimId {
    ClaimId::parse(&format!("claim-{number:022}")).unwrap()
}

/// What a client does with the code of a number, with a claim id or without one.
pub(crate) fn redemption(code: u64, claim: Option<u64>) -> Redemption {
    let mut redemption = Redemption::new(claims(code));
    redemption.claim_id = claim.map(claim_id);
    redemption
}

impl World {
    /// Uses the code with the number 1.
    pub(crate) async fn redeem(&self, claim: Option<u64>) -> Result<IssuedSession, RedeemError> {
        self.store.redeem(redemption(1, claim)).await
    }

    /// A session of its own for each number.
    pub(crate) async fn device(&self, number: u64) -> IssuedSession {
        self.store.redeem(redemption(number, None)).await.unwrap()
    }

    /// Whether the token of a session is accepted now.
    pub(crate) async fn accepts(&self, issued: &IssuedSession) -> bool {
        self.store.session(&issued.token).await.unwrap().is_some()
    }

    pub(crate) async fn live(&self) -> Vec<Session> {
        self.store.list_sessions(false).await.unwrap()
    }
}

#[tokio::test]
async fn a_session_from_the_future_gives_no_other_token_and_a_thief_still_ends_it() {
    let world = World::new().await;
    let issued = world.redeem(Some(1)).await.unwrap();
    world.clock.set(moment(START - 3600));
    assert!(!world.accepts(&issued).await);
    // The client itself does no harm by asking again.
    let told = world.redeem(Some(1)).await.unwrap_err();
    assert!(matches!(told, RedeemError::Replayed { revoked: false, .. }), "{told:?}");
    world.clock.set(moment(START));
    assert!(world.accepts(&issued).await);
    world.clock.set(moment(START - 3600));
    let told = world.redeem(Some(2)).await.unwrap_err();
    assert!(matches!(told, RedeemError::Replayed { revoked: true, .. }), "{told:?}");
    world.clock.set(moment(START));
    assert!(!world.accepts(&issued).await);
}

/// Has ten clients on two handles use one code at once; says who got a session.
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
    assert_eq!(accepted, 1, "the last one");
}
