//! Decides on a message: from memory, and through the store where something has to be written.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nexo_pairing_core::rules::{self, Freshness, Limits, MessageFacts};
use nexo_pairing_core::{
    AccountId, ChannelId, Decision, DecisionKind, DropReason, Inbound, Mode, NewRequest,
    PairingError, Rule, SenderId, SenderKey,
};
use time::OffsetDateTime;

use super::PairingGate;
use crate::message::Message;
use crate::replica::State;
use crate::snapshot::SenderView;

/// How long a message waits for a store that hung the last time.
const STALLED_WAIT: Duration = Duration::from_millis(50);

/// A decision; for a challenge also whose request it is and when its code expires.
pub(super) struct Decided {
    pub(super) rule: Rule,
    pub(super) decision: Decision,
    pub(super) request: Option<(SenderKey, OffsetDateTime)>,
}

/// What is known of a decision without asking anyone.
pub(super) enum Cached {
    Decided(Decided),
    /// The store has to make a request, or repeat it.
    NeedsCode,
    /// The adapter has to resolve an id, or the replica has to be refreshed.
    Unknown,
}

impl Cached {
    pub(super) fn decided(self) -> Option<Decided> {
        if let Self::Decided(decided) = self { Some(decided) } else { None }
    }
}

impl PairingGate {
    /// Decides from memory, and counts what is decided.
    pub(super) fn decide_cached(&self, message: &mut Message<'_>) -> Result<Cached, PairingError> {
        let has_ids = message.try_read_ids();
        let mode = message.policy.mode;
        let state = self.replica.read_for(message);
        let channel = state.telemetry.channel(message.channel);
        let sender = state.snapshot.view(message.channel, message.account, &message.ids);
        if !sender.has_account() {
            message.check_names().inspect_err(|_| channel.decided(Rule::Stale, mode))?;
        }
        // Damage is an error of `evaluate`.
        if !has_ids || !self.is_fresh(&state) || mode == Mode::Open && state.damage.is_some() {
            return Ok(Cached::Unknown);
        }
        let rule = self.apply_rules(message, &state, &sender, Freshness::Current);
        let Some(kind) = rule.decision_kind(mode) else { return Ok(Cached::Unknown) };
        let Some(decision) = Decision::without_code(kind) else { return Ok(Cached::NeedsCode) };
        channel.decided(rule, mode);
        Ok(Cached::Decided(Decided { rule, decision, request: None }))
    }

    /// Decides and counts the decision. A challenge is recorded in the store.
    pub(super) async fn decide(&self, message: &mut Message<'_>) -> Result<Decided, PairingError> {
        let decided = match self.decide_cached(message)? {
            Cached::Decided(decided) => return Ok(decided),
            Cached::NeedsCode => self.request_code(message).await,
            Cached::Unknown => self.decide_refreshed(message).await,
        };
        self.count(message, decided.as_ref().map_or(Rule::Stale, |decided| decided.rule));
        decided
    }

    async fn decide_refreshed(&self, message: &mut Message<'_>) -> Result<Decided, PairingError> {
        let (rule, kind) = self.evaluate(message).await?;
        match Decision::without_code(kind) {
            Some(decision) => Ok(Decided { rule, decision, request: None }),
            None => self.request_code(message).await,
        }
    }

    fn count(&self, message: &Message<'_>, rule: Rule) {
        let state = self.replica.read_for(message);
        state.telemetry.channel(message.channel).decided(rule, message.policy.mode);
    }

