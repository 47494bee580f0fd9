//! The gate: options, and the calls that decide.

mod decide;
mod notice;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use derive_setters::Setters;
use nexo_pairing_core::{
    AccountKey, Challenge, Clock, Decision, DecisionKind, GateBackend, Inbound, IntoBackend,
    PairingAdapterRegistry, PairingChannelAdapter, PairingError, PairingPolicy, Replica, Rule,
    SenderId, SenderKey, limits,
};
use time::OffsetDateTime;

use crate::clock::CoarseClock;
use crate::deliver::deliver;
use crate::message::{Message, SenderIds, canonical};
use crate::replica::GateReplica;
use crate::telemetry::{Warning, Warnings};
use crate::{Delivery, Listing};
use decide::Decided;
pub use notice::ScreenedNotice;

/// How long after a failed delivery a message is challenged again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Options of a gate.
#[derive(Debug, Clone, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_")]
pub struct GateOptions {
    /// The clock. Default: the operating system's. Use that of the store.
    pub clock: Arc<dyn Clock>,
    /// The configured accounts; messages to any other are dropped. Default `None`: every account is
    /// known.
    #[setters(skip)]
    pub accounts: Option<Vec<AccountKey>>,
    /// How old the gate's copy of the lists may be when the store cannot be read. Beyond that,
    /// nothing is decided. Default [`MAX_STALENESS`](limits::MAX_STALENESS).
    pub max_staleness: Duration,
    /// How many live requests there may be over all accounts; beyond that, strangers are dropped as
    /// [`PendingFull`](nexo_pairing_core::DropReason::PendingFull). Default
    /// [`MAX_PENDING_TOTAL`](limits::MAX_PENDING_TOTAL).
    pub max_pending_total: u32,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(CoarseClock),
            accounts: None,
            max_staleness: limits::MAX_STALENESS,
            max_pending_total: limits::MAX_PENDING_TOTAL,
        }
    }
}

impl GateOptions {
    /// The same options, with these [`accounts`](Self::accounts).
    #[must_use]
    pub fn with_accounts(mut self, accounts: impl IntoIterator<Item = AccountKey>) -> Self {
        self.accounts = Some(accounts.into_iter().collect());
        self
    }
}

/// Decides who may talk to the agent.
pub struct PairingGate {
    backend: Arc<dyn GateBackend>,
    replica: Arc<GateReplica>,
    warnings: Warnings,
    options: GateOptions,
    must_refresh: AtomicBool,
    /// Whether the last refresh timed out: the next messages then wait for less long.
    is_stalled: AtomicBool,
}

/// The result of [`PairingGate::screen`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Screened {
    /// The decision.
    pub decision: Decision,
    /// The rule that made it.
    pub rule: Rule,
    /// The sender's canonical id; `None` if the raw one has none.
    pub sender: Option<SenderId>,
    /// The result of delivering the challenge, if it is one.
    pub delivery: Option<Delivery>,
}

/// What would be decided on a message, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The rule that decides.
    pub rule: Rule,
    /// What it decides.
    pub decision: DecisionKind,
    /// The sender's canonical id; `None` if the raw one has none.
    pub sender: Option<SenderId>,
}

impl PairingGate {
    /// A gate with default options for a store, such as a clone of a `PairingStore`. It starts to load the
    /// lists at once; until they are loaded, calls wait for them.
    #[must_use]
    pub fn new(backend: impl IntoBackend<dyn GateBackend>) -> Self {
        Self::with_options(backend, GateOptions::default())
    }

    /// A gate with options.
    #[must_use]
    pub fn with_options(
        backend: impl IntoBackend<dyn GateBackend>,
        mut options: GateOptions,
    ) -> Self {
        let backend = backend.into_backend();
        let replica = Arc::new(GateReplica::new(Arc::clone(&options.clock)));
        let subscriber: Weak<dyn Replica> = Arc::downgrade(&replica) as _;
        backend.subscribe(subscriber);
        let accounts = options.accounts.take();
        let gate = Self {
            backend,
            replica,
            warnings: Warnings::new(Arc::clone(&options.clock)),
            must_refresh: AtomicBool::new(false),
            is_stalled: AtomicBool::new(false),
            options,
        };
        gate.set_accounts(accounts);
        gate
    }

    /// Replaces the configured accounts, from the next message on; `None` if every account is known.
    pub fn set_accounts(&self, accounts: Option<Vec<AccountKey>>) {
        self.replica.set_accounts(accounts);
    }

    /// Decides on a direct message; the short form of [`screen`](Self::screen), which delivers
    /// nothing. Without an adapter, the raw id counts as the canonical one.
    ///
    /// # Errors
    ///
    /// [`PairingError::Stale`] and [`PairingError::Backend`] if the state is not known: drop the
    /// message. [`PairingError::Id`] if the channel or account id is invalid.
    pub async fn should_admit(
        &self,
        channel: &str,
        account_id: &str,
        raw_sender: &str,
        policy: &PairingPolicy,
        adapter: Option<&dyn PairingChannelAdapter>,
    ) -> Result<Decision, PairingError> {
        let mut message = Message::direct(channel, account_id, raw_sender, policy, adapter);
        Ok(self.decide(&mut message).await?.decision)
    }

