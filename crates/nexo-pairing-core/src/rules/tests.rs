use std::cell::Cell;
use std::collections::HashSet;
use std::time::Duration;

use super::*;
use crate::{AccountId, ChannelId, Decision, PairingCode, PairingPolicy, SenderId, SenderKey};

/// The rules in order, with their names in metrics and logs.
const RULES: [(Rule, &str); 13] = [
    (Rule::Stale, "stale"),
    (Rule::UnknownAccount, "unknown_account"),
    (Rule::Blocked, "blocked"),
    (Rule::NotPairable, "not_pairable"),
    (Rule::Open, "open"),
    (Rule::Allowed, "allowed"),
    (Rule::NotAllowed, "not_allowed"),
    (Rule::NotDirect, "not_direct"),
    (Rule::Waiting, "waiting"),
    (Rule::AlreadyChallenged, "already_challenged"),
    (Rule::ChallengeAgain, "challenge_again"),
    (Rule::PendingFull, "pending_full"),
    (Rule::Challenge, "challenge"),
];

#[test]
fn rules_have_numbers_names_and_reasons() {
    for (number, (rule, name)) in (1..).zip(RULES) {
        assert_eq!((rule.number(), rule.as_str()), (number, name));
    }
    assert_eq!(RULES.map(|(rule, _)| rule), Rule::ALL);
    let sentences: HashSet<&str> = RULES.iter().map(|(rule, _)| rule.reason()).collect();
    assert_eq!(sentences.len(), RULES.len());
    assert!(sentences.iter().all(|sentence| sentence.contains(' ')), "{sentences:?}");
}

#[test]
fn a_drop_reason_has_one_name_everywhere() {
    for reason in DropReason::ALL {
        let name = reason.as_str();
        assert!(RULES.iter().any(|(_, rule)| *rule == name), "{name}");
        assert_eq!(reason.to_string(), name);
        assert_eq!(serde_json::to_value(reason).unwrap(), name);
    }
    for rule in Rule::ALL {
        if let Some(DecisionKind::Drop(reason)) = rule.decision_kind(Mode::Pairing) {
            assert_eq!(reason.as_str(), rule.as_str());
        }
    }
}

#[test]
fn outcomes_and_rules_agree() {
    let key = SenderKey::new(
        ChannelId::parse("test").unwrap(),
        AccountId::default_account(),
        SenderId::parse("1").unwrap(),
    );
    let (code, expires_at) = (PairingCode::from_random([7; 7]), at(0));
    let created = UpsertOutcome::Created { key: key.clone(), code: code.clone(), expires_at };
    let repeated = UpsertOutcome::Repeated { key, code, expires_at };
    for (outcome, rule) in [(created, Rule::Challenge), (repeated, Rule::ChallengeAgain)] {
        assert_eq!((outcome.rule(), UpsertOutcome::without_code(rule)), (rule, None));
        assert_eq!(rule.decision_kind(Mode::Pairing), Some(DecisionKind::Challenge));
        assert_eq!(outcome.into_decision().0.as_str(), "challenge");
    }
    for rule in Rule::ALL {
        let Some(outcome) = UpsertOutcome::without_code(rule) else { continue };
        let found = outcome.rule();
        assert!(found == rule || found == Rule::Blocked, "{rule:?}");
        let decision = found.decision_kind(Mode::Pairing).and_then(Decision::without_code);
        assert_eq!(outcome.into_decision(), (decision.unwrap(), None));
        let admits = |rule: Rule| rule.decision_kind(Mode::Pairing) == Some(DecisionKind::Admit);
        assert!(admits(rule) || !admits(found), "{rule:?} admits nobody");
    }
}

/// The time in all cases, in seconds.
const NOW: i64 = 1_800_000_000;

const COOLDOWN: i64 = 300;

/// A period in seconds; without an end, it is always valid.
type Life = (i64, Option<i64>);

/// The facts of a case as plain data.
#[derive(Debug)]
struct Case {
    message: MessageFacts,
    has_blocks: bool,
    is_blocked: bool,
    grants: &'static [Life],
    waits: &'static [Life],
    /// The life of each request, and its last challenge.
    requests: &'static [(Life, i64)],
    live: usize,
    live_in_all: usize,
}

