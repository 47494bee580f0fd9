//! Counts what the gate does. Channels that are not configured are counted together, as `other`, so
//! that nobody outside chooses the names of our time series.

use std::fmt;
use std::sync::OnceLock;

use metrics::{Counter, Gauge, Histogram};
use nexo_pairing_core::{Decision, Rule, WarningLimiter, metric};

use crate::Delivery;

/// The label of channels that are not configured.
const OTHER: &str = "other";

/// The metrics of a gate, by channel. Handles are kept: looking one up by its labels costs more than
/// a decision.
pub(crate) struct Telemetry {
    channels: Named,
    other: Channel,
    store_seconds: Histogram,
}

/// Limits the warnings that messages can cause.
pub(crate) type Warnings = WarningLimiter<Warning>;

/// A kind of warning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Warning {
    /// The adapter of this channel could not resolve a sender.
    Unresolved(String),
    /// A challenge was not delivered, and its cooldown could not be taken back.
    NotRetried,
}

/// A list of the channels that are configured, which are few. It only grows, so that nobody waits
/// for anybody who reads it.
type Named = OnceLock<Box<Node>>;

struct Node {
    name: Box<str>,
    channel: Channel,
    next: Named,
}

/// The metrics of a channel.
pub(crate) struct Channel {
    /// By the number of the rule; 0 is rule 3 in mode `open`, which admits.
    decisions: [Counter; 14],
    via_adapter: Counter,
    via_broker: Counter,
    publish_failed: Counter,
    no_adapter: Counter,
    pending: Gauge,
}

impl Telemetry {
    /// Describes the metrics.
    pub(crate) fn new() -> Self {
        metrics::describe_gauge!(metric::REQUESTS_PENDING, "Requests that wait for the operator.");
        metrics::describe_counter!(metric::DECISIONS_TOTAL, "Decisions of the gate, by rule.");
        metrics::describe_counter!(
            metric::INBOUND_CHALLENGED_TOTAL,
            "Challenges, by what became of them."
        );
        metrics::describe_histogram!(
            metric::DECISION_SECONDS,
            metrics::Unit::Seconds,
            "How long decisions took that asked the store."
        );
        Self {
            channels: Named::new(),
            other: Channel::new(OTHER),
            store_seconds: metrics::histogram!(metric::DECISION_SECONDS),
        }
    }

    /// The metrics of a channel, which is one of ours when it has an adapter or an account.
    pub(crate) fn channel(&self, name: &str, is_configured: bool) -> &Channel {
        let new = || Box::new(Node::new(name));
        let mut place = &self.channels;
        loop {
            let node = match place.get() {
                Some(node) => node,
                None if is_configured => place.get_or_init(new),
                None => return &self.other,
            };
            if *node.name == *name {
                return &node.channel;
            }
            place = &node.next;
        }
    }

    /// Sets the gauge of pending requests of each configured channel.
    pub(crate) fn measure_pending(&self, count: impl Fn(&str) -> usize) {
        let mut place = &self.channels;
        while let Some(node) = place.get() {
            node.channel.pending.set(count(&node.name) as f64);
            place = &node.next;
        }
    }

    /// Adds a decision that asked the store.
    pub(crate) fn asked_store(&self, seconds: f64) {
        self.store_seconds.record(seconds);
    }
}

impl Node {
    fn new(name: &str) -> Self {
        Self { name: name.into(), channel: Channel::new(name), next: Named::new() }
    }
}

impl Channel {
    fn new(name: &str) -> Self {
        let decision = |decision: &'static str, reason: &'static str| {
            metrics::counter!(metric::DECISIONS_TOTAL,
                "channel" => name.to_owned(), "decision" => decision, "reason" => reason)
        };
        let delivery = |result: &'static str| {
            metrics::counter!(metric::INBOUND_CHALLENGED_TOTAL,
                "channel" => name.to_owned(), "result" => result)
        };
        let decisions = std::array::from_fn(|number| match ALL_RULES.get(number) {
            Some((rule, decided)) => decision(decided, rule.as_str()),
            None => Counter::noop(),
        });
        Self {
            decisions,
            via_adapter: delivery("delivered_via_adapter"),
            via_broker: delivery("delivered_via_broker"),
            publish_failed: delivery("publish_failed"),
            no_adapter: delivery("no_adapter_no_broker_topic"),
            pending: metrics::gauge!(metric::REQUESTS_PENDING, "channel" => name.to_owned()),
        }
    }

    /// Counts a decision by its rule.
    pub(crate) fn decided(&self, rule: Rule, decision: &Decision) {
        let admitted_nobody = rule == Rule::NotPairable && *decision == Decision::Admit;
        let index = if admitted_nobody { 0 } else { usize::from(rule.number()) };
        self.decisions[index].increment(1);
    }

    /// Counts a message on which nothing could be decided.
    pub(crate) fn undecided(&self) {
        self.decisions[usize::from(Rule::Stale.number())].increment(1);
    }

    /// Counts a challenge by what became of it.
    pub(crate) fn challenged(&self, delivery: &Delivery) {
        match delivery {
            Delivery::DeliveredViaAdapter => self.via_adapter.increment(1),
            Delivery::DeliveredViaBroker => self.via_broker.increment(1),
            Delivery::PublishFailed(_) => self.publish_failed.increment(1),
            Delivery::NoAdapterNoBrokerTopic => self.no_adapter.increment(1),
        }
    }
}

/// What each rule decides; at its number, but for the first.
const ALL_RULES: [(Rule, &str); 14] = [
    (Rule::NotPairable, "admit"),
    (Rule::Stale, "error"),
    (Rule::UnknownAccount, "drop"),
    (Rule::NotPairable, "drop"),
    (Rule::Blocked, "drop"),
    (Rule::Open, "admit"),
    (Rule::Allowed, "admit"),
    (Rule::NotAllowed, "drop"),
    (Rule::NotDirect, "drop"),
    (Rule::Waiting, "drop"),
    (Rule::AlreadyChallenged, "drop"),
    (Rule::ChallengeAgain, "challenge"),
    (Rule::PendingFull, "drop"),
    (Rule::Challenge, "challenge"),
];

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}
