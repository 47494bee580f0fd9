//! Runs an operation on store or gate and on the model, and compares their answers.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nexo_pairing::core::NewRequest;
use nexo_pairing::{
    AccountId, ChannelId, Decision, Delivery, Grant, Inbound, Mode, PairingCode, PairingError,
    PairingPolicy, Rule, Screened, SenderId, SenderKey, UpsertOutcome,
};

use crate::codes::Refusal;
use crate::ends::Outcome;
use crate::ops::{ACCOUNTS, Code, Incoming, Op, SENDERS, Sender, Step};
use crate::rules::{Key, MAX_PENDING_TOTAL, Message};
use crate::world::{START, World, actor, moment, named, real, real_target};

impl World {
    /// Plays a step, and checks the gate of its process.
    pub(crate) async fn play(&mut self, step: &Step) {
        let Step { handle, op } = step;
        self.catch_up(*handle).await;
        match op {
            Op::Pass(seconds) => {
                self.clock.advance(Duration::from_secs((*seconds).try_into().unwrap()));
                self.model.now += seconds;
            }
            Op::Back(seconds) => self.set_clock(self.model.now - seconds),
            Op::Jump(seconds) => self.set_clock(START + seconds),
            Op::Restart => self.restart(*handle).await,
            Op::Message(incoming) => self.message(*handle, incoming).await,
            Op::Stranger(incoming) => self.stranger(*handle, incoming).await,
            Op::Approve { .. } | Op::Reject { .. } => self.code(*handle, op).await,
            Op::Redeem { .. } | Op::Cancel { .. } => self.setup_code(*handle, op).await,
            Op::Touch(_) | Op::Renew(..) | Op::End(_) | Op::RevokeDevice(_) => {
                self.device(*handle, op).await;
            }
            op => self.list(*handle, op).await,
        }
        self.catch_up(*handle).await;
        self.compare_gate(*handle).await;
    }

    async fn message(&mut self, handle: usize, incoming: &Incoming) {
        let (raw, id) = match &incoming.sender {
            Sender::Id(id) => (id.clone(), Some(id.as_str())),
            Sender::Dotted(id) => (format!("{id}.."), Some(id.as_str())),
            Sender::Asked => ("asked".to_owned(), Some(SENDERS[0])),
            Sender::Invalid => ("nobody".to_owned(), None),
            Sender::Down => ("down".to_owned(), None),
        };
        let policy = PairingPolicy::new(incoming.mode)
            .with_max_pending(incoming.max_pending)
            .with_pending_ttl(Duration::from_secs(incoming.ttl.unsigned_abs()))
            .with_challenge_cooldown(Duration::from_secs(incoming.cooldown.unsigned_abs()));
        let inbound = Inbound::direct(incoming.channel.as_str(), incoming.account.as_str(), raw);
        let inbound = inbound.with_alt(incoming.alt_as_sent()).with_is_group(incoming.is_group);
        self.adapter.is_broken.store(!incoming.is_connected, Ordering::SeqCst);
        let sent = self.adapter.sent.load(Ordering::SeqCst);
        self.store(handle);
        let gate = &self.processes[handle].gate;
        let screened = gate.screen(&inbound, &policy, &self.registry).await.unwrap();
        let sent = self.adapter.sent.load(Ordering::SeqCst) - sent;
        assert_eq!(screened.sender.as_ref().map(SenderId::as_str), id, "{incoming:?}");
        let is_challenge = matches!(screened.decision, Decision::Challenge { .. });
        let has_adapter = incoming.channel == self.adapter_channel();
        assert_eq!(sent, u64::from(is_challenge && has_adapter), "one message for each challenge");
        match id {
            Some(id) => self.decided(incoming, id, screened),
            None => self.invalid_sender(incoming, &screened),
        }
    }

