//! A gate on a store in memory, with a manual clock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use nexo_pairing_core::{
    AccountId, AccountScope, Actor, Challenge, ChannelId, Clock, Decision, DeliveryRoute,
    DropReason, Grant, Inbound, ManualClock, Mode, PairingAdapterRegistry, PairingChannelAdapter,
    PairingCode, PairingError, PairingPolicy, Rule, SenderId, SenderKey, Target,
};
use nexo_pairing_gate::{Explanation, GateOptions, PairingGate, Screened};
use nexo_pairing_store::{PairingStore, StoreOptions};
use time::{Duration, OffsetDateTime};

/// The channel of the tests: `id:7`, `ID:7` and `id:7...` are the same sender, `group:…` is a group,
/// `own` is the channel's own account, and anything else is not pairable.
#[derive(Default)]
pub(crate) struct TestAdapter {
    /// Sent texts: account, recipient, text.
    pub(crate) sent: Mutex<Vec<(String, String, String)>>,
    /// The ids it was asked to normalize.
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) is_broken: AtomicBool,
    /// Whether another process serves the channel and formats its texts.
    pub(crate) is_elsewhere: AtomicBool,
}

#[async_trait]
impl PairingChannelAdapter for TestAdapter {
    fn channel_id(&self) -> &'static str {
        "test"
    }

    fn normalize_sender(&self, raw: &str) -> Option<String> {
        self.asked.lock().unwrap().push(raw.into());
        let raw = raw.trim_end_matches('.').to_ascii_lowercase();
        (raw.starts_with("id:") || raw.starts_with("group:")).then_some(raw)
    }

    async fn resolve_sender(&self, raw: &str) -> Result<Option<String>, PairingError> {
        match raw {
            "ask" => Ok(Some("id:asked".into())),
            "down" => Err(PairingError::delivery("no answer")),
            _ => Ok(None),
        }
    }

    fn is_channel_account(&self, raw: &str) -> bool {
        raw == "own"
    }

    fn is_group(&self, canonical: &str) -> bool {
        canonical.starts_with("group:")
    }

    fn format_challenge(&self, challenge: &Challenge) -> String {
        challenge.plain_text()
    }

    async fn send_challenge(
        &self,
        account: &str,
        to: &str,
        challenge: &Challenge,
    ) -> Result<(), PairingError> {
        let text = if self.is_elsewhere.load(Ordering::SeqCst) {
            format!("formatted elsewhere: {}", challenge.code)
        } else {
            self.format_challenge(challenge)
        };
        self.send_reply(account, to, &text).await
    }

    fn route(&self) -> DeliveryRoute {
        if self.is_elsewhere.load(Ordering::SeqCst) {
            DeliveryRoute::Broker
        } else {
            DeliveryRoute::Adapter
        }
    }

    async fn send_reply(&self, account: &str, to: &str, text: &str) -> Result<(), PairingError> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(PairingError::delivery("the line is down"));
        }
        self.sent.lock().unwrap().push((account.into(), to.into(), text.into()));
        Ok(())
    }
}

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<PairingStore>,
    pub(crate) gate: PairingGate,
    pub(crate) adapter: Arc<TestAdapter>,
    pub(crate) registry: PairingAdapterRegistry,
    pub(crate) policy: PairingPolicy,
}

impl World {
    pub(crate) async fn new(mode: Mode) -> Self {
        Self::with_accounts(mode, None).await
    }

    pub(crate) async fn with_accounts(mode: Mode, accounts: Option<&[&str]>) -> Self {
        Self::with_options(mode, |options| {
            options.accounts = accounts.map(|accounts| {
                accounts.iter().map(|name| (channel(), AccountId::parse(name).unwrap())).collect()
            });
        })
        .await
    }

    pub(crate) async fn with_options(mode: Mode, change: impl FnOnce(&mut GateOptions)) -> Self {
        let start = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let clock = ManualClock::new(start);
        let mut options = StoreOptions::default();
        options.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let store = Arc::new(PairingStore::open_memory_with(options).await.unwrap());
        let mut options = GateOptions::default();
        options.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        change(&mut options);
        let gate = PairingGate::with_options(Arc::clone(&store), options);
        let adapter = Arc::new(TestAdapter::default());
        let registry = PairingAdapterRegistry::new();
        registry.register(Arc::clone(&adapter) as _);
        Self { clock, store, gate, adapter, registry, policy: PairingPolicy::new(mode) }
    }

    pub(crate) async fn screen(&self, inbound: Inbound) -> Screened {
        self.gate.screen(&inbound, &self.policy, &self.registry).await.unwrap()
    }

    pub(crate) async fn explain(&self, inbound: Inbound) -> Explanation {
        self.gate.explain(&inbound, &self.policy, &self.registry).await.unwrap()
    }

    /// Screens a direct message to the account `main`.
    pub(crate) async fn write(&self, raw: &str) -> Screened {
        self.screen(direct(raw)).await
    }

    /// Screens a message that has to be challenged; returns the code.
    pub(crate) async fn challenge(&self, raw: &str) -> PairingCode {
        match self.write(raw).await.decision {
            Decision::Challenge { code } => code,
            other => panic!("{raw} got {other:?}"),
        }
    }

    pub(crate) async fn approve(&self, raw: &str) {
        let code = self.challenge(raw).await;
        self.store.approve(code.as_str(), &Actor::cli(), Grant::unlimited()).await.unwrap();
    }

    pub(crate) async fn reject(&self, raw: &str) {
        let code = self.challenge(raw).await;
        self.store.reject(code.as_str(), &Actor::cli()).await.unwrap();
    }

    pub(crate) async fn seed(&self, account: &str, sender: &str) {
        let senders = [SenderId::parse(sender).unwrap()];
        let account = AccountId::parse(account).unwrap();
        self.store.seed(&channel(), &account, &senders, &Actor::seed()).await.unwrap();
    }

    pub(crate) async fn block(&self, scope: AccountScope, sender: &str) {
        let target = Target::new(channel(), scope, SenderId::parse(sender).unwrap());
        self.store.block(&target, &Actor::cli(), None).await.unwrap();
    }

    pub(crate) fn pass(&self, by: Duration) {
        self.clock.advance(by.try_into().unwrap());
    }
}

pub(crate) fn channel() -> ChannelId {
    ChannelId::parse("test").unwrap()
}

pub(crate) fn key(account: &str, sender: &str) -> SenderKey {
    let (account, sender) = (AccountId::parse(account), SenderId::parse(sender));
    SenderKey::new(channel(), account.unwrap(), sender.unwrap())
}

pub(crate) fn direct(raw: &str) -> Inbound {
    Inbound::direct("test", "main", raw)
}

/// Asserts that a message was dropped by this rule, for this reason, and that nothing was sent.
pub(crate) fn assert_dropped(screened: &Screened, rule: Rule, reason: DropReason) {
    assert_eq!(screened.decision, Decision::Drop(reason));
    assert_eq!(screened.rule, rule);
    assert!(screened.delivery.is_none());
}

/// The output of a future that is ready at its first poll.
pub(crate) fn at_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
