//! Helpers for tests of a storage: a store on a stopped clock, short names for ids, codes that
//! count up and a [`TestReplica`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nexo_pairing_core::{
    AccountId, AccountKey, AccountScope, Actor, AuditEvent, ChannelId, ClaimId, ConfiguredModes,
    Filter, GateBackend, Grant, IssuedSession, ManualClock, Mode, ModeSetting, ModesError,
    ModesInForce, NewRequest, OperatorBackend, PairingCode, PairingError, RandomError,
    RandomSource, RedeemError, Redemption, SenderId, SenderKey, Session, SessionBackend, Target,
    TokenClaims, UpsertOutcome,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

pub mod scenario;

pub use crate::replica::TestReplica;

/// When the tests begin, in UTC seconds: 2027-01-15.
pub const START: i64 = 1_800_000_000;

/// A counter in place of random bytes, so that every code is different.
#[derive(Debug, Default)]
pub struct Counting(AtomicU64);

impl RandomSource for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        let mut number = self.0.fetch_add(1, Ordering::SeqCst);
        for byte in bytes {
            *byte = (number % 32) as u8;
            number /= 32;
        }
        Ok(())
    }
}

/// A store and its clock.
#[derive(Debug)]
pub struct World<B> {
    pub clock: Arc<ManualClock>,
    pub store: B,
}

impl<B: GateBackend + OperatorBackend> World<B> {
    pub fn pass(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// The outcome of a message from this sender.
    pub async fn message(&self, sender: &str) -> UpsertOutcome {
        self.store.upsert_pending(NewRequest::new(key(sender))).await.unwrap()
    }

    /// The code of a new request of this sender.
    pub async fn code(&self, sender: &str) -> String {
        match self.message(sender).await {
            UpsertOutcome::Created { code, .. } => code.as_str().to_owned(),
            other => panic!("expected a new code for {sender}, got {other:?}"),
        }
    }

    pub async fn approve(&self, code: &str) -> Result<SenderKey, PairingError> {
        let approved = self.store.approve(code, &Actor::cli(), Grant::unlimited()).await?;
        Ok(SenderKey::new(approved.channel, approved.account_id, approved.sender_id))
    }

    pub async fn seed(&self, sender: &str) {
        let key = key(sender);
        let senders = [key.sender_id];
        self.store.seed(&key.channel, &key.account_id, &senders, &Actor::seed()).await.unwrap();
    }

    pub async fn is_allowed(&self, sender: &str) -> bool {
        self.store.is_allowed(&key(sender)).await.unwrap()
    }

    /// The senders with a live grant, as listed.
    pub async fn allowed(&self) -> Vec<String> {
        let allowed = self.store.list_allow(&Filter::all(), false).await.unwrap();
        allowed.into_iter().map(|grant| grant.sender_id.to_string()).collect()
    }

    /// The senders with a pending request, as listed.
    pub async fn pending(&self) -> Vec<String> {
        let pending = self.store.list_pending(&Filter::all()).await.unwrap();
        pending.into_iter().map(|request| request.sender_id.to_string()).collect()
    }

    /// The audit log as `actor action sender`.
    pub async fn audit(&self) -> Vec<String> {
        let events = self.store.audit(&Filter::all(), 1000).await.unwrap();
        let line = |event: AuditEvent| {
            let sender = event.sender_id.map_or_else(String::new, |id| id.to_string());
            format!("{} {} {sender}", event.actor, event.action).trim_end().to_owned()
        };
        events.into_iter().map(line).collect()
    }

    /// Leaves a trace of a sender in every table.
    pub async fn fill_every_table(&self, id: &str) {
        let target = key(id).into();
        let code = self.code(id).await;
        self.store.reject(&code, &Actor::cli()).await.unwrap();
        self.pass(hours(24));
        let code = self.code(id).await;
        let grant =
            Grant::unlimited().with_expires_in(minutes(1)).with_note(format!("{id} is a friend"));
        self.store.approve(&code, &Actor::cli(), grant).await.unwrap();
        self.pass(minutes(1));
        self.code(id).await;
        self.store.revoke(&target, &Actor::cli()).await.unwrap();
        let reason = format!("calls from {id}");
        self.store.block(&target, &Actor::cli(), Some(&reason)).await.unwrap();
        self.store.block(&everywhere(id), &Actor::cli(), Some(&reason)).await.unwrap();
        self.store.unblock(&everywhere(id), &Actor::cli()).await.unwrap();
        for name in ["shop", "work"] {
            let ids = [sender(id)];
            self.store.seed(&channel(), &account(name), &ids, &Actor::seed()).await.unwrap();
        }
        self.store.block(&everywhere(id), &Actor::cli(), None).await.unwrap();
        self.store.unblock(&everywhere(id), &Actor::cli()).await.unwrap();
        let request = NewRequest::new(key_on("shop", id)).with_meta(json!({ "push_name": id }));
        self.store.upsert_pending(request).await.unwrap();
    }
}

impl<B: SessionBackend> World<B> {
    /// Redeems the code with number 1.
    pub async fn redeem(&self, claim: Option<u64>) -> Result<IssuedSession, RedeemError> {
        self.store.redeem(redemption(1, claim)).await
    }