    /// A message of a valid sender.
    fn decided(&mut self, incoming: &Incoming, id: &str, screened: Screened) {
        let is_groups = incoming.channel == self.adapter_channel() && id.starts_with('-');
        let message = Message {
            key: (incoming.channel.clone(), incoming.account.clone(), id.to_owned()),
            alt: incoming.alt.clone(),
            has_unreadable_id: incoming.is_unreadable,
            is_group: incoming.is_group || is_groups,
            mode: incoming.mode,
            max_pending: incoming.max_pending as usize,
            cooldown: incoming.cooldown,
        };
        let (rule, again) = self.model.screen(&message, &ACCOUNTS);
        assert_eq!(screened.rule, rule, "{incoming:?}");
        match screened.decision {
            Decision::Challenge { code } => {
                let code = code.as_str().to_owned();
                let key = if let Some(request) = again {
                    assert_eq!(code, request.code, "the same code again");
                    request.key
                } else {
                    assert_eq!(rule, Rule::Challenge);
                    self.sent.push(code.clone());
                    self.model.created(&message.key, code, incoming.ttl);
                    message.key
                };
                match screened.delivery.unwrap() {
                    Delivery::DeliveredViaAdapter => assert!(incoming.is_connected),
                    Delivery::PublishFailed(_) => {
                        assert!(!incoming.is_connected);
                        self.model.undelivered(&key, incoming.cooldown);
                    }
                    _ => assert_ne!(incoming.channel, self.adapter_channel()),
                }
            }
            Decision::Admit => assert!(matches!(rule, Rule::Open | Rule::Allowed), "{rule:?}"),
            Decision::Drop(reason) => assert_eq!(reason.as_str(), rule.as_str()),
            other => panic!("{other:?}"),
        }
    }

    /// A message of a sender whom the gate took for a stranger, at the store.
    async fn stranger(&mut self, handle: usize, incoming: &Incoming) {
        let (Sender::Id(id) | Sender::Dotted(id)) = &incoming.sender else { return };
        let message = Message {
            key: (incoming.channel.clone(), incoming.account.clone(), id.clone()),
            alt: incoming.alt.clone(),
            has_unreadable_id: incoming.is_unreadable,
            is_group: false,
            mode: Mode::Pairing,
            max_pending: incoming.max_pending as usize,
            cooldown: incoming.cooldown,
        };
        let request = NewRequest::new(real(&message.key))
            .with_alt(incoming.alt.iter().map(|id| SenderId::parse(id).unwrap()))
            .with_has_unreadable_id(incoming.is_unreadable)
            .with_max_pending(incoming.max_pending)
            .with_max_pending_total(MAX_PENDING_TOTAL)
            .with_ttl(seconds(incoming.ttl))
            .with_cooldown(seconds(incoming.cooldown));
        let answer = self.store(handle).upsert_pending(request).await.unwrap();
        self.model.expire();
        let (rule, again) = self.model.screen(&message, &[incoming.account.as_str()]);
        match (answer, rule, again) {
            (UpsertOutcome::Created { key, code, expires_at }, Rule::Challenge, None) => {
                assert_eq!(named(&key), message.key);
                assert_eq!(expires_at, moment(self.model.now + incoming.ttl));
                self.sent.push(code.as_str().to_owned());
                self.model.created(&message.key, code.as_str().to_owned(), incoming.ttl);
            }
            (UpsertOutcome::Repeated { key, code, expires_at }, _, Some(request)) => {
                let answer = (named(&key), code.as_str(), expires_at.unix_timestamp());
                assert_eq!(answer, (request.key, request.code.as_str(), request.until));
            }
            (UpsertOutcome::AlreadyChallenged, Rule::AlreadyChallenged, None)
            | (UpsertOutcome::Waiting, Rule::Waiting, None)
            | (UpsertOutcome::PendingFull, Rule::PendingFull, None)
            | (UpsertOutcome::Allowed, Rule::Allowed, None)
            | (UpsertOutcome::Blocked, Rule::Blocked, None) => {}
            (answer, rule, _) => panic!("{incoming:?}: {answer:?}, not {rule:?}"),
        }
    }

    /// A message of an invalid sender: it is admitted only in mode `open`, and only while no sender on
    /// the channel is blocked, since it could be theirs.
    fn invalid_sender(&self, incoming: &Incoming, screened: &Screened) {
        let (rule, is_admitted) = if !ACCOUNTS.contains(&incoming.account.as_str()) {
            (Rule::UnknownAccount, false)
        } else if self.model.has_blocks(&incoming.channel) {
            (Rule::Blocked, false)
        } else if incoming.mode != Mode::Open {
            (Rule::NotPairable, false)
        } else {
            (Rule::NotPairable, true)
        };
        let answer = (screened.rule, screened.decision == Decision::Admit);
        assert_eq!(answer, (rule, is_admitted), "{incoming:?}");
    }

