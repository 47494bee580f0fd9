//! Does an operation to store or gate and to the model, and compares what they answer.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nexo_pairing::{
    AccountId, Cancellation, ChannelId, ClaimId, Decision, Delivery, Grant, Inbound, Mode,
    OnReplay, PairingBackend, PairingCode, PairingError, PairingPolicy, RedeemError, Redemption,
    Rule, Screened, SenderId, SenderKey, TokenClaims,
};

use crate::codes::Refusal;
use crate::compare::told;
use crate::devices::{CODES, Device, Redeemed, Use};
use crate::ends::Outcome;
use crate::ops::{ACCOUNTS, Code, Op, SENDERS, Said, Sender, Step};
use crate::rules::{DAY, Key, Message};
use crate::world::{START, World, actor, moment, named, real_target};

/// How long after the start the setup codes expire.
const CODES_EXPIRE: [i64; CODES] = [600, DAY, 40 * DAY, 400 * DAY];

impl World {
    /// Plays a step, and looks whether the gate of its process knows what it should.
    pub(crate) async fn play(&mut self, step: &Step) {
        let Step { handle, op } = step;
        self.catch_up(*handle).await;
        match op {
            Op::Pass(seconds) => {
                self.clock.advance(time::Duration::seconds(*seconds));
                self.model.now += seconds;
            }
            Op::Back(seconds) => self.set_clock(self.model.now - seconds),
            Op::Jump(seconds) => self.set_clock(START + seconds),
            Op::Restart => self.restart(*handle).await,
            Op::Message(said) => self.message(*handle, said).await,
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

    async fn message(&mut self, handle: usize, said: &Said) {
        let (raw, id) = match &said.sender {
            Sender::Id(id) => (id.clone(), Some(id.as_str())),
            Sender::Dotted(id) => (format!("{id}.."), Some(id.as_str())),
            Sender::Asked => ("asked".to_owned(), Some(SENDERS[0])),
            Sender::Nobody => ("nobody".to_owned(), None),
            Sender::Down => ("down".to_owned(), None),
        };
        let mut policy = PairingPolicy::new(said.mode);
        policy.max_pending = said.max_pending;
        policy.pending_ttl = Duration::from_secs(said.ttl.unsigned_abs());
        policy.challenge_cooldown = Duration::from_secs(said.cooldown.unsigned_abs());
        let inbound = Inbound::direct(said.channel.as_str(), said.account.as_str(), raw);
        let inbound = inbound.with_alt(said.alt.clone()).in_group(said.is_group);
        self.adapter.is_broken.store(!said.is_connected, Ordering::SeqCst);
        let sent = self.adapter.sent.load(Ordering::SeqCst);
        self.store(handle);
        let gate = &self.processes[handle].gate;
        let screened = gate.screen(&inbound, &policy, &self.registry).await.unwrap();
        let sent = self.adapter.sent.load(Ordering::SeqCst) - sent;
        assert_eq!(screened.sender.as_ref().map(SenderId::as_str), id, "{said:?}");
        let is_challenge = matches!(screened.decision, Decision::Challenge { .. });
        let has_adapter = said.channel == self.adapter_channel();
        assert_eq!(sent, u64::from(is_challenge && has_adapter), "one message for each challenge");
        match id {
            Some(id) => self.decided(said, id, screened),
            None => self.nobody(handle, said, &screened),
        }
    }

    /// What becomes of a message of somebody.
    fn decided(&mut self, said: &Said, id: &str, screened: Screened) {
        let is_groups = said.channel == self.adapter_channel() && id.starts_with('-');
        let message = Message {
            key: (said.channel.clone(), said.account.clone(), id.to_owned()),
            alt: said.alt.clone(),
            is_group: said.is_group || is_groups,
            mode: said.mode,
            max_pending: said.max_pending as usize,
            cooldown: said.cooldown,
        };
        let (rule, again) = self.model.screen(&message, &ACCOUNTS);
        assert_eq!(screened.rule, rule, "{said:?}");
        match screened.decision {
            Decision::Challenge { code } => {
                let code = code.as_str().to_owned();
                let key = if let Some(request) = again {
                    assert_eq!(code, request.code, "the same code again");
                    request.key
                } else {
                    assert_eq!(rule, Rule::Challenge);
                    self.sent.push(code.clone());
                    self.model.created(&message.key, code, said.ttl);
                    message.key
                };
                match screened.delivery.unwrap() {
                    Delivery::DeliveredViaAdapter => assert!(said.is_connected),
                    Delivery::PublishFailed(_) => {
                        assert!(!said.is_connected);
                        self.model.undelivered(&key, said.cooldown);
                    }
                    _ => assert_ne!(said.channel, self.adapter_channel()),
                }
            }
            Decision::Admit => assert!(matches!(rule, Rule::Open | Rule::Allowed), "{rule:?}"),
            Decision::Drop(reason) => assert_eq!(reason.as_str(), rule.as_str()),
            other => panic!("{other:?}"),
        }
    }

    /// What becomes of a message of nobody: only where everybody is let in, he is too, unless another of
    /// his ids is blocked or he may be somebody who is.
    fn nobody(&self, handle: usize, said: &Said, screened: &Screened) {
        let mut ids = said.alt.iter();
        let is_blocked = ids.any(|id| {
            self.model.is_blocked(&(said.channel.clone(), said.account.clone(), id.clone()))
        });
        let may_be_blocked =
            matches!(said.sender, Sender::Down) && self.processes[handle].saw_blocks;
        let (rule, is_admitted) = if !ACCOUNTS.contains(&said.account.as_str()) {
            (Rule::UnknownAccount, false)
        } else if said.mode != Mode::Open || may_be_blocked {
            (Rule::NotPairable, false)
        } else if is_blocked {
            (Rule::Blocked, false)
        } else {
            (Rule::NotPairable, true)
        };
        let answer = (screened.rule, screened.decision == Decision::Admit);
        assert_eq!(answer, (rule, is_admitted), "{said:?}");
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

    /// What an operator does to his lists.
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
                let purged = model.devices.purge(model.now);
                assert_eq!(store.purge_sessions().await.unwrap(), purged);
            }
            _ => {}
        }
    }

