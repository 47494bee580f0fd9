//! The gate: fresh lists, the rules in their order, and the store for what has to be written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use nexo_pairing_core::{
    AccountId, Challenge, ChannelId, Clock, Decision, DropReason, Inbound, Mirror, Mode,
    NewRequest, PairingAdapterRegistry, PairingBackend, PairingChannelAdapter, PairingError,
    PairingPolicy, Rule, SenderId, SenderKey, SystemClock, UpsertOutcome,
};
use time::OffsetDateTime;

use crate::Delivery;
use crate::deliver::deliver;
use crate::message::Message;
use crate::roster::{Question, Roster};
use crate::telemetry::{Channel, Telemetry};

/// How long a message waits for a store that has hung before.
const STALLED_WAIT: Duration = Duration::from_millis(50);

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
    pub accounts: Option<Vec<(ChannelId, AccountId)>>,
    /// How old the lists may be when the store cannot be read. Beyond that, nothing is decided.
    /// Default 5 s.
    pub max_staleness: Duration,
}

impl Default for GateOptions {
    fn default() -> Self {
        let (clock, max_staleness) = (SystemClock::shared(), Duration::from_secs(5));
        Self { clock, accounts: None, max_staleness }
    }
}

/// Decides who may talk to the agent.
#[derive(Debug)]
pub struct PairingGate {
    backend: Handle,
    roster: Arc<Roster>,
    telemetry: Arc<Telemetry>,
    options: GateOptions,
    /// The accounts that there are; `None` when all are.
    accounts: RwLock<Option<Vec<(ChannelId, AccountId)>>>,
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
    /// What it decides: `admit`, `challenge` or `drop`.
    pub decision: &'static str,
    /// The canonical id of who wrote; `None` where none could be made of the raw one.
    pub sender: Option<SenderId>,
}

/// What was decided on a message, and for a challenge whose request it is and when its code runs
/// out.
struct Decided {
    rule: Rule,
    decision: Decision,
    request: Option<(SenderKey, OffsetDateTime)>,
}

/// What the lists say of a message.
enum Verdict {
    Decided(Rule, Decision),
    /// The store makes the request, or repeats it.
    Ask(Rule),
}

impl PairingGate {
    /// A gate before `backend`, with default options. It begins to load the lists at once; until
    /// they are there, calls wait for them.
    #[must_use]
    pub fn new(backend: Arc<dyn PairingBackend>) -> Self {
        Self::with_options(backend, GateOptions::default())
    }

