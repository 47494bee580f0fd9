//! The gate: fresh lists, the rules in their order, and the store for what has to be written.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use nexo_pairing_core::{
    AccountId, Challenge, ChannelId, Clock, Decision, DropReason, Inbound, Mirror, Mode,
    NewRequest, PairingAdapterRegistry, PairingBackend, PairingChannelAdapter, PairingError,
    PairingPolicy, Rule, SenderId, SenderKey, SystemClock, UpsertOutcome,
};
use serde_json::Value;
use time::OffsetDateTime;

use crate::Delivery;
use crate::deliver::deliver;
use crate::roster::{Question, Roster};
use crate::telemetry::{Channel, Telemetry};

/// The longest raw id that an adapter is asked about, in bytes.
const MAX_RAW_BYTES: usize = 1024;

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
    must_refresh: AtomicBool,
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

/// A message with its ids read.
struct Message<'a> {
    channel: ChannelId,
    account: AccountId,
    /// The canonical ids of who wrote, his own first; empty when he is nobody that can be paired.
    senders: Vec<Cow<'a, str>>,
    is_direct: bool,
    meta: Value,
    policy: &'a PairingPolicy,
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
        let accounts = options.accounts.iter().flatten();
        let configured = accounts.map(|(channel, _)| channel.as_str());
        let telemetry = Arc::new(Telemetry::new(configured));
        let roster = Arc::new(Roster::new(Arc::clone(&options.clock), Arc::clone(&telemetry)));
        let mirror: Arc<dyn Mirror> = Arc::clone(&roster) as _;
        let mirror: Weak<dyn Mirror> = Arc::downgrade(&mirror);
        backend.attach(mirror);
        let must_refresh = AtomicBool::new(false);
        Self { backend: Handle(backend), roster, telemetry, options, must_refresh }
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
        let message = read(channel, account_id, raw_sender, &[], policy, adapter)
            .await
            .inspect_err(|_| {
                counters.undecided();
            })?;
        let (_, decision, _) = self.decide(&message, &counters).await?;
        Ok(decision)
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
        let message = read_inbound(inbound, policy, adapter.as_deref())
            .await
            .inspect_err(|_| counters.undecided())?;
        let (rule, decision, expires_at) = self.decide(&message, &counters).await?;
        let sender = message.sender();
        let mut delivery = None;
        if let (Decision::Challenge { code }, Some(sender)) = (&decision, &sender) {
            let minutes = minutes_until(expires_at, self.options.clock.now());
            let challenge = Challenge::new(code.clone(), minutes)
                .worded(policy.language, policy.challenge_text.clone());
            let (channel, account) = (&message.channel, &message.account);
            let result = deliver(&challenge, channel.as_str(), account, sender, registry).await;
            counters.challenged(&result);
            if matches!(result, Delivery::PublishFailed(_)) {
                self.take_back(
                    SenderKey::new(channel.clone(), account.clone(), sender.clone()),
                    policy,
                )
                .await;
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
        let message = read_inbound(inbound, policy, adapter.as_deref()).await?;
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
    ) -> Result<(Rule, Decision, Option<OffsetDateTime>), PairingError> {
        let decided = match self.look(message).await {
            Ok(Verdict::Decided(rule, decision)) => Ok((rule, decision, None)),
            Ok(Verdict::Ask(_)) => self.ask_store(message).await,
            Err(error) => Err(error),
        };
        match &decided {
            Ok((rule, decision, _)) => counters.decided(*rule, decision),
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
        if !is_open || self.roster.knew_blocks() {
            freshness?;
        }
        let drop = |rule, reason| Ok(Verdict::Decided(rule, Decision::Drop(reason)));
        // Rule 2.
        if let Some(accounts) = &self.options.accounts {
            let is_this = |(channel, account): &(ChannelId, AccountId)| {
                *channel == message.channel && *account == message.account
            };
            if !accounts.iter().any(is_this) {
                return drop(Rule::UnknownAccount, DropReason::UnknownAccount);
            }
        }
        // Rule 3.
        if message.senders.is_empty() {
            return if is_open {
                Ok(Verdict::Decided(Rule::NotPairable, Decision::Admit))
            } else {
                drop(Rule::NotPairable, DropReason::NotPairable)
            };
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
            rule @ (Rule::ChallengeAgain | Rule::Challenge) => Verdict::Ask(rule),
            rule => Verdict::Decided(rule, settled(rule)),
        })
    }

    /// Rules 11 and 13, and whatever the store finds to hold by now.
    async fn ask_store(
        &self,
        message: &Message<'_>,
    ) -> Result<(Rule, Decision, Option<OffsetDateTime>), PairingError> {
        let started = self.options.clock.elapsed();
        let mut senders = message.senders.iter().map(|id| SenderId::parse(id));
        let Some(sender) = senders.next().transpose()? else {
            return Ok((Rule::NotPairable, Decision::Drop(DropReason::NotPairable), None));
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
        let rule = match outcome {
            UpsertOutcome::Created { code, expires_at } => {
                return Ok((Rule::Challenge, Decision::Challenge { code }, Some(expires_at)));
            }
            UpsertOutcome::Repeated { code, expires_at } => {
                return Ok((Rule::ChallengeAgain, Decision::Challenge { code }, Some(expires_at)));
            }
            UpsertOutcome::AlreadyChallenged => Rule::AlreadyChallenged,
            UpsertOutcome::Waiting => Rule::Waiting,
            UpsertOutcome::PendingFull => Rule::PendingFull,
            UpsertOutcome::Allowed => Rule::Allowed,
            // Also what a later version of the store may say: nobody is let in by it.
            _ => Rule::Blocked,
        };
        Ok((rule, settled(rule), None))
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
        let refreshed = tokio::time::timeout(max_staleness, self.backend.0.refresh()).await;
        if self.roster.is_fresh(max_staleness) {
            return Ok(());
        }
        let source = refreshed.ok().and_then(Result::err).map(Box::new);
        Err(PairingError::Stale { max_staleness, source })
    }

    /// A challenge that was not delivered starts no cooldown.
    async fn take_back(&self, key: SenderKey, policy: &PairingPolicy) {
        let cooldown = policy.challenge_cooldown;
        let taken = self.backend.0.challenge_undelivered(&key, cooldown, RETRY_AFTER).await;
        if let Err(error) = taken {
            // The cooldown then runs its course.
            tracing::warn!(%key, %error, "a challenge was not delivered, and is not tried sooner");
        }
    }
}

impl Message<'_> {
    fn sender(&self) -> Option<SenderId> {
        self.senders.first().and_then(|sender| SenderId::parse(sender).ok())
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
        Rule::Stale | Rule::Blocked | Rule::ChallengeAgain | Rule::Challenge => DropReason::Blocked,
    })
}