    async fn setup_code(&mut self, handle: usize, op: &Op) {
        let store = self.store(handle);
        let now = self.model.now;
        match *op {
            Op::Redeem { code, claim, ttl, renew_for, refuse } => {
                let mut redemption = Redemption::new(claims(code));
                redemption.claim_id = claim.map(claim_id);
                redemption.session_ttl = seconds(ttl);
                redemption.renew_for = seconds(renew_for);
                redemption.on_replay = if refuse { OnReplay::Refuse } else { OnReplay::Revoke };
                let answer = store.redeem(redemption).await;
                let expires = START + CODES_EXPIRE[code];
                match self.model.redeem(code, expires, claim, refuse) {
                    Redeemed::Expired => assert_eq!(answer.unwrap_err().kind(), "expired"),
                    Redeemed::Cancelled => assert_eq!(answer.unwrap_err().kind(), "cancelled"),
                    Redeemed::Issued => {
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
                        let number = self.model.issued(code, claim, device);
                        self.model.devices.tokens.push((issued.token, Some(number)));
                        assert_eq!(Some(told(&issued.session)), self.model.devices.kept(number));
                    }
                    Redeemed::Reissued(number) => {
                        let issued = answer.unwrap();
                        let devices = &mut self.model.devices;
                        assert_eq!(Some(told(&issued.session)), devices.kept(number));
                        let voided =
                            devices.tokens.iter_mut().filter(|(_, of)| *of == Some(number));
                        voided.for_each(|(_, of)| *of = None);
                        devices.tokens.push((issued.token, Some(number)));
                    }
                    Redeemed::Replayed(number, ends) => {
                        let Err(RedeemError::Replayed { session, revoked }) = answer else {
                            panic!("{answer:?}")
                        };
                        let answer = (session.as_deref().map(told), revoked);
                        assert_eq!(answer, (self.model.devices.kept(number), ends));
                    }
                }
            }
            Op::Cancel { code } => {
                let answer = store.cancel(&claims(code), &actor("cli")).await.unwrap();
                match (self.model.devices.codes[code], answer) {
                    (None, Cancellation::Cancelled) => {
                        self.model.devices.codes[code] = Some(Use::Cancelled);
                        self.model.note("cli", "code_cancelled", &Key::default());
                    }
                    (Some(Use::Cancelled), Cancellation::AlreadyCancelled) => {}
                    (Some(Use::Claimed(number, _)), Cancellation::AlreadyUsed(session)) => {
                        assert_eq!(session.as_ref().map(told), self.model.devices.kept(number));
                    }
                    (used, answer) => panic!("{op:?}: {answer:?}, not {used:?}"),
                }
            }
            _ => {}
        }
    }

    async fn device(&mut self, handle: usize, op: &Op) {
        let (devices, tokens) = (self.model.devices.all.len(), self.model.devices.tokens.len());
        if devices == 0 {
            return;
        }
        let store = self.store(handle);
        let model = &mut self.model;
        match *op {
            Op::Touch(number) => {
                let number = number % devices;
                store.touch(&model.devices.all[number].id).await.unwrap();
                model.touch(number);
            }
            Op::Renew(number, ttl) => {
                let (token, of) = model.devices.tokens[number % tokens].clone();
                let answer = store.renew_session(&token, seconds(ttl)).await.unwrap();
                let renewed = model.renew(of, ttl);
                let expected = renewed.and_then(|number| model.devices.kept(number));
                assert_eq!(answer.as_ref().map(told), expected, "{op:?}");
            }
            Op::End(number) => {
                let (token, of) = model.devices.tokens[number % tokens].clone();
                let answer = store.end_session(&token).await.unwrap();
                let ends = of.is_some_and(|number| model.end(number, "device", "session_ended"));
                assert_eq!(answer, ends, "{op:?}");
            }
            Op::RevokeDevice(number) => {
                let number = number % devices;
                let id = model.devices.all[number].id.clone();
                let answer = store.revoke_session(&id, &actor("cli")).await.unwrap();
                let ends = model.end(number, "cli", "session_revoked");
                let expected = model.devices.kept(number).filter(|_| ends);
                assert_eq!(answer.as_ref().map(told), expected, "{op:?}");
            }
            _ => {}
        }
    }
}

pub(crate) fn claims(code: usize) -> TokenClaims {
    let (profile, expires_at) = ("companion-v1".to_owned(), moment(START + CODES_EXPIRE[code]));
    TokenClaims::new(profile, expires_at, format!("{code:032x}"), None)
}

fn claim_id(number: u64) -> ClaimId {
    ClaimId::parse(&format!("claim-{number:022}")).unwrap()
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

/// A code that nobody has and whose check character fits; another one for each number.
fn unknown(number: u8) -> String {
    PairingCode::from_random([31, 31, 31, 31, 31, 31, number]).as_str().to_owned()
}

/// The same, but for its check character.
fn mistyped(number: u8) -> String {
    let mut code = unknown(number);
    let last = if code.ends_with('A') { "B" } else { "A" };
    code.replace_range(7.., last);
    code
}

fn all_named(keys: &[SenderKey]) -> BTreeSet<Key> {
    let named: BTreeSet<Key> = keys.iter().map(named).collect();
    assert_eq!(named.len(), keys.len(), "each once");
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