    /// A new session for each number.
    pub async fn device(&self, number: u64) -> IssuedSession {
        self.store.redeem(redemption(number, None)).await.unwrap()
    }

    /// Whether the token of a session is valid now.
    pub async fn accepts(&self, issued: &IssuedSession) -> bool {
        self.store.session(&issued.token).await.unwrap().is_some()
    }

    pub async fn live(&self) -> Vec<Session> {
        self.store.list_sessions(false).await.unwrap()
    }
}

pub fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

pub fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

pub fn hours(hours: u64) -> Duration {
    minutes(60 * hours)
}

pub fn channel() -> ChannelId {
    ChannelId::parse("whatsapp").unwrap()
}

pub fn account(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

pub fn sender(id: &str) -> SenderId {
    SenderId::parse(id).unwrap()
}

pub fn actor(name: &str) -> Actor {
    Actor::parse(name).unwrap()
}

/// A sender on the account `personal`.
pub fn key(id: &str) -> SenderKey {
    key_on("personal", id)
}

pub fn key_on(name: &str, id: &str) -> SenderKey {
    SenderKey::new(channel(), account(name), sender(id))
}

/// A sender on all accounts.
pub fn everywhere(id: &str) -> Target {
    Target::new(channel(), AccountScope::All, sender(id))
}

/// An unused code with a valid check character, distinct for each number.
pub fn unknown(number: u8) -> String {
    PairingCode::from_random([31, 31, 31, 31, 31, 31, number]).as_str().to_owned()
}

/// The same code with a wrong check character.
pub fn mistyped(number: u8) -> String {
    let mut code = unknown(number);
    let last = if code.ends_with('A') { "B" } else { "A" };
    code.replace_range(7.., last);
    code
}

/// The claims of a code that lives for ten minutes from [`START`], distinct for each number.
pub fn claims(number: u64) -> TokenClaims {
    let (profile, expires_at) = ("companion-v1".to_owned(), moment(START + 600));
    TokenClaims::new(profile, expires_at, format!("{number:032x}"), Some("Ana's phone".into()))
}

pub fn claim_id(number: u64) -> ClaimId {
    ClaimId::parse(&format!("claim-{number:022}")).unwrap()
}

/// The redemption of a numbered code, with or without a claim id.
pub fn redemption(code: u64, claim: Option<u64>) -> Redemption {
    let mut redemption = Redemption::new(claims(code));
    redemption.claim_id = claim.map(claim_id);
    redemption
}

/// The attempts left after a wrong code.
pub fn attempts_left(error: PairingError) -> u32 {
    match error {
        PairingError::UnknownCode { attempts_left } => attempts_left,
        other => panic!("{other:?}"),
    }
}

/// The rest of a lockout.
pub fn lockout(error: PairingError) -> Duration {
    match error {
        PairingError::LockedOut { remaining } => remaining,
        other => panic!("{other:?}"),
    }
}

/// The details of the audit entries with this action.
pub async fn details(store: &impl OperatorBackend, action: &str) -> Vec<Value> {
    let events = store.audit(&Filter::all(), 10_000).await.unwrap();
    let events = events.into_iter().filter(|event| event.action.as_str() == action);
    events.map(|event| event.detail).collect()
}

/// The number of repeated claims in the details of their audit entries.
pub fn counted(details: &[Value]) -> u64 {
    details.iter().map(|detail| detail["count"].as_u64().unwrap()).sum()
}

/// A configuration of modes: the default one, and those of some accounts.
pub fn configured(
    default: Option<Mode>,
    accounts: Option<&[(&str, Option<Mode>)]>,
) -> ConfiguredModes {
    let setting = |mode| ModeSetting::new(mode, "pairing.yaml");
    let entry = |(name, mode): &(&str, Option<Mode>)| (account_key(name), mode.map(setting));
    ConfiguredModes {
        default: default.map(setting),
        accounts: accounts.map(|accounts| accounts.iter().map(entry).collect()),
    }
}

pub fn account_key(name: &str) -> AccountKey {
    (channel(), account(name))
}

/// The modes in force of a process that starts with a configuration.
pub async fn start(
    store: &impl OperatorBackend,
    configured: &ConfiguredModes,
) -> Result<ModesInForce, ModesError> {
    store.put_modes_in_force(configured, None, None).await.unwrap()
}

/// The mode in force for an account.
pub fn mode(modes: &ModesInForce, name: &str) -> Option<Mode> {
    modes.mode(&channel(), &account(name))
}
