//! Decides on a message: from memory, and by the store for what has to be written.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nexo_pairing_core::rules::{self, Freshness, Limits, MessageFacts};
use nexo_pairing_core::{
    AccountId, ChannelId, Decision, DecisionKind, DropReason, Inbound, Mode, NewRequest,
    PairingChannelAdapter, PairingError, Rule, SenderId, SenderKey,
};
use time::OffsetDateTime;

use super::PairingGate;
use crate::lists::Place;
use crate::message::{Message, Raw};
use crate::roster::State;
use crate::telemetry::Channel;

/// How long a message waits for a store that has hung before.
const STALLED_WAIT: Duration = Duration::from_millis(50);

/// What was decided on a message, and for a challenge whose request it is and when its code expires.
pub(super) struct Decided {
    pub(super) rule: Rule,
    pub(super) decision: Decision,
    pub(super) request: Option<(SenderKey, OffsetDateTime)>,
}

impl PairingGate {
    /// Decides from memory; `None` when the store or somebody else has to be asked.
    pub(super) fn glance(
        &self,
        message: &mut Message<'_>,
        adapter: Option<&dyn PairingChannelAdapter>,
        counters: &Channel,
    ) -> Result<Option<(Rule, DecisionKind)>, PairingError> {
        let must_refresh = self.must_refresh.load(Ordering::Acquire);
        let is_fresh = !must_refresh && self.roster.is_fresh(self.options.max_staleness);
        let raw = message.raw;
        let mode = raw.policy.mode;
        // Told as an error below.
        let is_fresh = is_fresh && !(mode == Mode::Open && self.roster.is_damaged());
        if is_fresh && message.read(adapter) {
            let state = self.roster.read();
            let place = state.lists.find(raw.channel, raw.account);
            // What is on the lists has names that are ids.
            if place.account.is_none() {
                raw.check().inspect_err(|_| counters.undecided())?;
            }
            let rule = self.judge(message, &state, place, Freshness::Current);
            match rule.decision_kind(mode) {
                None | Some(DecisionKind::Challenge) => {}
                Some(kind @ (DecisionKind::Admit | DecisionKind::Drop(_))) => {
                    counters.decided(rule, mode);
                    return Ok(Some((rule, kind)));
                }
            }
        } else {
            raw.check().inspect_err(|_| counters.undecided())?;
        }
        Ok(None)
    }

    /// Decides on what [`glance`](Self::glance) did not: reads the ids that it could not, brings the
    /// memory up to date, and has the store make a request or repeat it.
    pub(super) async fn decide(
        &self,
        message: &mut Message<'_>,
        adapter: Option<&dyn PairingChannelAdapter>,
        counters: &Channel,
    ) -> Result<Decided, PairingError> {
        message.resolve(adapter, &self.warnings).await;
        let settled = |rule, decision| Ok(Decided { rule, decision, request: None });
        let decided = match self.look(message).await {
            Ok((rule, DecisionKind::Admit)) => settled(rule, Decision::Admit),
            Ok((rule, DecisionKind::Drop(reason))) => settled(rule, Decision::Drop(reason)),
            Ok((_, DecisionKind::Challenge)) => self.ask_store(message).await,
            Err(error) => Err(error),
        };
        match &decided {
            Ok(Decided { rule, .. }) => counters.decided(*rule, message.raw.policy.mode),
            Err(_) => counters.undecided(),
        }
        decided
    }

    /// The rule that decides from memory, which is brought up to date first, and what it decides.
    pub(super) async fn look(
        &self,
        message: &Message<'_>,
    ) -> Result<(Rule, DecisionKind), PairingError> {
        let mode = message.raw.policy.mode;
        let refreshed = self.freshen().await;
        if mode == Mode::Open {
            self.roster.check_damage()?;
        }
        let freshness = match refreshed {
            Ok(()) => Freshness::Current,
            Err(_) => Freshness::Stale { may_have_blocks: self.roster.may_have_blocks() },
        };
        let state = self.roster.read();
        let place = state.lists.find(message.raw.channel, message.raw.account);
        let rule = self.judge(message, &state, place, freshness);
        match rule.decision_kind(mode) {
            Some(kind) => Ok((rule, kind)),
            None => {
                let (max_staleness, source) = (self.options.max_staleness, refreshed.err());
                Err(PairingError::Stale { max_staleness, source: source.flatten() })
            }
        }
    }

    /// The rule that decides by what is in memory.
    // Every message passes here: left to the compiler, a call takes 2 % of a decision.
    #[inline(always)]
    fn judge(
        &self,
        message: &Message<'_>,
        state: &State,
        place: Place<'_>,
        freshness: Freshness,
    ) -> Rule {
        let Raw { channel, account, policy, .. } = *message.raw;
        let facts = MessageFacts {
            mode: policy.mode,
            freshness,
            is_known_account: state.is_known(channel, account),
            is_pairable: !message.is_nobody,
            has_unreadable_id: message.has_unreadable_id,
            is_direct: message.is_direct,
        };
        let limits = Limits::of_policy(policy, self.options.max_pending_total);
        let known = place.known(&message.senders);
        rules::evaluate(&facts, &limits, &known, || self.options.clock.now())
    }

    /// Has the store make a request or repeat it, unless another rule decides by now.
    async fn ask_store(&self, message: &Message<'_>) -> Result<Decided, PairingError> {
        let started = Instant::now();
        let mut senders = message.senders.iter().map(|id| SenderId::parse(id.as_str()));
        let Some(sender) = senders.next().transpose()? else {
            let decision = Decision::Drop(DropReason::NotPairable);
            return Ok(Decided { rule: Rule::NotPairable, decision, request: None });
        };
        let Raw { channel, account, policy, meta, .. } = *message.raw;
        let (channel, account) = (ChannelId::parse(channel)?, AccountId::parse(account)?);
        let mut request = NewRequest::new(SenderKey::new(channel, account, sender))
            .with_alt(senders.collect::<Result<Vec<_>, _>>()?)
            .with_has_unreadable_id(message.has_unreadable_id)
            .with_max_pending(policy.max_pending)
            .with_max_pending_total(self.options.max_pending_total)
            .with_ttl(policy.pending_ttl)
            .with_cooldown(policy.challenge_cooldown);
        if !meta.is_null() && meta.to_string().len() <= Inbound::MAX_META_BYTES {
            request.meta = meta.clone();
        }
        let outcome = self.backend.0.upsert_pending(request).await?;
        self.telemetry.asked_store(started.elapsed().as_secs_f64());
        let rule = outcome.rule();
        let (decision, request) = outcome.into_decision();
        Ok(Decided { rule, decision, request })
    }

    /// Makes sure that the lists are the store's; where they are not, says why if that is known.
    async fn freshen(&self) -> Result<(), Option<Box<PairingError>>> {
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
        Err(refreshed.ok().and_then(Result::err).map(Box::new))
    }
}