impl SenderFacts for Case {
    fn has_blocks(&self) -> bool {
        self.has_blocks
    }
    fn is_blocked(&self) -> bool {
        self.is_blocked
    }
    fn grants(&self) -> impl Iterator<Item = Validity> {
        self.grants.iter().copied().map(span)
    }
    fn waits(&self) -> impl Iterator<Item = Validity> {
        self.waits.iter().copied().map(span)
    }
    fn requests(&self) -> impl Iterator<Item = (Validity, OffsetDateTime)> {
        self.requests.iter().map(|(life, challenged)| (span(*life), at(*challenged)))
    }
    fn live_requests(&self, now: OffsetDateTime) -> usize {
        assert_eq!(now, at(NOW));
        self.live
    }
    fn live_requests_in_all(&self, now: OffsetDateTime) -> usize {
        assert_eq!(now, at(NOW));
        self.live_in_all
    }
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

fn span((from, until): Life) -> Validity {
    until.map_or(Validity::Always, |until| Validity::Between(at(from), at(until)))
}

/// A row of the table in `docs/protocol.md`: rule, condition, decision.
type Row = (Rule, fn(&Case) -> bool, fn(&Case) -> &'static str);

/// The table, of which the first row that matches decides.
const TABLE: [Row; 13] = [
    (
        Rule::Stale,
        |case| match case.message.freshness {
            Freshness::Current => false,
            Freshness::Stale { may_have_blocks } => !is_open(case) || may_have_blocks,
        },
        |_| "error",
    ),
    (Rule::UnknownAccount, |case| !case.message.is_known_account, |_| "drop unknown_account"),
    (
        Rule::Blocked,
        |case| case.is_blocked || (case.has_blocks && case.message.has_unreadable_id),
        |_| "drop blocked",
    ),
    (
        Rule::NotPairable,
        |case| !case.message.is_pairable,
        |case| if is_open(case) { "admit" } else { "drop not_pairable" },
    ),
    (Rule::Open, is_open, |_| "admit"),
    (Rule::Allowed, |case| case.grants.iter().any(is_live), |_| "admit"),
    (Rule::NotAllowed, |case| case.message.mode == Mode::Allowlist, |_| "drop not_allowed"),
    (Rule::NotDirect, |case| !case.message.is_direct, |_| "drop not_direct"),
    (Rule::Waiting, |case| case.waits.iter().any(is_live), |_| "drop waiting"),
    (
        Rule::AlreadyChallenged,
        |case| {
            let challenged = pending(case).map(|(_, challenged)| *challenged);
            challenged.is_some_and(|at| is_live(&(at, Some(at + COOLDOWN))))
        },
        |_| "drop already_challenged",
    ),
    (Rule::ChallengeAgain, |case| pending(case).is_some(), |_| "challenge"),
    (Rule::PendingFull, |case| case.live >= 3 || case.live_in_all >= 10, |_| "drop pending_full"),
    (Rule::Challenge, |_| true, |_| "challenge"),
];

fn is_open(case: &Case) -> bool {
    case.message.mode == Mode::Open
}

/// The first request that is pending.
fn pending(case: &Case) -> Option<&(Life, i64)> {
    case.requests.iter().find(|(life, _)| is_live(life))
}

/// A time stamp from the future counts as expired, unless it is no more than five seconds ahead.
fn is_live((from, until): &Life) -> bool {
    until.is_none_or(|until| NOW < until && *from <= NOW + 5)
}

const LIVES: &[&[Life]] = &[
    &[],
    &[(NOW + 100, None)],
    &[(NOW - 10, Some(NOW + 1))],
    &[(NOW - 10, Some(NOW))],
    &[(NOW + 5, Some(NOW + 60))],
    &[(NOW + 6, Some(NOW + 60))],
    &[(NOW - 20, Some(NOW - 10)), (NOW - 10, Some(NOW + 10))],
];

const LIVE: Life = (NOW - 600, Some(NOW + 600));
const OVER: Life = (NOW - 600, Some(NOW));

const REQUESTS: &[&[(Life, i64)]] = &[
    &[],
    &[(LIVE, NOW - COOLDOWN + 1)],
    &[(LIVE, NOW - COOLDOWN)],
    &[(LIVE, NOW + 5)],
    &[(LIVE, NOW + 6)],
    &[(OVER, NOW)],
    &[((NOW + 6, Some(NOW + 60)), NOW)],
    &[(OVER, NOW), (LIVE, NOW - COOLDOWN), (LIVE, NOW)],
];

/// All messages.
fn messages() -> Vec<MessageFacts> {
    let stale = |may_have_blocks| Freshness::Stale { may_have_blocks };
    let mut messages = Vec::new();
    for mode in [Mode::Open, Mode::Allowlist, Mode::Pairing] {
        for freshness in [Freshness::Current, stale(false), stale(true)] {
            for bits in 0..16 {
                messages.push(MessageFacts {
                    mode,
                    freshness,
                    is_known_account: bits & 1 != 0,
                    is_pairable: bits & 2 != 0,
                    has_unreadable_id: bits & 4 != 0,
                    is_direct: bits & 8 != 0,
                });
            }
        }
    }
    messages
}

#[test]
fn every_combination_of_facts_is_decided_as_the_table_says() {
    let limits = Limits {
        max_pending: 3,
        max_pending_total: 10,
        challenge_cooldown: Duration::from_secs(COOLDOWN as u64),
    };
    let mut found = HashSet::new();
    let check = |case: &Case, found: &mut HashSet<Rule>| {
        let asked = Cell::new(0);
        let rule = evaluate(&case.message, &limits, case, || {
            asked.set(asked.get() + 1);
            at(NOW)
        });
        let (expected, _, decides) = TABLE.iter().find(|(_, matches, _)| matches(case)).unwrap();
        assert_eq!(rule, *expected, "{case:?}");
        let kind = rule.decision_kind(case.message.mode);
        let decision = match kind {
            Some(DecisionKind::Drop(reason)) => format!("drop {reason}"),
            other => other.map_or("error", DecisionKind::as_str).to_owned(),
        };
        assert_eq!(decision, decides(case), "{case:?}");
        assert!(asked.get() <= 1, "{case:?}");
        assert!(Rule::ALL.contains(&rule));
        found.insert(rule);
    };
    for message in messages() {
        for (has_blocks, is_blocked) in [(false, false), (true, false), (true, true)] {
            for (grants, waits) in LIVES.iter().flat_map(|a| LIVES.iter().map(move |b| (a, b))) {
                for requests in REQUESTS {
                    for (live, live_in_all) in [(2, 9), (3, 9), (4, 9), (2, 10), (2, 11)] {
                        let case = Case {
                            message,
                            has_blocks,
                            is_blocked,
                            grants,
                            waits,
                            requests,
                            live,
                            live_in_all,
                        };
                        check(&case, &mut found);
                    }
                }
            }
        }
    }
    assert_eq!(found.len(), Rule::ALL.len(), "every rule decides some case: {found:?}");
}

#[test]
fn the_time_is_read_only_where_a_period_is_checked() {
    let message = MessageFacts {
        mode: Mode::Pairing,
        freshness: Freshness::Current,
        is_known_account: true,
        is_pairable: true,
        has_unreadable_id: false,
        is_direct: true,
    };
    let limits = Limits::of_policy(&PairingPolicy::default(), 10);
    let decide = |case: &Case| evaluate(&case.message, &limits, case, || unreachable!());
    let mut case = Case {
        message,
        has_blocks: true,
        is_blocked: true,
        grants: &[],
        waits: &[],
        requests: &[],
        live: 0,
        live_in_all: 0,
    };
    assert_eq!(decide(&case), Rule::Blocked);
    case.is_blocked = false;
    case.message.mode = Mode::Allowlist;
    assert_eq!(decide(&case), Rule::NotAllowed);
    case.grants = &[(0, None)];
    assert_eq!(decide(&case), Rule::Allowed);
}