async fn read_inbound<'a>(
    inbound: &'a Inbound,
    policy: &'a PairingPolicy,
    adapter: Option<&dyn PairingChannelAdapter>,
) -> Result<Message<'a>, PairingError> {
    let Inbound { channel, account, raw_sender, alt, .. } = inbound;
    let alt = &alt[..alt.len().min(Inbound::MAX_ALT)];
    let mut message = read(channel, account, raw_sender, alt, policy, adapter).await?;
    message.is_direct &= !inbound.is_group;
    if inbound.meta.to_string().len() <= Inbound::MAX_META_BYTES {
        message.meta = inbound.meta.clone();
    }
    Ok(message)
}

/// Reads the ids of a message.
async fn read<'a>(
    channel: &'a str,
    account: &'a str,
    raw_sender: &'a str,
    alt: &'a [String],
    policy: &'a PairingPolicy,
    adapter: Option<&dyn PairingChannelAdapter>,
) -> Result<Message<'a>, PairingError> {
    let (channel, account) = (ChannelId::parse(channel)?, AccountId::parse(account)?);
    let mut senders = Vec::with_capacity(1 + alt.len());
    let mut is_direct = true;
    if let Some(sender) = canonical(raw_sender, adapter).await {
        is_direct = adapter.is_none_or(|adapter| !adapter.is_group(&sender));
        senders.push(sender);
        for raw in alt {
            if let Some(sender) = canonical(raw, adapter).await
                && !senders.contains(&sender)
            {
                senders.push(sender);
            }
        }
    }
    Ok(Message { channel, account, senders, is_direct, meta: Value::Null, policy })
}

/// The canonical form of a raw id, if it is somebody's that can be paired.
async fn canonical<'a>(
    raw: &'a str,
    adapter: Option<&dyn PairingChannelAdapter>,
) -> Option<Cow<'a, str>> {
    if raw.len() > MAX_RAW_BYTES {
        return None;
    }
    let sender = match adapter {
        None => Cow::Borrowed(raw),
        Some(adapter) => match adapter.normalize_sender(raw) {
            Some(sender) => Cow::Owned(sender),
            None => match adapter.resolve_sender(raw).await {
                Ok(sender) => Cow::Owned(sender?),
                Err(error) => {
                    let channel = adapter.channel_id();
                    tracing::warn!(channel, %error, "a sender could not be resolved");
                    return None;
                }
            },
        },
    };
    SenderId::check(&sender).is_ok().then_some(sender)
}

/// Whole minutes, rounded up, so that a code is never said to be valid for longer than it reads.
fn minutes_until(expires_at: Option<OffsetDateTime>, now: OffsetDateTime) -> u64 {
    let seconds = expires_at.map_or(0, |until| (until - now).whole_seconds());
    u64::try_from(seconds).unwrap_or_default().div_ceil(60)
}

/// A store, with a `Debug` that does not ask it anything.
struct Handle(Arc<dyn PairingBackend>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PairingBackend")
    }
}