    /// The rule that decides and what it decides, once the ids are resolved and the replica is fresh.
    pub(super) async fn evaluate(
        &self,
        message: &mut Message<'_>,
    ) -> Result<(Rule, DecisionKind), PairingError> {
        message.read_ids(&self.warnings).await;
        let refreshed = self.ensure_fresh().await;
        let mode = message.policy.mode;
        let state = self.replica.read();
        if let Some(problem) = state.damage.clone().filter(|_| mode == Mode::Open) {
            return Err(PairingError::Damaged { problem });
        }
        let freshness = match refreshed {
            Ok(()) => Freshness::Current,
            Err(_) => Freshness::Stale { may_have_blocks: state.may_have_blocks() },
        };
        let sender = state.snapshot.view(message.channel, message.account, &message.ids);
        let rule = self.apply_rules(message, &state, &sender, freshness);
        let kind = rule.decision_kind(mode).ok_or_else(|| PairingError::Stale {
            max_staleness: self.options.max_staleness,
            source: refreshed.err().flatten(),
        })?;
        Ok((rule, kind))
    }

    fn apply_rules(
        &self,
        message: &Message<'_>,
        state: &State,
        sender: &SenderView<'_>,
        freshness: Freshness,
    ) -> Rule {
        let Message { channel, account, policy, .. } = *message;
        let facts = MessageFacts {
            mode: policy.mode,
            freshness,
            is_known_account: state.is_known(channel, account),
            is_pairable: message.is_pairable,
            has_unreadable_id: message.has_unreadable_id,
            is_direct: message.is_direct,
        };
        let limits = Limits::of_policy(policy, self.options.max_pending_total);
        rules::evaluate(&facts, &limits, sender, || self.options.clock.now())
    }

    /// Has the store make a request or repeat it, unless another rule decides by now.
    async fn request_code(&self, message: &Message<'_>) -> Result<Decided, PairingError> {
        let started = Instant::now();
        let Some(sender) = message.sender() else {
            let decision = Decision::Drop(DropReason::NotPairable);
            return Ok(Decided { rule: Rule::NotPairable, decision, request: None });
        };
        let alt = message.ids.iter().skip(1).map(|id| SenderId::parse(id));
        let alt = alt.collect::<Result<Vec<_>, _>>()?;
        let Message { channel, account, policy, meta, .. } = *message;
        let (channel, account) = (ChannelId::parse(channel)?, AccountId::parse(account)?);
        let mut request = NewRequest::new(SenderKey::new(channel, account, sender))
            .with_alt(alt)
            .with_has_unreadable_id(message.has_unreadable_id)
            .with_max_pending(policy.max_pending)
            .with_max_pending_total(self.options.max_pending_total)
            .with_ttl(policy.pending_ttl)
            .with_cooldown(policy.challenge_cooldown);
        if !meta.is_null() && meta.to_string().len() <= Inbound::MAX_META_BYTES {
            request.meta = meta.clone();
        }
        let outcome = self.backend.upsert_pending(request).await?;
        self.replica.read().telemetry.store_seconds.record(started.elapsed());
        let rule = outcome.rule();
        let (decision, request) = outcome.into_decision();
        Ok(Decided { rule, decision, request })
    }

    /// Whether the replica can be used without a refresh.
    pub(super) fn is_fresh(&self, state: &State) -> bool {
        !self.must_refresh.load(Ordering::Acquire)
            && state.is_fresh(self.options.clock.elapsed(), self.options.max_staleness)
    }

    /// Refreshes the replica unless it is fresh; the error is why that failed, if it is known.
    async fn ensure_fresh(&self) -> Result<(), Option<Box<PairingError>>> {
        let is_forced = self.must_refresh.swap(false, Ordering::AcqRel);
        if !is_forced && self.is_fresh(&self.replica.read()) {
            return Ok(());
        }
        let max_staleness = self.options.max_staleness;
        let is_stalled = self.is_stalled.load(Ordering::Acquire);
        let wait = if is_stalled { STALLED_WAIT.min(max_staleness) } else { max_staleness };
        let refreshed = tokio::time::timeout(wait, self.backend.refresh()).await;
        self.is_stalled.store(refreshed.is_err(), Ordering::Release);
        let now = self.options.clock.elapsed();
        if self.replica.read().is_fresh(now, max_staleness) {
            return Ok(());
        }
        Err(refreshed.ok().and_then(Result::err).map(Box::new))
    }
}