    async fn code(&mut self, handle: usize, op: &Op) {
        let typed = |code: &Code| match code {
            Code::Sent(number) if !self.sent.is_empty() => {
                (self.sent[number % self.sent.len()].clone(), true)
            }
            Code::Sent(number) => (unknown((number % 32) as u8), true),
            Code::Unknown(number) => (unknown(*number), true),
            Code::Mistyped(number) => (mistyped(*number), false),
        };
        match op {
            Op::Approve { code, actor: who, limit } => {
                let (code, is_consistent) = typed(code);
                let mut grant = Grant::unlimited();
                grant.expires_in = limit.map(|limit| Duration::from_secs(limit.unsigned_abs()));
                let answer = self.store(handle).approve(&code, &actor(who), grant).await;
                let now = self.model.now;
                let answer = answer.map(|approved| {
                    assert_eq!(approved.approved_at, moment(now));
                    assert_eq!(approved.expires_at, limit.map(|limit| moment(now + limit)));
                    let (channel, account) = (approved.channel, approved.account_id);
                    named(&SenderKey::new(channel, account, approved.sender_id))
                });
                let expected = self.model.approve((&code, is_consistent), who, *limit);
                assert_eq!(answer.map_err(refusal), expected, "{op:?}");
            }
            Op::Reject { code, actor: who } => {
                let (code, is_consistent) = typed(code);
                let answer = self.store(handle).reject(&code, &actor(who)).await;
                let answer = answer.map(|rejected| {
                    let (channel, account) = (rejected.channel, rejected.account_id);
                    named(&SenderKey::new(channel, account, rejected.sender_id))
                });
                let expected = self.model.reject((&code, is_consistent), who);
                assert_eq!(answer.map_err(refusal), expected, "{op:?}");
            }
            _ => {}
        }
    }

    /// An operator's changes of the lists.
    async fn list(&mut self, handle: usize, op: &Op) {
        let store = self.store(handle);
        let model = &mut self.model;
        match op {
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
                let of = (ChannelId::parse(channel).unwrap(), AccountId::parse(name).unwrap());
                let real_ids: Vec<_> = ids.iter().map(|id| SenderId::parse(id).unwrap()).collect();
                let answer = match store.seed(&of.0, &of.1, &real_ids, &actor(who)).await {
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
            Op::PurgeDevices => {
                let purged = model.purge_devices();
                assert_eq!(store.purge_sessions().await.unwrap(), purged);
            }
            _ => {}
        }
    }
}

pub(crate) fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

/// An unknown code whose check character fits; another one for each number.
fn unknown(number: u8) -> String {
    PairingCode::from_random([31, 31, 31, 31, 31, 31, number]).as_str().to_owned()
}

/// The same with a wrong check character.
fn mistyped(number: u8) -> String {
    let mut code = unknown(number);
    let last = if code.ends_with('A') { "B" } else { "A" };
    code.replace_range(7.., last);
    code
}

fn all_named(keys: &[SenderKey]) -> BTreeSet<Key> {
    let named: BTreeSet<Key> = keys.iter().map(named).collect();
    assert_eq!(named.len(), keys.len(), "each one once");
    named
}

fn refusal(error: PairingError) -> Refusal {
    let used = |outcome, key, at: time::OffsetDateTime| {
        Refusal::Used(outcome, named(key), at.unix_timestamp())
    };
    match &error {
        PairingError::MistypedCode => Refusal::Mistyped,
        PairingError::UnknownCode { attempts_left } => {
            Refusal::Unknown { left: *attempts_left as usize }
        }
        PairingError::LockedOut { remaining } => {
            Refusal::LockedOut { remaining: remaining.as_secs().try_into().unwrap() }
        }
        PairingError::AlreadyApproved { key, at } => used(Outcome::Approved, key, *at),
        PairingError::AlreadyRejected { key, at } => used(Outcome::Rejected, key, *at),
        PairingError::Expired { key, at } => used(Outcome::Expired, key, *at),
        other => panic!("{other:?}"),
    }
}
