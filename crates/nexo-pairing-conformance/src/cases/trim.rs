//! Trimming, row by row: the newest rows are those that were written last, whatever their times
//! say, and no more are deleted than asked for.

use nexo_pairing_core::rules::{EndedRequest, RequestEnd};
use nexo_pairing_core::{Actor, AuditAction, AuditEvent, PairingCode, Session, SessionId};
use nexo_pairing_engine::{
    Attempt, AttemptKind, AuditRow, AuditTrim, Caller, LockKey, OutcomeRow, PortResult,
    RedemptionRow, Repeats, RequestRow, Rows, SessionRow, Trim,
};
use serde_json::json;

use crate::prelude::*;
use crate::world::{START, actor, key, moment};

impl<S: Storage> World<S> {
    /// Runs row operations, as the engine does.
    async fn rows<T: Send + 'static>(
        &self,
        mut locks: Vec<LockKey>,
        work: impl Fn(&mut dyn Rows) -> PortResult<T> + Send + Sync + 'static,
    ) -> T {
        locks.sort_unstable();
        let locked = move |rows: &mut dyn Rows| {
            rows.lock(&locks)?;
            work(rows)
        };
        self.store.storage().write(Caller::Operator, locked).await.unwrap()
    }
}

fn code(number: u8) -> PairingCode {
    PairingCode::from_random([0, 0, 0, 0, 0, 0, number])
}

/// The locks for the requests of `+1`.
fn of_requests() -> Vec<LockKey> {
    vec![LockKey::sender(&key("+1")), LockKey::Requests]
}

/// Adds a request of `+1`, which ends so long after the start.
fn add_outcome(rows: &mut dyn Rows, number: u8, end: RequestEnd, after: i64) -> PortResult<()> {
    let (key, code) = (key("+1"), code(number));
    let ended = EndedRequest { end, at: moment(START + after), strikes: 0 };
    let outcome = OutcomeRow { key: key.clone(), code: code.clone(), ended };
    assert!(!rows.delete_request(&key, &code)?, "there is no request yet");
    let (created_at, expires_at) = (START, START + 3600);
    let meta = "null".to_owned();
    let request = RequestRow { key, code, created_at, expires_at, challenged_at: START, meta };
    assert!(rows.insert_request(&request)?);
    assert!(rows.delete_request(&outcome.key, &outcome.code)?);
    rows.insert_outcome(&outcome)
}

/// The numbers that have an outcome.
fn known(rows: &dyn Rows, numbers: std::ops::Range<u8>) -> PortResult<Vec<u8>> {
    let mut known = Vec::new();
    for number in numbers {
        if !rows.outcomes_of_code(&code(number))?.is_empty() {
            known.push(number);
        }
    }
    Ok(known)
}

pub async fn the_newest_outcomes_are_the_last_written<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let (first, rest, left) = world
        .rows(of_requests(), |rows| {
            for number in 0..12 {
                // The clock goes back.
                add_outcome(rows, number, RequestEnd::Rejected, -i64::from(number))?;
            }
            assert_eq!(rows.last_outcome(&key("+1"))?.unwrap().at, moment(START - 11));
            let beyond = Trim::Outcomes { keep: 5, until: i64::MIN, expired_until: i64::MIN };
            let first = rows.trim(beyond, 3)?;
            let rest = rows.trim(beyond, 100)?;
            Ok((first, rest, known(rows, 0..12)?))
        })
        .await;
    assert_eq!((first, rest, left), (3, 4, vec![7, 8, 9, 10, 11]));
}

pub async fn expiries_are_remembered_for_longer<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let (trimmed, left) = world
        .rows(of_requests(), |rows| {
            let ends = [RequestEnd::Expired, RequestEnd::Rejected, RequestEnd::Approved];
            for (number, end) in (0..).zip(ends.into_iter().cycle().take(9)) {
                add_outcome(rows, number, end, 10 * i64::from(number))?;
            }
            let (until, expired_until) = (START + 50, START + 29);
            let trimmed = rows.trim(Trim::Outcomes { keep: 100, until, expired_until }, 100)?;
            Ok((trimmed, known(rows, 0..9)?))
        })
        .await;
    assert_eq!((trimmed, left), (5, vec![3, 6, 7, 8]));
}

