//! The gate, as its callers see it.

mod decide;
mod listing;
mod notice;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use nexo_pairing_core::{
    AccountKey, Challenge, Clock, Decision, DecisionKind, GateBackend, Inbound, IntoBackend,
    PairingAdapterRegistry, PairingChannelAdapter, PairingError, PairingPolicy, Replica, Rule,
    SenderId, SenderKey, limits,
};
use time::OffsetDateTime;

use crate::Delivery;
use crate::clock::CoarseClock;
use crate::deliver::deliver;
use crate::message::{Message, Raw};
use crate::roster::Roster;
use crate::telemetry::{Telemetry, Warning, Warnings};
use decide::Decided;
pub use notice::ScreenedNotice;

/// How long after a challenge that was not delivered the next one is tried.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// What a gate may be told besides its store.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GateOptions {
    /// Where the time comes from. Default: the operating system. Give it the clock of its store.
    pub clock: Arc<dyn Clock>,
    /// The accounts that there are; messages to any other are dropped. Default `None`: every account
    /// is known.
    pub accounts: Option<Vec<AccountKey>>,
    /// How old the lists may be when the store cannot be read. Beyond that, nothing is decided.
    /// Default [`MAX_STALENESS`](limits::MAX_STALENESS).
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
    /// The same options, with this [`clock`](Self::clock).
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same options, with this [`accounts`](Self::accounts).
    #[must_use]
    pub fn with_accounts(mut self, accounts: impl IntoIterator<Item = AccountKey>) -> Self {
        self.accounts = Some(accounts.into_iter().collect());
        self
    }

    /// The same options, with this [`max_staleness`](Self::max_staleness).
    #[must_use]
    pub fn with_max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = max_staleness;
        self
    }

    /// The same options, with this [`max_pending_total`](Self::max_pending_total).
    #[must_use]
    pub fn with_max_pending_total(mut self, max_pending_total: u32) -> Self {
        self.max_pending_total = max_pending_total;
        self
    }
}

/// Decides who may talk to the agent.
#[derive(Debug)]
pub struct PairingGate {
    backend: Handle,
    roster: Arc<Roster>,
    telemetry: Arc<Telemetry>,
    warnings: Warnings,
    options: GateOptions,
    must_refresh: AtomicBool,
    /// Whether the last refresh hung: then not every message waits for the next.
    is_stalled: AtomicBool,
}

/// What became of a message in [`PairingGate::screen`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Screened {
    /// What to do with it.
    pub decision: Decision,
    /// The rule that said so.
    pub rule: Rule,
    /// The canonical id of who wrote; `None` where none could be made of the raw one.
    pub sender: Option<SenderId>,
    /// What became of the challenge, if it is one.
    pub delivery: Option<Delivery>,
}

/// What would become of a message, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The rule that decides.
    pub rule: Rule,
    /// What it decides.
    pub decision: DecisionKind,
    /// The canonical id of who wrote; `None` where none could be made of the raw one.
    pub sender: Option<SenderId>,
}

impl Screened {
    /// What became of a message that was decided on from memory, if it was.
    fn at_once(glanced: Option<(Rule, DecisionKind)>, message: &Message<'_>) -> Option<Self> {
        let (rule, kind) = glanced?;
        let decision = kind.without_code()?;
        Some(Self { decision, rule, sender: message.sender(), delivery: None })
    }
}

impl PairingGate {
    /// A gate before a store, such as a clone of a `PairingStore`, with default options. It begins to load the lists at once; until
    /// they are there, calls wait for them.
    #[must_use]
    pub fn new(backend: impl IntoBackend<dyn GateBackend>) -> Self {
        Self::with_options(backend, GateOptions::default())
    }

    /// A gate with options.
    #[must_use]
    pub fn with_options(backend: impl IntoBackend<dyn GateBackend>, options: GateOptions) -> Self {
        let backend = backend.into_backend();
        let telemetry = Arc::new(Telemetry::new());
        let roster = Arc::new(Roster::new(Arc::clone(&options.clock), Arc::clone(&telemetry)));
        let replica: Arc<dyn Replica> = Arc::clone(&roster) as _;
        let replica: Weak<dyn Replica> = Arc::downgrade(&replica);
        backend.subscribe(replica);
        let gate = Self {
            backend: Handle(backend),
            roster,
            telemetry,
            warnings: Warnings::new(Arc::clone(&options.clock)),
            must_refresh: AtomicBool::new(false),
            is_stalled: AtomicBool::new(false),
            options,
        };
        gate.set_accounts(gate.options.accounts.clone());
        gate
    }

    /// Replaces the accounts that there are, from the next message on; `None` when all are.
    pub fn set_accounts(&self, accounts: Option<Vec<AccountKey>>) {
        for (channel, _) in accounts.iter().flatten() {
            self.telemetry.channel(channel.as_str(), true);
        }
        self.roster.set_accounts(accounts);
    }