    /// [`should_admit`](Self::should_admit) without waiting: `None` if the answer is not in memory.
    /// Then the store has to be asked, or the adapter has to resolve the sender, and nothing was
    /// decided or counted yet.
    ///
    /// ```
    /// # use nexo_pairing_core::{Decision, PairingError, PairingPolicy};
    /// # use nexo_pairing_gate::PairingGate;
    /// # async fn decide(
    /// #     gate: &PairingGate, policy: &PairingPolicy, from: &str,
    /// # ) -> Result<Decision, PairingError> {
    /// match gate.try_admit("whatsapp", "personal", from, policy, None)? {
    ///     Some(decision) => Ok(decision),
    ///     None => gate.should_admit("whatsapp", "personal", from, policy, None).await,
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PairingError::Id`] if the channel or account id is invalid.
    pub fn try_admit(
        &self,
        channel: &str,
        account_id: &str,
        raw_sender: &str,
        policy: &PairingPolicy,
        adapter: Option<&dyn PairingChannelAdapter>,
    ) -> Result<Option<Decision>, PairingError> {
        let mut message = Message::direct(channel, account_id, raw_sender, policy, adapter);
        Ok(self.decide_cached(&mut message)?.decided().map(|decided| decided.decision))
    }

    /// Decides on a message and acts on it: a challenge is formatted, delivered through the
    /// channel's adapter, and counted.
    ///
    /// # Errors
    ///
    /// As for [`should_admit`](Self::should_admit). A challenge that could not be delivered is not
    /// an error: see [`Screened::delivery`].
    pub async fn screen(
        &self,
        inbound: &Inbound,
        policy: &PairingPolicy,
        registry: &PairingAdapterRegistry,
    ) -> Result<Screened, PairingError> {
        let adapter = registry.get(&inbound.channel);
        let mut message = Message::new(inbound, policy, adapter.as_deref());
        let Decided { rule, decision, request } = self.decide(&mut message).await?;
        let sender = message.sender();
        let mut delivery = None;
        if let (Decision::Challenge { code }, Some((key, expires_at)), Some(to)) =
            (&decision, request, &sender)
        {
            let minutes = minutes_until(expires_at, self.options.clock.now());
            let challenge = Challenge::new(code.clone(), minutes)
                .with_language(policy.language)
                .with_template(policy.challenge_text.clone());
            let result = deliver(&challenge, message.adapter, &key.account_id, to).await;
            self.replica.read_for(&message).telemetry.channel(message.channel).challenged(&result);
            if matches!(result, Delivery::PublishFailed(_)) {
                self.revert_cooldown(&key, policy).await;
            }
            delivery = Some(result);
        }
        Ok(Screened { decision, rule, sender, delivery })
    }

    /// [`screen`](Self::screen) without waiting: `None` if the answer is not in memory.
    /// [`Inbound::meta`] is not used.
    ///
    /// # Errors
    ///
    /// As for [`try_admit`](Self::try_admit).
    pub fn try_screen(
        &self,
        inbound: &Inbound,
        policy: &PairingPolicy,
        registry: &PairingAdapterRegistry,
    ) -> Result<Option<Screened>, PairingError> {
        let adapter = registry.get(&inbound.channel);
        let mut message = Message::new(inbound, policy, adapter.as_deref());
        let cached = self.decide_cached(&mut message)?;
        Ok(cached.decided().map(|Decided { rule, decision, .. }| {
            let sender = message.sender();
            Screened { decision, rule, sender, delivery: None }
        }))
    }

    /// Tells which rule decides on a message, and writes nothing.
    ///
    /// # Errors
    ///
    /// As for [`should_admit`](Self::should_admit).
    pub async fn explain(
        &self,
        inbound: &Inbound,
        policy: &PairingPolicy,
        registry: &PairingAdapterRegistry,
    ) -> Result<Explanation, PairingError> {
        let adapter = registry.get(&inbound.channel);
        let mut message = Message::new(inbound, policy, adapter.as_deref());
        message.check_names()?;
        let (rule, decision) = self.evaluate(&mut message).await?;
        Ok(Explanation { rule, decision, sender: message.sender() })
    }

    /// The list of its account that the sender of a message is on, by any of the ids in it; `None` for
    /// all others. An id that the adapter has to resolve is looked up as it is.
    ///
    /// It is answered from memory, also while the store cannot be read. It tells a caller with a
    /// queue whom to serve first, and decides nothing.
    #[must_use]
    pub fn listing(&self, inbound: &Inbound, registry: &PairingAdapterRegistry) -> Option<Listing> {
        let adapter = registry.get(&inbound.channel);
        let canonical = |raw| canonical(raw, adapter.as_deref());
        let ids: SenderIds<'_> =
            inbound.ids().filter_map(|raw| canonical(raw).unwrap_or(Some(raw.into()))).collect();
        let state = self.replica.read();
        state.snapshot.view(&inbound.channel, &inbound.account, &ids).listing()
    }

    /// Forces a refresh from the store before the next decision. There is no cache to flush: changes
    /// are seen without it.
    pub fn flush_cache(&self) {
        self.must_refresh.store(true, Ordering::Release);
    }

    /// Loads the lists from the store now, so that the first decision does not have to wait for it.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store cannot be read.
    pub async fn refresh(&self) -> Result<(), PairingError> {
        self.backend.refresh().await
    }

    /// Shortens the cooldown of a challenge that was not delivered.
    async fn revert_cooldown(&self, key: &SenderKey, policy: &PairingPolicy) {
        let cooldown = policy.challenge_cooldown;
        let reverted = self.backend.challenge_undelivered(key, cooldown, RETRY_AFTER).await;
        if let Err(error) = reverted
            && let Some(suppressed) = self.warnings.allow(Warning::NotRetried)
        {
            tracing::warn!(
                %key, %error, suppressed,
                "a challenge was not delivered, and is not retried before its cooldown ends"
            );
        }
    }
}

impl fmt::Debug for PairingGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairingGate").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Whole minutes, rounded up: a code that still lives is never said to be valid for 0 minutes.
fn minutes_until(expires_at: OffsetDateTime, now: OffsetDateTime) -> u64 {
    let seconds = (expires_at - now).whole_seconds();
    u64::try_from(seconds).unwrap_or_default().div_ceil(60)
}