pub async fn attempts_are_trimmed_by_their_time<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let counts = world
        .rows(["a", "b"].map(|name| LockKey::Actor(actor(name))).into(), |rows| {
            for (name, at) in [("a", 1), ("b", 2), ("a", 3), ("a", 4)] {
                let attempt = Attempt { kind: AttemptKind::Unknown, at: START + at };
                rows.insert_attempt(&actor(name), attempt)?;
            }
            let trimmed = rows.trim(Trim::Attempts(START + 3), 100)?;
            let left = rows.attempts(&actor("a"), START)?;
            let of_b = rows.delete_attempts(&actor("b"))?.len();
            Ok((trimmed, left.len(), left[0].at - START, of_b))
        })
        .await;
    assert_eq!(counts, (3, 1, 4, 0));
}

fn session(number: u8, expires: i64) -> SessionRow {
    let id = SessionId::from_random([number; 8]);
    let (start, end) = (moment(START), moment(START + expires));
    let session = Session::new(id, "companion-v1".to_owned(), start, end, end);
    SessionRow { session, token: vec![number; 32], revoked_via: None }
}

pub async fn sessions_end_before_they_are_deleted<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let (found, deleted) = world
        .rows(Vec::new(), |rows| {
            for number in 1..=4 {
                rows.put_session(&session(number, 10 * i64::from(number)))?;
            }
            let ended = rows.trim(Trim::ExpiredSessions(START + 20), 1)?;
            assert_eq!(ended, 1);
            assert_eq!(rows.trim(Trim::ExpiredSessions(START + 20), 100)?, 1);
            let found = rows.session_by_token(&[2; 32])?.unwrap();
            let over = |after: i64| Trim::Sessions {
                revoked_until: START + after,
                expired_until: START + 15,
            };
            let deleted = [rows.trim(over(9), 100)?, rows.trim(over(20), 100)?];
            assert!(rows.session_by_token(&[1; 32])?.is_none());
            Ok((found, deleted))
        })
        .await;
    assert_eq!(found.session.revoked_at, Some(found.session.expires_at));
    assert_eq!(found.revoked_via.as_deref(), Some("expiry"));
    assert_eq!(deleted, [0, 1], "the second lives until {}", found.session.expires_at);
    assert_eq!(world.store.list_sessions(true).await.unwrap().len(), 3);
}

fn nonce(number: i64) -> String {
    format!("{number:032x}")
}

pub async fn the_newest_setup_codes_stay_known<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let (trimmed, left) = world
        .rows((0..8).map(|number| LockKey::Nonce(nonce(number))).collect(), |rows| {
            for number in 0..8 {
                let (replays, reissues) = (Repeats::default(), Repeats::default());
                // The third lives longer.
                let expires_at = if number == 2 { START + 1000 } else { START - number };
                let row = RedemptionRow {
                    nonce: nonce(number),
                    session: None,
                    claim_id: None,
                    redeemed_at: START,
                    expires_at,
                    peer: None,
                    replays,
                    reissues,
                };
                assert!(rows.insert_redemption(&row)?);
                assert!(!rows.insert_redemption(&row)?, "only the first counts");
            }
            let trimmed = rows.trim(Trim::Redemptions { expired_until: START, keep: 3 }, 100)?;
            let mut left = Vec::new();
            for number in 0..8 {
                left.extend(rows.redemption(&nonce(number))?.map(|_| number));
            }
            Ok((trimmed, left))
        })
        .await;
    assert_eq!((trimmed, left), (4, vec![2, 5, 6, 7]));
}

pub async fn the_audit_log_is_trimmed_up_to_the_first_kept_entry<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let looked_at = world
        .rows(Vec::new(), |rows| {
            // The third is from the future and proves nothing about later ones.
            for at in [1, 2, 900, 3, 60, 4] {
                let (actor, action) = (Actor::gate(), AuditAction::Expire);
                let event = AuditEvent::new(0, moment(START + at), actor, action, json!(at));
                rows.append_audit(&AuditRow { event, session: None, device_label: None })?;
            }
            let (oldest, newest) = (START + 50, START + 100);
            let from = |after| AuditTrim { after, oldest, newest };
            let first = rows.trim_audit(from(i64::MIN), 2)?;
            let second = rows.trim_audit(from(first.unwrap()), 1)?;
            let third = rows.trim_audit(from(second.unwrap()), 100)?;
            Ok((first < second, third))
        })
        .await;
    assert_eq!(looked_at, (true, None), "it has reached an entry that stays");
    let left = world.store.audit(&Default::default(), 100).await.unwrap();
    let left: Vec<_> = left.iter().map(|event| event.detail.as_i64().unwrap()).collect();
    assert_eq!(left, [900, 60, 4]);
}