    /// Decides on a direct message; the short form of [`screen`](Self::screen), which delivers
    /// nothing. Without an adapter the raw id is taken as it is.
    ///
    /// # Errors
    ///
    /// [`PairingError::Stale`] and [`PairingError::Backend`] when the state is not known: drop the
    /// message. [`PairingError::Id`] when channel or account is none.
    pub async fn should_admit(
        &self,
        channel: &str,
        account_id: &str,
        raw_sender: &str,
        policy: &PairingPolicy,
        adapter: Option<&dyn PairingChannelAdapter>,
    ) -> Result<Decision, PairingError> {
        let raw = Raw::direct(channel, account_id, raw_sender, policy);
        let counters = self.telemetry.channel(channel, adapter.is_some());
        let mut message = Message::of(&raw);
        let glanced = self.glance(&mut message, adapter, counters)?;
        if let Some(decision) = glanced.and_then(|(_, kind)| kind.without_code()) {
            return Ok(decision);
        }
        Ok(self.decide(&mut message, adapter, counters).await?.decision)
    }

    /// [`should_admit`](Self::should_admit) for callers that cannot wait: `None` when the answer is
    /// not in memory. Then the store has to be asked, or the adapter has to ask somebody who the
    /// sender is, and nothing was decided or counted yet.
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
    /// [`PairingError::Id`] when channel or account is none.
    pub fn try_admit(
        &self,
        channel: &str,
        account_id: &str,
        raw_sender: &str,
        policy: &PairingPolicy,
        adapter: Option<&dyn PairingChannelAdapter>,
    ) -> Result<Option<Decision>, PairingError> {
        let raw = Raw::direct(channel, account_id, raw_sender, policy);
        let counters = self.telemetry.channel(channel, adapter.is_some());
        let glanced = self.glance(&mut Message::of(&raw), adapter, counters)?;
        Ok(glanced.and_then(|(_, kind)| kind.without_code()))
    }

    /// Decides on a message and does what follows: a challenge is worded, delivered through the
    /// channel's adapter, and counted.
    ///
    /// # Errors
    ///
    /// As for [`should_admit`](Self::should_admit). A challenge that could not be delivered is no
    /// error: see [`Screened::delivery`].
    pub async fn screen(
        &self,
        inbound: &Inbound,
        policy: &PairingPolicy,
        registry: &PairingAdapterRegistry,
    ) -> Result<Screened, PairingError> {
        let adapter = registry.get(&inbound.channel);
        let counters = self.telemetry.channel(&inbound.channel, adapter.is_some());
        let raw = Raw::of(inbound, policy);
        let mut message = Message::of(&raw);
        let glanced = self.glance(&mut message, adapter.as_deref(), counters)?;
        if let Some(screened) = Screened::at_once(glanced, &message) {
            return Ok(screened);
        }
        let Decided { rule, decision, request } =
            self.decide(&mut message, adapter.as_deref(), counters).await?;
        let sender = message.sender();
        let mut delivery = None;
        if let (Decision::Challenge { code }, Some((key, expires_at)), Some(to)) =
            (&decision, request, &sender)
        {
            let minutes = minutes_until(expires_at, self.options.clock.now());
            let challenge = Challenge::new(code.clone(), minutes)
                .with_language(policy.language)
                .with_template(policy.challenge_text.clone());
            let result =
                deliver(&challenge, key.channel.as_str(), &key.account_id, to, registry).await;
            counters.challenged(&result);
            if matches!(result, Delivery::PublishFailed(_)) {
                self.take_back(&key, policy).await;
            }
            delivery = Some(result);
        }
        Ok(Screened { decision, rule, sender, delivery })
    }

    /// [`screen`](Self::screen) for callers that cannot wait: `None` when the answer is not in
    /// memory. [`Inbound::meta`] is not looked at.
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
        let counters = self.telemetry.channel(&inbound.channel, adapter.is_some());
        let raw = Raw::of(inbound, policy);
        let mut message = Message::of(&raw);
        let glanced = self.glance(&mut message, adapter.as_deref(), counters)?;
        Ok(Screened::at_once(glanced, &message))
    }

    /// Says which rule decides on a message, and writes nothing.
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
        let raw = Raw::of(inbound, policy);
        raw.check()?;
        let mut message = Message::of(&raw);
        message.resolve(adapter.as_deref(), &self.warnings).await;
        let (rule, decision) = self.look(&message).await?;
        Ok(Explanation { rule, decision, sender: message.sender() })
    }

    /// Has the lists compared with the store before the next decision. There is no cache to flush:
    /// changes are seen without it.
    pub fn flush_cache(&self) {
        self.must_refresh.store(true, Ordering::Release);
    }

    /// Compares the lists with the store now, so that the first decision does not have to wait for it.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store cannot be read.
    pub async fn refresh(&self) -> Result<(), PairingError> {
        self.backend.0.refresh().await
    }

    /// A challenge that was not delivered starts no cooldown.
    async fn take_back(&self, key: &SenderKey, policy: &PairingPolicy) {
        let cooldown = policy.challenge_cooldown;
        let taken = self.backend.0.challenge_undelivered(key, cooldown, RETRY_AFTER).await;
        if let Err(error) = taken {
            // The cooldown then runs its course.
            if let Some(suppressed) = self.warnings.allow(Warning::NotRetried) {
                tracing::warn!(
                    %key, %error, suppressed,
                    "a challenge was not delivered, and is not tried sooner"
                );
            }
        }
    }
}

/// Whole minutes, rounded up, so that a code is never said to be valid for longer than it reads.
fn minutes_until(expires_at: OffsetDateTime, now: OffsetDateTime) -> u64 {
    let seconds = (expires_at - now).whole_seconds();
    u64::try_from(seconds).unwrap_or_default().div_ceil(60)
}

/// A store, with a `Debug` that does not ask it anything.
struct Handle(Arc<dyn GateBackend>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GateBackend")
    }
}
