//! The rules in their order: from memory, and by the store for what has to be written.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nexo_pairing_core::{
    AccountId, ChannelId, Decision, DropReason, Inbound, Mode, NewRequest, PairingChannelAdapter,
    PairingError, Rule, SenderId, SenderKey, UpsertOutcome,
};
use time::OffsetDateTime;

use super::PairingGate;
use crate::lists::{Place, Question};
use crate::message::{Message, Raw};
use crate::roster::State;
use crate::telemetry::Channel;

/// How long a message waits for a store that has hung before.
const STALLED_WAIT: Duration = Duration::from_millis(50);

/// What was decided on a message, and for a challenge whose request it is and when its code runs
/// out.
pub(super) struct Decided {
    pub(super) rule: Rule,
    pub(super) decision: Decision,
    pub(super) request: Option<(SenderKey, OffsetDateTime)>,
}

/// What the lists say of a message.
pub(super) enum Verdict {
    Decided(Rule, Decision),
    /// The store makes the request, or repeats it.
    Ask(Rule),
}

impl PairingGate {
    /// Decides from memory; `None` when the store or somebody else has to be asked.
    #[inline]
    pub(super) fn glance(
        &self,
        message: &mut Message<'_>,
        adapter: Option<&dyn PairingChannelAdapter>,
        counters: &Channel,
    ) -> Result<Option<(Rule, Decision)>, PairingError> {
        let must_refresh = self.must_refresh.load(Ordering::Acquire);
        let is_fresh = !must_refresh && self.roster.is_fresh(self.options.max_staleness);
        let raw = message.raw;
        // Told as an error below.
        let is_fresh = is_fresh && !(raw.policy.mode == Mode::Open && self.roster.is_damaged());
        if is_fresh && message.read(adapter) {
            let state = self.roster.read();
            let place = state.lists.find(raw.channel, raw.account);
            // What is on the lists has names that are ids.
            if place.account.is_none() {
                raw.check().inspect_err(|_| counters.undecided())?;
            }
            if let Verdict::Decided(rule, decision) = self.judge(message, &state, place) {
                counters.decided(rule, &decision);
                return Ok(Some((rule, decision)));
            }
        } else {
            raw.check().inspect_err(|_| counters.undecided())?;
        }
        Ok(None)
    }

    /// The rules in their order; with the end of the code's life for a challenge.
    pub(super) async fn decide(
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

    /// Rules 1 to 10 and 12: from memory, which is brought up to date first.
    pub(super) async fn look(&self, message: &Message<'_>) -> Result<Verdict, PairingError> {
        let freshness = self.freshen().await;
        if message.raw.policy.mode == Mode::Open {
            self.roster.check_damage()?;
        }
        // Rule 1.
        if message.raw.policy.mode != Mode::Open || self.roster.may_have_blocks() {
            freshness?;
        }
        let state = self.roster.read();
        let place = state.lists.find(message.raw.channel, message.raw.account);
        Ok(self.judge(message, &state, place))
    }

    /// Rules 2 to 10 and 12: from memory, which may be stale only in mode `open` where nobody was
    /// ever blocked.
    #[inline]
    fn judge(&self, message: &Message<'_>, state: &State, place: Place<'_>) -> Verdict {
        let Raw { channel, account, policy, .. } = *message.raw;
        let drop = |rule| Verdict::Decided(rule, settled(rule));
        // Rule 2.
        if !state.is_known(channel, account) {
            return drop(Rule::UnknownAccount);
        }
        // Rule 4 for an id that nobody can read: it may be a blocked person's.
        if message.has_unreadable_id && place.has_blocks() {
            return drop(Rule::Blocked);
        }
        // Rule 3.
        if message.is_nobody && policy.mode != Mode::Open {
            return drop(Rule::NotPairable);
        }
        let (senders, is_direct) = (&message.senders, message.is_direct);
        let max_pending_total = self.options.max_pending_total as usize;
        let question = Question { senders, is_direct, policy, max_pending_total };
        match place.decide(&question, || self.options.clock.now()) {
            Rule::Open if message.is_nobody => Verdict::Decided(Rule::NotPairable, Decision::Admit),
            rule @ (Rule::ChallengeAgain | Rule::Challenge) => Verdict::Ask(rule),
            rule => Verdict::Decided(rule, settled(rule)),
        }
    }

    /// Rules 11 and 13, and whatever the store finds to hold by now.
    async fn ask_store(&self, message: &Message<'_>) -> Result<Decided, PairingError> {
        let started = Instant::now();
        let mut senders = message.senders.iter().map(|id| SenderId::parse(id.as_str()));
        let Some(sender) = senders.next().transpose()? else {
            let (rule, decision) = (Rule::NotPairable, settled(Rule::NotPairable));
            return Ok(Decided { rule, decision, request: None });
        };
        let Raw { channel, account, policy, meta, .. } = *message.raw;
        let (channel, account) = (ChannelId::parse(channel)?, AccountId::parse(account)?);
        let mut request = NewRequest::new(SenderKey::new(channel, account, sender));
        request.alt = senders.collect::<Result<_, _>>()?;
        request.has_unreadable_id = message.has_unreadable_id;
        if !meta.is_null() && meta.to_string().len() <= Inbound::MAX_META_BYTES {
            request.meta = meta.clone();
        }
        request.max_pending = policy.max_pending;
        request.max_pending_total = self.options.max_pending_total;
        request.ttl = policy.pending_ttl;
        request.cooldown = policy.challenge_cooldown;
        let outcome = self.backend.0.upsert_pending(request).await?;
        self.telemetry.asked_store(started.elapsed().as_secs_f64());
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