    /// A gate with options.
    #[must_use]
    pub fn with_options(backend: Arc<dyn PairingBackend>, options: GateOptions) -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let roster = Arc::new(Roster::new(Arc::clone(&options.clock), Arc::clone(&telemetry)));
        let mirror: Arc<dyn Mirror> = Arc::clone(&roster) as _;
        let mirror: Weak<dyn Mirror> = Arc::downgrade(&mirror);
        backend.attach(mirror);
        let gate = Self {
            backend: Handle(backend),
            roster,
            telemetry,
            accounts: RwLock::default(),
            must_refresh: AtomicBool::new(false),
            is_stalled: AtomicBool::new(false),
            options,
        };
        gate.set_accounts(gate.options.accounts.clone());
        gate
    }

    /// Replaces the accounts that there are, from the next message on; `None` when all are.
    pub fn set_accounts(&self, accounts: Option<Vec<(ChannelId, AccountId)>>) {
        for (channel, _) in accounts.iter().flatten() {
            self.telemetry.channel(channel.as_str(), true);
        }
        *self.accounts.write().unwrap_or_else(PoisonError::into_inner) = accounts;
    }

    /// Decides on an event of a plugin itself, which has no sender: it passes unless its account is
    /// unknown.
    ///
    /// # Errors
    ///
    /// [`PairingError::Id`] when channel or account is none.
    pub fn notice(&self, channel: &str, account: &str) -> Result<Decision, PairingError> {
        let (channel, account) = (ChannelId::parse(channel)?, AccountId::parse(account)?);
        if self.is_known(&channel, &account) {
            Ok(Decision::Admit)
        } else {
            Ok(Decision::Drop(DropReason::UnknownAccount))
        }
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
        let counters = self.telemetry.channel(channel, adapter.is_some());
        let message = Message::read(channel, account_id, raw_sender, &[], policy, adapter)
            .await
            .inspect_err(|_| counters.undecided())?;
        Ok(self.decide(&message, &counters).await?.decision)
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
        let message = Message::read_inbound(inbound, policy, adapter.as_deref())
            .await
            .inspect_err(|_| counters.undecided())?;
        let Decided { rule, decision, request } = self.decide(&message, &counters).await?;
        let sender = message.sender();
        let mut delivery = None;
        if let (Decision::Challenge { code }, Some((key, expires_at)), Some(to)) =
            (&decision, request, &sender)
        {
            let minutes = minutes_until(expires_at, self.options.clock.now());
            let challenge = Challenge::new(code.clone(), minutes)
                .worded(policy.language, policy.challenge_text.clone());
            let (channel, account) = (&message.channel, &message.account);
            let result = deliver(&challenge, channel.as_str(), account, to, registry).await;
            counters.challenged(&result);
            if matches!(result, Delivery::PublishFailed(_)) {
                self.take_back(&key, policy).await;
            }
            delivery = Some(result);
        }
        Ok(Screened { decision, rule, sender, delivery })
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
        let message = Message::read_inbound(inbound, policy, adapter.as_deref()).await?;
        let (rule, decision) = match self.look(&message).await? {
            Verdict::Decided(rule, decision) => (rule, decision.as_str()),
            Verdict::Ask(rule) => (rule, "challenge"),
        };
        Ok(Explanation { rule, decision, sender: message.sender() })
    }

    /// Has the lists compared with the store before the next decision. There is no cache to flush:
    /// changes are seen without it.
    pub fn flush_cache(&self) {
        self.must_refresh.store(true, Ordering::Release);
    }

    /// The rules in their order; with the end of the code's life for a challenge.
    async fn decide(
        &self,
        message: &Message<'_>,
        counters: &Channel,
    ) -> Result<Decided, PairingError> {
        let decided = match self.look(message).await {
            Ok(Verdict::Decided(rule, decision)) => Ok(Decided { rule, decision, request: None }),
            Ok(Verdict::Ask(_)) => self.ask_store(message).await,
            Err(error) => Err(error),
        };
        match &decided {
            Ok(Decided { rule, decision, .. }) => counters.decided(*rule, decision),
            Err(_) => counters.undecided(),
        }
        decided
    }

    /// Rules 1 to 10 and 12: from memory.
    async fn look(&self, message: &Message<'_>) -> Result<Verdict, PairingError> {
        let is_open = message.policy.mode == Mode::Open;
        // Rule 1.
        let freshness = self.freshen().await;
        let is_fresh = freshness.is_ok();
        if !is_open || self.roster.may_have_blocks() {
            freshness?;
        }
        let drop = |rule, reason| Ok(Verdict::Decided(rule, Decision::Drop(reason)));
        // Rule 2.
        if !self.is_known(&message.channel, &message.account) {
            return drop(Rule::UnknownAccount, DropReason::UnknownAccount);
        }
        // Rule 3. An id that could not be read may be a blocked one.
        let may_be_blocked = message.is_unresolved && self.roster.may_have_blocks();
        if message.is_nobody && !is_open || may_be_blocked {
            return drop(Rule::NotPairable, DropReason::NotPairable);
        }
        // In mode `open`, without a store and without a block that was ever known.
        if !is_fresh {
            return Ok(Verdict::Decided(Rule::Open, Decision::Admit));
        }
        let senders: Vec<&str> = message.senders.iter().map(AsRef::as_ref).collect();
        let question = Question {
            channel: message.channel.as_str(),
            account: message.account.as_str(),
            senders: &senders,
            is_direct: message.is_direct,
            policy: message.policy,
        };
        Ok(match self.roster.decide(&question, self.options.clock.now()) {
            Rule::Open if message.is_nobody => Verdict::Decided(Rule::NotPairable, Decision::Admit),
            rule @ (Rule::ChallengeAgain | Rule::Challenge) => Verdict::Ask(rule),
            rule => Verdict::Decided(rule, settled(rule)),
        })
    }

    /// Rules 11 and 13, and whatever the store finds to hold by now.
    async fn ask_store(&self, message: &Message<'_>) -> Result<Decided, PairingError> {
        let started = self.options.clock.elapsed();
        let mut senders = message.senders.iter().map(|id| SenderId::parse(id));
        let Some(sender) = senders.next().transpose()? else {
            let (rule, decision) = (Rule::NotPairable, settled(Rule::NotPairable));
            return Ok(Decided { rule, decision, request: None });
        };
        let key = SenderKey::new(message.channel.clone(), message.account.clone(), sender);
        let mut request = NewRequest::new(key);
        request.alt = senders.collect::<Result<_, _>>()?;
        request.meta = message.meta.clone();
        request.max_pending = message.policy.max_pending;
        request.ttl = message.policy.pending_ttl;
        request.cooldown = message.policy.challenge_cooldown;
        let outcome = self.backend.0.upsert_pending(request).await?;
        let seconds = self.options.clock.elapsed().saturating_sub(started).as_secs_f64();
        self.telemetry.asked_store(seconds);
        let (rule, code, request) = match outcome {
            UpsertOutcome::Created { key, code, expires_at } => {
                (Rule::Challenge, Some(code), Some((key, expires_at)))
            }
            UpsertOutcome::Repeated { key, code, expires_at } => {
                (Rule::ChallengeAgain, Some(code), Some((key, expires_at)))
            }
            UpsertOutcome::AlreadyChallenged => (Rule::AlreadyChallenged, None, None),
            UpsertOutcome::Waiting => (Rule::Waiting, None, None),
            UpsertOutcome::PendingFull => (Rule::PendingFull, None, None),
            UpsertOutcome::Allowed => (Rule::Allowed, None, None),
            // Also what a later version of the store may say: nobody is let in by it.
            _ => (Rule::Blocked, None, None),
        };
        let decision = code.map_or_else(|| settled(rule), |code| Decision::Challenge { code });
        Ok(Decided { rule, decision, request })
    }

    /// Makes sure that the lists are the store's.
    async fn freshen(&self) -> Result<(), PairingError> {
        let max_staleness = self.options.max_staleness;
        // Looked at first: a swap by every call would be contended.
        let is_forced = self.must_refresh.load(Ordering::Acquire)
            && self.must_refresh.swap(false, Ordering::AcqRel);
        if !is_forced && self.roster.is_fresh(max_staleness) {
            return Ok(());
        }
        let is_stalled = self.is_stalled.load(Ordering::Acquire);
        let wait = if is_stalled { STALLED_WAIT.min(max_staleness) } else { max_staleness };
        let refreshed = tokio::time::timeout(wait, self.backend.0.refresh()).await;
        self.is_stalled.store(refreshed.is_err(), Ordering::Release);
        if self.roster.is_fresh(max_staleness) {
            return Ok(());
        }
        let source = refreshed.ok().and_then(Result::err).map(Box::new);
        Err(PairingError::Stale { max_staleness, source })
    }

    fn is_known(&self, channel: &ChannelId, account: &AccountId) -> bool {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        let is_this = |known: &(ChannelId, AccountId)| known.0 == *channel && known.1 == *account;
        accounts.as_ref().is_none_or(|accounts| accounts.iter().any(is_this))
    }

    /// A challenge that was not delivered starts no cooldown.
    async fn take_back(&self, key: &SenderKey, policy: &PairingPolicy) {
        let cooldown = policy.challenge_cooldown;
        let taken = self.backend.0.challenge_undelivered(key, cooldown, RETRY_AFTER).await;
        if let Err(error) = taken {
            // The cooldown then runs its course.
            tracing::warn!(%key, %error, "a challenge was not delivered, and is not tried sooner");
        }
    }
}

/// What a rule decides that needs no code.
fn settled(rule: Rule) -> Decision {
    Decision::Drop(match rule {
        Rule::Open | Rule::Allowed => return Decision::Admit,
        Rule::UnknownAccount => DropReason::UnknownAccount,
        Rule::NotAllowed => DropReason::NotAllowed,
        Rule::NotDirect => DropReason::NotDirect,
        Rule::Waiting => DropReason::Waiting,
        Rule::AlreadyChallenged => DropReason::AlreadyChallenged,
        Rule::PendingFull => DropReason::PendingFull,
        Rule::NotPairable => DropReason::NotPairable,
        // Also a rule that is none of these: nobody is let in by it.
        _ => DropReason::Blocked,
    })
}

/// Whole minutes, rounded up, so that a code is never said to be valid for longer than it reads.
fn minutes_until(expires_at: OffsetDateTime, now: OffsetDateTime) -> u64 {
    let seconds = (expires_at - now).whole_seconds();
    u64::try_from(seconds).unwrap_or_default().div_ceil(60)
}

/// A store, with a `Debug` that does not ask it anything.
struct Handle(Arc<dyn PairingBackend>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PairingBackend")
    }
}
