//! A day of a hostile crowd, on an injected clock: no table grows beyond its bound, nor does the file.
//!
//! `docs/threat-model.md` lists the bounds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use nexo_pairing::core::NewRequest;
use nexo_pairing::setup_code::TokenClaims;
use nexo_pairing::{
    Actor, ClaimId, Clock, GateOptions, Grant, ManualClock, Mode, PairingGate, PairingPolicy,
    PairingStore, RedeemError, Redemption, SessionToken, StoreOptions,
};
use nexo_pairing_tests::Home;
use time::OffsetDateTime;

const START: i64 = 1_800_000_000;

/// How many strangers write in a flood, each to an invented account of their own: more than may wait.
const FLOOD: u32 = NewRequest::MAX_PENDING_TOTAL + 500;

struct Crowd {
    home: Home,
    clock: Arc<ManualClock>,
    store: PairingStore,
    gate: PairingGate,
    /// A setup code that is valid all day and was seen by others.
    seen: TokenClaims,
    strangers: u32,
}

impl Crowd {
    async fn new() -> Self {
        let home = Home::new();
        let clock = ManualClock::new(OffsetDateTime::from_unix_timestamp(START).unwrap());
        let mut options = StoreOptions::default();
        options.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        // This test alone decides when it polls.
        options.poll_interval = Duration::from_secs(3600);
        let store = PairingStore::open_with(home.database(), options).await.unwrap();
        let options = GateOptions::default().with_clock(clock.clone());
        let gate = PairingGate::with_options(store.clone(), options);
        let expires_at = clock.now() + time::Duration::hours(24);
        let seen = TokenClaims::new("companion-v1".into(), expires_at, "ab".repeat(16), None);
        Self { home, clock, store, gate, seen, strangers: 0 }
    }

    /// Another stranger writes to an account.
    async fn stranger(&mut self, account: &str) {
        self.strangers += 1;
        let (sender, policy) =
            (format!("+1415{:07}", self.strangers), PairingPolicy::new(Mode::Pairing));
        // Rejected or not: only the rows that it leaves matter.
        let _ = self.gate.should_admit("whatsapp", account, &sender, &policy, None).await;
    }

    /// What a crowd does in a minute, besides the floods.
    async fn minute(&mut self, minute: u32) {
        for _ in 0..4 {
            self.stranger("main").await;
        }
        for _ in 0..3 {
            let replay = Redemption::new(self.seen.clone())
                .with_claim_id(ClaimId::parse(&format!("{:0>32}", minute % 7)).unwrap());
            let reply = self.store.redeem(replay).await;
            assert!(matches!(reply, Err(RedeemError::Replayed { .. }) | Ok(_)), "{reply:?}");
        }
        let token = SessionToken::parse(&"x".repeat(43)).unwrap();
        assert_eq!(self.store.session(&token).await.unwrap(), None);
        let guesser = Actor::parse("api:guesser").unwrap();
        for code in ["AAAAAAAA", "ABCDEFGH", "2222-2222"] {
            assert!(self.store.approve(code, &guesser, Grant::unlimited()).await.is_err());
        }
    }

    /// The number of rows of a table.
    fn rows(&self, table: &str) -> u64 {
        self.home.sqlite(&format!("SELECT count(*) FROM {table}")).trim().parse().unwrap()
    }

    /// Fails if a table is beyond its bound.
    fn check(&self, hour: u32) {
        let total = u64::from(NewRequest::MAX_PENDING_TOTAL);
        let hours = u64::from(hour) + 1;
        for (table, bound) in [
            ("pairing_pending", total),
            ("pairing_finished", 10_000),
            // Five unknown codes, thirty mistyped ones and a lockout in ten minutes.
            ("pairing_attempts", 36 * 6 * 24),
            ("pairing_changes", 10_000),
            ("pairing_redemptions", 1),
            ("pairing_sessions", 1),
            ("pairing_allow_from", 0),
            ("pairing_blocked", 0),
        ] {
            let rows = self.rows(table);
            assert!(rows <= bound, "hour {hour}: {rows} rows in {table}, {bound} are its bound");
        }
        let of = |actions: &str| self.rows(&format!("pairing_audit WHERE action IN ({actions})"));
        // Five at first, then one a minute.
        let replays = of("'replay', 'session_reissued'");
        assert!(replays <= 2 * (5 + 60 * hours), "hour {hour}: {replays} entries about replays");
        // One an actor in ten minutes.
        let lockouts = of("'lockout'");
        assert!(lockouts <= 6 * hours + 1, "hour {hour}: {lockouts} lockouts");
        // A request and its end; as many as may be live in an hour.
        let requests = of("'request', 'expire'");
        assert!(requests <= 2 * total * (hours + 1), "hour {hour}: {requests} about requests");
        let known = replays + lockouts + requests + of("'session_issued', 'session_ended'");
        assert_eq!(self.rows("pairing_audit"), known, "hour {hour}: unexpected entries");
    }

    fn file_bytes(&self) -> u64 {
        let size = |suffix: &str| {
            let mut path = self.home.database().into_os_string();
            path.push(suffix);
            fs::metadata(path).map_or(0, |metadata| metadata.len())
        };
        size("") + size("-wal")
    }
}

#[tokio::test]
async fn a_day_of_a_hostile_crowd_stays_within_its_bounds() {
    let mut crowd = Crowd::new().await;
    let first = crowd.store.redeem(Redemption::new(crowd.seen.clone())).await.unwrap();
    assert!(!first.is_repeated);
    let mut after_flood = Vec::new();
    for hour in 0..24 {
        if hour % 8 == 1 {
            for number in 0..FLOOD {
                crowd.stranger(&format!("invented-{hour}-{number}")).await;
            }
            assert_eq!(crowd.rows("pairing_pending"), u64::from(NewRequest::MAX_PENDING_TOTAL));
        }
        for minute in (0..60).step_by(3) {
            crowd.minute(hour * 60 + minute).await;
            crowd.clock.advance(Duration::from_secs(180));
        }
        crowd.store.purge_expired().await.unwrap();
        crowd.check(hour);
        if hour % 8 == 1 {
            after_flood.push(crowd.file_bytes());
        }
    }
    assert_eq!(crowd.rows("pairing_pending WHERE account_id = 'main'"), 0);
    // Only the audit entries of a flood are kept, for a year; other space is reused.
    let (first, last) = (after_flood[0], after_flood[2]);
    let audit = u64::from(2 * FLOOD) * 400;
    assert!(last <= first + 2 * audit, "{after_flood:?} bytes after each flood");
    println!("bytes after each flood: {after_flood:?}");
}
