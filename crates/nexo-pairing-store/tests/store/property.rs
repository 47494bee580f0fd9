//! Any sequence of operations is answered as the rules say.

use std::collections::BTreeSet;
use std::time::Duration;

use nexo_pairing_core::{
    AccountScope, ChannelId, Filter, Grant, NewRequest, PairingBackend, PairingError, SenderKey,
    Target, UpsertOutcome,
};
use nexo_pairing_store::PairingStore;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::mirrored::Copy;
use crate::model::{Key, Model, Outcome, Refusal, Request, Use};
use crate::support::{START, account, actor, mistyped, moment, options, sender, unknown};

const CHANNELS: [&str; 2] = ["telegram", "whatsapp"];
const ACCOUNTS: [&str; 2] = ["personal", "work"];
const SENDERS: [&str; 4] = ["+1", "+2", "+3", "lid:1"];
const ACTORS: [&str; 2] = ["api:bo", "cli"];
const STEPS: [i64; 10] = [1, 9, 60, 300, 601, 3000, 3600, 3 * 3600, 86_399, 86_400];

#[derive(Debug, Clone)]
enum Op {
    Message { key: Key, alt: Vec<String>, max: u32, ttl: i64, cooldown: i64 },
    Undelivered { key: Key },
    Approve { code: Code, actor: String, limit: Option<i64> },
    Reject { code: Code, actor: String },
    Revoke { target: Key, actor: String },
    Block { target: Key, actor: String, reason: Option<String> },
    Unblock { target: Key, actor: String },
    Seed { key: Key, ids: Vec<String>, actor: String },
    Forget { target: Key, actor: String },
    Unlock { locked: String, actor: String },
    Purge,
    Pass(i64),
    Reopen,
}

#[derive(Debug, Clone)]
enum Code {
    /// One that was sent to somebody; the number is taken modulo how many there were.
    Sent(usize),
    Unknown(u8),
    Mistyped(u8),
}

