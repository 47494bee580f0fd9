//! Any sequence of operations on codes and sessions is answered as a few plain rules say.

use std::time::Duration;

use nexo_pairing_core::{Actor, Filter, OnReplay, PairingBackend, TokenClaims};
use nexo_pairing_store::{
    Cancellation, PairingStore, RedeemError, Redemption, RedemptionState, Session, SessionId,
    SessionToken,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::redeem::claim_id;
use crate::support::{START, moment, options};

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

/// How long after the start the codes expire.
const CODES: [i64; 4] = [10 * MINUTE, DAY, 40 * DAY, 400 * DAY];
const TTLS: [i64; 4] = [MINUTE, DAY, 20 * DAY, 365 * DAY];
const STEPS: [i64; 10] =
    [1, 30, 59, MINUTE, 10 * MINUTE, DAY / 2, DAY, 19 * DAY, 30 * DAY, 366 * DAY];

#[derive(Debug, Clone)]
enum Op {
    Redeem {
        code: usize,
        claim: Option<u64>,
        ttl: i64,
        renew_for: i64,
        refuse: bool,
    },
    Cancel {
        code: usize,
    },
    /// These mean the session or the token with this number, modulo how many there were.
    Touch(usize),
    Renew(usize, i64),
    End(usize),
    Revoke(usize),
    Purge,
    Pass(i64),
    Back(i64),
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let number = || 0..100_usize;
    let (ttl, step) = (proptest::sample::select(&TTLS), proptest::sample::select(&STEPS));
    let claim = proptest::option::of(0..2_u64);
    let redeem = (0..CODES.len(), claim, ttl.clone(), ttl.clone(), any::<bool>());
    prop_oneof![
        12 => redeem.prop_map(|(code, claim, ttl, renew_for, refuse)| {
            Op::Redeem { code, claim, ttl, renew_for, refuse }
        }),
        2 => (0..CODES.len()).prop_map(|code| Op::Cancel { code }),
        3 => number().prop_map(Op::Touch),
        4 => (number(), ttl).prop_map(|(number, ttl)| Op::Renew(number, ttl)),
        2 => number().prop_map(Op::End),
        2 => number().prop_map(Op::Revoke),
        2 => Just(Op::Purge),
        8 => step.clone().prop_map(Op::Pass),
        2 => step.prop_map(Op::Back),
        1 => Just(Op::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        rng_seed: RngSeed::Fixed(0x5e55),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn sessions_in_memory_follow_the_rules(ops in proptest::collection::vec(op(), 1..60)) {
        play(&ops, false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        rng_seed: RngSeed::Fixed(0xf11e),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn sessions_in_a_file_follow_the_rules(ops in proptest::collection::vec(op(), 1..60)) {
        play(&ops, true);
    }
}

/// A session of the model's.
#[derive(Debug, Clone)]
struct Device {
    id: SessionId,
    issued: i64,
    expires: i64,
    renew_until: i64,
    seen: Option<i64>,
    revoked: Option<i64>,
    is_purged: bool,
}

impl Device {
    fn is_live(&self, now: i64) -> bool {
        !self.is_purged && self.revoked.is_none() && self.issued <= now + 5 && now < self.expires
    }

    fn wants_touch(&self, now: i64) -> bool {
        self.seen.is_none_or(|seen| now < seen - 5 || now >= seen + 60)
    }

    /// It is live, or will be when a clock that was set back is right again.
    fn can_end(&self, now: i64) -> bool {
        !self.is_purged && self.revoked.is_none() && now < self.expires
    }
}

/// What became of a code: cancelled, or used for a session (by its number) with a claim id.
#[derive(Debug, Clone, Copy)]
enum Use {
    Cancelled,
    Claimed(usize, Option<u64>),
}

struct Play {
    store: PairingStore,
    now: i64,
    codes: [Option<Use>; CODES.len()],
    devices: Vec<Device>,
    /// Every token there ever was, and of which session; `None` when there is a newer one.
    tokens: Vec<(SessionToken, Option<usize>)>,
    log: Vec<&'static str>,
}

fn play(ops: &[Op], in_file: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (clock, options) = options();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairing.db");
        let store = if in_file {
            PairingStore::open_with(&path, options.clone()).await.unwrap()
        } else {
            PairingStore::open_memory_with(options.clone()).await.unwrap()
        };
        let (codes, devices, tokens, log) = ([None; CODES.len()], vec![], vec![], vec![]);
        let mut play = Play { store, now: START, codes, devices, tokens, log };
        for op in ops {
            match op {
                Op::Pass(seconds) => play.now += seconds,
                Op::Back(seconds) => play.now -= seconds,
                Op::Reopen if in_file => {
                    play.store = PairingStore::open_memory().await.unwrap();
                    play.store = PairingStore::open_with(&path, options.clone()).await.unwrap();
                }
                op => play.step(op).await,
            }
            clock.set(moment(play.now));
            play.compare().await;
        }
        let log = play.store.audit(&Filter::all(), 10_000).await.unwrap();
        let log: Vec<_> = log.into_iter().map(|event| event.action).collect();
        assert_eq!(log, play.log);
    });
}

fn claims(code: usize) -> TokenClaims {
    let (profile, expires_at) = ("companion-v1".to_owned(), moment(START + CODES[code]));
    TokenClaims::new(profile, expires_at, format!("{code:032x}"), None)
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

impl Play {
    async fn step(&mut self, op: &Op) {
        let now = self.now;
        match *op {
            Op::Redeem { code, claim, ttl, renew_for, refuse } => {
                let mut redemption = Redemption::new(claims(code));
                redemption.claim_id = claim.map(claim_id);
                redemption.session_ttl = seconds(ttl);
                redemption.renew_for = seconds(renew_for);
                redemption.on_replay = if refuse { OnReplay::Refuse } else { OnReplay::Revoke };
                self.redeem(code, claim, refuse, redemption).await;
            }
            Op::Cancel { code } => {
                let answer = self.store.cancel(&claims(code), &Actor::cli()).await.unwrap();
                match (self.codes[code], answer) {
                    (None, Cancellation::Cancelled) => {
                        self.codes[code] = Some(Use::Cancelled);
                        self.log.push("code_cancelled");
                    }
                    (Some(Use::Cancelled), Cancellation::AlreadyCancelled) => {}
                    (Some(Use::Claimed(number, _)), Cancellation::AlreadyUsed(session)) => {
                        assert_eq!(session.as_ref().map(told), self.kept(number));
                    }
                    (used, answer) => panic!("{op:?}: {answer:?}, not {used:?}"),
                }
            }
            Op::Purge => {
                let month_ago = now - 30 * DAY;
                let is_due = |device: &Device| {
                    device.expires <= month_ago
                        || device.revoked.is_some_and(|at| at <= month_ago) && device.expires <= now
                };
                let devices = self.devices.iter_mut();
                let due: Vec<_> =
                    devices.filter(|device| !device.is_purged && is_due(device)).collect();
                assert_eq!(self.store.purge_sessions().await.unwrap(), due.len() as u64);
                due.into_iter().for_each(|device| device.is_purged = true);
            }
            Op::Touch(number) if !self.devices.is_empty() => {
                let number = number % self.devices.len();
                let device = &mut self.devices[number];
                self.store.touch(&device.id).await.unwrap();
                if device.is_live(now) && device.wants_touch(now) {
                    device.seen = Some(now);
                }
            }
            Op::Revoke(number) if !self.devices.is_empty() => {
                let number = number % self.devices.len();
                let id = self.devices[number].id.clone();
                let answer = self.store.revoke_session(&id, &Actor::cli()).await.unwrap();
                let has_ended = self.end(number, "session_revoked");
                let expected = self.kept(number).filter(|_| has_ended);
                assert_eq!(answer.as_ref().map(told), expected, "{op:?}");
            }
            Op::End(number) if !self.tokens.is_empty() => {
                let (token, of) = self.tokens[number % self.tokens.len()].clone();
                let answer = self.store.end_session(&token).await.unwrap();
                let has_ended = of.is_some_and(|device| self.end(device, "session_ended"));
                assert_eq!(answer, has_ended, "{op:?}");
            }
            Op::Renew(number, ttl) if !self.tokens.is_empty() => {
                let (token, of) = self.tokens[number % self.tokens.len()].clone();
                let answer = self.store.renew_session(&token, seconds(ttl)).await.unwrap();
                let of = of.filter(|&device| self.devices[device].is_live(now));
                if let Some(device) = of {
                    let device = &mut self.devices[device];
                    device.expires = device.expires.max((now + ttl).min(device.renew_until));
                }
                let expected = of.and_then(|device| self.kept(device));
                assert_eq!(answer.as_ref().map(told), expected, "{op:?}");
            }
            _ => {}
        }
    }

    async fn redeem(
        &mut self,
        code: usize,
        claim: Option<u64>,
        refuse: bool,
        redemption: Redemption,
    ) {
        let now = self.now;
        let ttl = i64::try_from(redemption.session_ttl.as_secs()).unwrap();
        let renew_for = i64::try_from(redemption.renew_for.as_secs()).unwrap();
        let answer = self.store.redeem(redemption).await;
        if now >= START + CODES[code] {
            assert!(matches!(answer, Err(RedeemError::Expired { .. })), "{answer:?}");
            return;
        }
        match self.codes[code] {
            None => {
                let issued = answer.unwrap();
                let device = Device {
                    id: issued.session.id.clone(),
                    issued: now,
                    expires: now + ttl,
                    renew_until: now + renew_for.max(ttl),
                    seen: None,
                    revoked: None,
                    is_purged: false,
                };
                let number = self.devices.len();
                self.devices.push(device);
                self.tokens.push((issued.token, Some(number)));
                self.codes[code] = Some(Use::Claimed(number, claim));
                self.log.push("session_issued");
                assert_eq!(Some(told(&issued.session)), self.kept(number));
            }
            Some(Use::Cancelled) => assert_eq!(answer.unwrap_err().kind(), "cancelled"),
            Some(Use::Claimed(number, first)) => {
                let is_same = claim.is_some() && claim == first;
                if is_same && self.devices[number].is_live(now) {
                    let issued = answer.unwrap();
                    assert_eq!(Some(told(&issued.session)), self.kept(number));
                    let voided = self.tokens.iter_mut().filter(|(_, of)| *of == Some(number));
                    voided.for_each(|(_, of)| *of = None);
                    self.tokens.push((issued.token, Some(number)));
                    self.log.push("session_reissued");
                    return;
                }
                let ends = !is_same && !refuse && self.devices[number].can_end(now);
                if ends {
                    self.devices[number].revoked = Some(now);
                }
                self.log.push("replay");
                let Err(RedeemError::Replayed { session, revoked }) = answer else {
                    panic!("{answer:?}")
                };
                let session = session.as_deref().map(told);
                assert_eq!((session, revoked), (self.kept(number), ends));
            }
        }
    }

    /// Ends a session, if it can be ended.
    fn end(&mut self, number: usize, action: &'static str) -> bool {
        let (now, device) = (self.now, &mut self.devices[number]);
        let ends = device.can_end(now);
        if ends {
            device.revoked = Some(now);
            self.log.push(action);
        }
        ends
    }

    /// A session as the store should tell it, unless it was put away.
    fn kept(&self, number: usize) -> Option<Told> {
        let device = &self.devices[number];
        let times = [device.issued, device.expires, device.renew_until];
        let told = (device.id.clone(), times, device.seen, device.revoked);
        Some(told).filter(|_| !device.is_purged)
    }

    /// Whether the store knows what the model knows.
    async fn compare(&self) {
        let (store, now) = (&self.store, self.now);
        for include_ended in [false, true] {
            let listed = store.list_sessions(include_ended).await.unwrap();
            let listed: Vec<_> = listed.iter().map(told).collect();
            let numbers = 0..self.devices.len();
            let is_shown = |number: &usize| include_ended || self.devices[*number].is_live(now);
            let mut expected: Vec<_> =
                numbers.filter(is_shown).filter_map(|number| self.kept(number)).collect();
            expected.sort_by_key(|(_, [issued, ..], ..)| *issued);
            assert_eq!(listed, expected);
        }
        for (token, of) in &self.tokens {
            let found = store.session(token).await.unwrap();
            let expected = of.filter(|&number| self.devices[number].is_live(now));
            let expected = expected.and_then(|number| self.kept(number));
            assert_eq!(found.as_ref().map(told), expected);
            if let (Some(found), Some(number)) = (found, of) {
                assert_eq!(found.wants_touch(moment(now)), self.devices[*number].wants_touch(now));
            }
        }
        for (code, used) in self.codes.iter().enumerate() {
            let state = store.redemption(&claims(code).nonce).await.unwrap();
            match (used, state) {
                (None, None) | (Some(Use::Cancelled), Some(RedemptionState::Cancelled)) => {}
                (Some(Use::Claimed(number, _)), Some(RedemptionState::Claimed(session))) => {
                    assert_eq!(Some(told(&session)), self.kept(*number));
                }
                (Some(Use::Claimed(number, _)), Some(RedemptionState::Forgotten)) => {
                    assert!(self.devices[*number].is_purged);
                }
                (used, state) => panic!("{state:?}, not {used:?}"),
            }
        }
    }
}

/// Id; issued at, expires at, renew until; last seen at; revoked at.
type Told = (SessionId, [i64; 3], Option<i64>, Option<i64>);

fn told(session: &Session) -> Told {
    let seconds = |at: time::OffsetDateTime| at.unix_timestamp();
    let times = [session.issued_at, session.expires_at, session.renew_until].map(seconds);
    let (seen, revoked) = (session.last_seen_at.map(seconds), session.revoked_at.map(seconds));
    (session.id.clone(), times, seen, revoked)
}