fn one_of<const N: usize>(texts: [&'static str; N]) -> impl Strategy<Value = String> + Clone {
    proptest::sample::select(texts.to_vec()).prop_map(str::to_owned)
}

fn key() -> impl Strategy<Value = Key> + Clone {
    (one_of(CHANNELS), one_of(ACCOUNTS), one_of(SENDERS))
}

fn target() -> impl Strategy<Value = Key> + Clone {
    let scope = prop_oneof![one_of(ACCOUNTS), Just("*".to_owned())];
    (one_of(CHANNELS), scope, one_of(SENDERS))
}

fn code() -> impl Strategy<Value = Code> + Clone {
    prop_oneof![
        6 => (0..100_usize).prop_map(Code::Sent),
        2 => (0..32_u8).prop_map(Code::Unknown),
        1 => (0..32_u8).prop_map(Code::Mistyped),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let actor = || one_of(ACTORS);
    let ids = |most| proptest::collection::vec(one_of(SENDERS), 0..=most);
    let reason = proptest::option::of(one_of(["spam", "rude"]));
    let limit = proptest::option::of(proptest::sample::select(STEPS.to_vec()));
    let (ttl, cooldown) = (prop_oneof![Just(3600), Just(60)], prop_oneof![Just(300), Just(10)]);
    prop_oneof![
        12 => (key(), ids(2), 1..=3_u32, ttl, cooldown).prop_map(
            |(key, alt, max, ttl, cooldown)| Op::Message { key, alt, max, ttl, cooldown }
        ),
        1 => key().prop_map(|key| Op::Undelivered { key }),
        8 => (code(), actor(), limit)
            .prop_map(|(code, actor, limit)| Op::Approve { code, actor, limit }),
        4 => (code(), actor()).prop_map(|(code, actor)| Op::Reject { code, actor }),
        2 => (target(), actor()).prop_map(|(target, actor)| Op::Revoke { target, actor }),
        2 => (target(), actor(), reason)
            .prop_map(|(target, actor, reason)| Op::Block { target, actor, reason }),
        2 => (target(), actor()).prop_map(|(target, actor)| Op::Unblock { target, actor }),
        2 => (key(), ids(4), actor()).prop_map(|(key, ids, actor)| Op::Seed { key, ids, actor }),
        1 => (target(), actor()).prop_map(|(target, actor)| Op::Forget { target, actor }),
        1 => (actor(), actor()).prop_map(|(locked, actor)| Op::Unlock { locked, actor }),
        1 => Just(Op::Purge),
        10 => proptest::sample::select(STEPS.to_vec()).prop_map(Op::Pass),
        1 => Just(Op::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        rng_seed: RngSeed::Fixed(0x5eed),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_store_in_memory_follows_the_rules(ops in proptest::collection::vec(op(), 1..60)) {
        play(&ops, false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        rng_seed: RngSeed::Fixed(0xf11e),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_store_in_a_file_follows_the_rules(ops in proptest::collection::vec(op(), 1..60)) {
        play(&ops, true);
    }
}

fn play(ops: &[Op], in_file: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (clock, options) = options();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairing.db");
        let mut store = if in_file {
            PairingStore::open_with(&path, options.clone()).await.unwrap()
        } else {
            PairingStore::open_memory_with(options.clone()).await.unwrap()
        };
        let copy = Copy::of(&store);
        let mut model = Model::default();
        model.now = START;
        let mut sent = Vec::new();
        for op in ops {
            match op {
                Op::Pass(seconds) => {
                    clock.advance(time::Duration::seconds(*seconds));
                    model.now += seconds;
                }
                Op::Reopen if in_file => {
                    drop(store);
                    store = PairingStore::open_with(&path, options.clone()).await.unwrap();
                    store.attach(copy.weak());
                    store.refresh().await.unwrap();
                }
                Op::Reopen => {}
                op => step(op, &store, &mut model, &mut sent).await,
            }
            compare_mirror(&copy, &model);
        }
        compare(&store, &model).await;
    });
}

async fn step(op: &Op, store: &PairingStore, model: &mut Model, sent: &mut Vec<String>) {
    let typed = |code: &Code| match code {
        Code::Sent(number) if !sent.is_empty() => (sent[number % sent.len()].clone(), true),
        Code::Sent(number) => (unknown(u8::try_from(number % 32).unwrap()), true),
        Code::Unknown(number) => (unknown(*number), true),
        Code::Mistyped(number) => (mistyped(*number), false),
    };
    match op {
        Op::Message { key, alt, max, ttl, cooldown } => {
            let mut request = NewRequest::new(real(key));
            request.alt = alt.iter().map(|id| sender(id)).collect();
            request.max_pending = *max;
            request.ttl = Duration::from_secs(ttl.unsigned_abs());
            request.cooldown = Duration::from_secs(cooldown.unsigned_abs());
            let expected = model.message(key, alt, (i64::from(*max), *cooldown));
            match (store.upsert_pending(request).await.unwrap(), expected) {
                (UpsertOutcome::Created { key: whose, code, expires_at }, Outcome::Created) => {
                    let expected = (key.clone(), moment(model.now + ttl));
                    assert_eq!((named(&whose), expires_at), expected);
                    sent.push(code.as_str().to_owned());
                    model.created(key, code.as_str().to_owned(), *ttl);
                }
                (UpsertOutcome::Repeated { key, code, expires_at }, Outcome::Repeated(same)) => {
                    let answer = (named(&key), code.as_str(), expires_at.unix_timestamp());
                    assert_eq!(answer, (same.key, same.code.as_str(), same.until));
                }
                (UpsertOutcome::AlreadyChallenged, Outcome::AlreadyChallenged)
                | (UpsertOutcome::Waiting, Outcome::Waiting)
                | (UpsertOutcome::PendingFull, Outcome::PendingFull)
                | (UpsertOutcome::Allowed, Outcome::Allowed)
                | (UpsertOutcome::Blocked, Outcome::Blocked) => {}
                (answer, expected) => panic!("{op:?}: {answer:?}, not {expected:?}"),
            }
        }
        Op::Undelivered { key } => {
            model.undelivered(key, 300, 10);
            let (cooldown, retry) = (Duration::from_secs(300), Duration::from_secs(10));
            store.challenge_undelivered(&real(key), cooldown, retry).await.unwrap();
        }
        Op::Approve { code, actor: who, limit } => {
            let (code, is_consistent) = typed(code);
            let expected = model.approve((&code, is_consistent), who, *limit);
            let mut grant = Grant::unlimited();
            grant.expires_in = limit.map(|limit| Duration::from_secs(limit.unsigned_abs()));
            let answer = store.approve(&code, &actor(who), grant).await;
            let answer = answer.map(|approved| {
                assert_eq!(approved.approved_at, moment(model.now));
                assert_eq!(approved.expires_at, limit.map(|limit| moment(model.now + limit)));
                named(&SenderKey::new(approved.channel, approved.account_id, approved.sender_id))
            });
            assert_eq!(answer.map_err(refusal), expected, "{op:?}");
        }
        Op::Reject { code, actor: who } => {
            let (code, is_consistent) = typed(code);
            let expected = model.reject((&code, is_consistent), who);
            let answer = store.reject(&code, &actor(who)).await;
            let answer = answer.map(|rejected| {
                named(&SenderKey::new(rejected.channel, rejected.account_id, rejected.sender_id))
            });
            assert_eq!(answer.map_err(refusal), expected, "{op:?}");
        }
        Op::Revoke { target, actor: who } => {
            let revoked = store.revoke(&real_target(target), &actor(who)).await.unwrap();
            assert_eq!(all_named(&revoked), model.revoke(target, who), "{op:?}");
        }
        Op::Block { target, actor: who, reason } => {
            let reason = reason.as_deref();
            let blocked = store.block(&real_target(target), &actor(who), reason).await.unwrap();
            let answer = (all_named(&blocked.revoked), all_named(&blocked.dropped));
            assert_eq!(answer, model.block(target, who, reason), "{op:?}");
        }
        Op::Unblock { target, actor: who } => {
            let unblocked = store.unblock(&real_target(target), &actor(who)).await.unwrap();
            assert_eq!(unblocked, model.unblock(target, who), "{op:?}");
        }
        Op::Seed { key: (channel, name, _), ids, actor: who } => {
            let of = (ChannelId::parse(channel).unwrap(), account(name));
            let real_ids: Vec<_> = ids.iter().map(|id| sender(id)).collect();
            let answer = store.seed(&of.0, &of.1, &real_ids, &actor(who)).await;
            let answer = match answer {
                Ok(report) => Ok((report.inserted, report.reactivated, report.unchanged)),
                Err(PairingError::Blocked { key }) => Err(named(&key)),
                Err(error) => panic!("{error:?}"),
            };
            assert_eq!(answer, model.seed((channel, name), ids, who), "{op:?}");
        }
        Op::Forget { target, actor: who } => {
            let forgotten = store.forget(&real_target(target), &actor(who)).await.unwrap();
            assert_eq!(all_named(&forgotten), model.forget(target, who), "{op:?}");
        }
        Op::Unlock { locked, actor: who } => {
            let unlocked = store.unlock(&actor(locked), &actor(who)).await.unwrap();
            assert_eq!(unlocked, model.unlock(locked, who), "{op:?}");
        }
        Op::Purge => assert_eq!(store.purge_expired().await.unwrap(), model.purge()),
        Op::Pass(_) | Op::Reopen => {}
    }
}

/// Whether the store lists what the model has.
async fn compare(store: &PairingStore, model: &Model) {
    let all = Filter::all();
    let requests: BTreeSet<_> = model
        .pending()
        .map(|request| {
            let Request { key, code, since, until, .. } = request;
            (key.clone(), code.clone(), *since, *until)
        })
        .collect();
    let listed = store.list_pending(&all).await.unwrap().into_iter().map(|request| {
        let key = SenderKey::new(request.channel, request.account_id, request.sender_id);
        let (since, until) = (request.created_at, request.expires_at);
        let code = request.code.as_str().to_owned();
        (named(&key), code, since.unix_timestamp(), until.unix_timestamp())
    });
    assert_eq!(listed.collect::<BTreeSet<_>>(), requests);

    for include_ended in [false, true] {
        let grants: Vec<_> = model
            .grants
            .iter()
            .map(|(key, grant)| {
                let via = grant.via.clone();
                (key.clone(), grant.since, via, grant.until, grant.ended(model.now))
            })
            .filter(|(.., ended)| include_ended || ended.is_none())
            .collect();
        let listed = store.list_allow(&all, include_ended).await.unwrap();
        let listed = listed.into_iter().map(|grant| {
            let key = SenderKey::new(grant.channel, grant.account_id, grant.sender_id);
            let seconds = |at: time::OffsetDateTime| at.unix_timestamp();
            let ended = grant.revoked_at.map(seconds);
            let until = grant.expires_at.map(seconds);
            (named(&key), seconds(grant.approved_at), grant.approved_via, until, ended)
        });
        assert_eq!(listed.collect::<Vec<_>>(), grants);
    }

    let listed = store.list_blocked(&all).await.unwrap().into_iter().map(|block| {
        let scope = block.account_id.as_str().to_owned();
        let key = (block.channel.to_string(), scope, block.sender_id.to_string());
        (key, (block.blocked_at.unix_timestamp(), block.blocked_via, block.reason))
    });
    assert_eq!(listed.collect::<std::collections::BTreeMap<_, _>>(), model.blocks);

    for channel in CHANNELS {
        for name in ACCOUNTS {
            for id in SENDERS {
                let key: Key = (channel.into(), name.into(), id.into());
                let expected = model.is_allowed(&key) && !model.is_blocked(&key);
                assert_eq!(store.is_allowed(&real(&key)).await.unwrap(), expected, "{key:?}");
            }
        }
    }

    let log = store.audit(&all, 10_000).await.unwrap().into_iter().map(|event| {
        let sender = event.sender_id.unwrap_or_default();
        let sender = if sender.starts_with("sha256:") { "#".to_owned() } else { sender };
        let account = event.account_id.unwrap_or_default();
        (event.actor, event.action, (event.channel.unwrap_or_default(), account, sender))
    });
    assert_eq!(log.collect::<Vec<_>>(), model.log);
}

/// Whether a mirror lets in, blocks and shows as pending whom the model does.
fn compare_mirror(copy: &Copy, model: &Model) {
    let (state, now) = (copy.state(), moment(model.now));
    for channel in CHANNELS {
        for id in SENDERS {
            let all = state.of(&format!("{channel}/*/{id}"));
            for name in ACCOUNTS {
                let key: Key = (channel.into(), name.into(), id.into());
                let one = state.of(&format!("{channel}/{name}/{id}"));
                let holds = |span: Option<nexo_pairing_core::Span>| {
                    span.is_some_and(|span| span.holds(now))
                };
                let is_blocked = one.is_some_and(|one| one.blocked) || all.is_some();
                let is_allowed = holds(one.and_then(|one| one.allowed));
                let is_pending = holds(one.and_then(|one| one.pending).map(|(span, _)| span));
                let expected = (
                    model.is_blocked(&key),
                    model.is_allowed(&key),
                    model.pending().any(|request| request.key == key),
                );
                assert_eq!((is_blocked, is_allowed, is_pending), expected, "{key:?}");
            }
        }
    }
}

fn real((channel, name, id): &Key) -> SenderKey {
    SenderKey::new(ChannelId::parse(channel).unwrap(), account(name), sender(id))
}

fn real_target((channel, scope, id): &Key) -> Target {
    let scope = AccountScope::from_stored(scope.clone());
    Target::new(ChannelId::parse(channel).unwrap(), scope, sender(id))
}

fn named(key: &SenderKey) -> Key {
    (key.channel.to_string(), key.account_id.to_string(), key.sender_id.to_string())
}

fn all_named(keys: &[SenderKey]) -> BTreeSet<Key> {
    let named: BTreeSet<Key> = keys.iter().map(named).collect();
    assert_eq!(named.len(), keys.len(), "each once");
    named
}

fn refusal(error: PairingError) -> Refusal {
    match error {
        PairingError::MistypedCode => Refusal::Mistyped,
        PairingError::UnknownCode { attempts_left } => {
            Refusal::Unknown { left: i64::from(attempts_left) }
        }
        PairingError::LockedOut { remaining } => {
            Refusal::LockedOut { remaining: remaining.as_secs().try_into().unwrap() }
        }
        PairingError::AlreadyApproved { key, at } => used(Use::Approved, &key, at),
        PairingError::AlreadyRejected { key, at } => used(Use::Rejected, &key, at),
        PairingError::Expired { key, at } => used(Use::Expired, &key, at),
        other => panic!("{other:?}"),
    }
}

fn used(of: Use, key: &SenderKey, at: time::OffsetDateTime) -> Refusal {
    Refusal::Used(of, named(key), at.unix_timestamp())
}
