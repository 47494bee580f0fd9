//! Counts what the gate does. Channels that are not configured are counted together, as `other`, so
//! that nobody outside chooses the names of our time series.

use std::fmt;
use std::sync::OnceLock;

use metrics::{Counter, Gauge, Histogram};
use nexo_pairing_core::{DecisionKind, Mode, Rule, WarningLimiter, metric};

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
    /// By the rule, and by whether the mode is `open`.
    decisions: [[Counter; 2]; Rule::ALL.len()],
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
        let decision = |rule: Rule, mode: Mode| {
            let decision = rule.decision_kind(mode).map_or("error", DecisionKind::as_str);
            metrics::counter!(metric::DECISIONS_TOTAL, "channel" => name.to_owned(),
                "decision" => decision, "reason" => rule.as_str())
        };
        let delivery = |result: &'static str| {
            metrics::counter!(metric::INBOUND_CHALLENGED_TOTAL,
                "channel" => name.to_owned(), "result" => result)
        };
        Self {
            decisions: Rule::ALL
                .map(|rule| [Mode::Pairing, Mode::Open].map(|mode| decision(rule, mode))),
            via_adapter: delivery("delivered_via_adapter"),
            via_broker: delivery("delivered_via_broker"),
            publish_failed: delivery("publish_failed"),
            no_adapter: delivery("no_adapter_no_broker_topic"),
            pending: metrics::gauge!(metric::REQUESTS_PENDING, "channel" => name.to_owned()),
        }
    }

    /// Counts a decision by its rule, on an account in this mode.
    pub(crate) fn decided(&self, rule: Rule, mode: Mode) {
        // The rules are numbered from 1, in their order.
        let by_mode = &self.decisions[usize::from(rule.number()) - 1];
        by_mode[usize::from(mode == Mode::Open)].increment(1);
    }

    /// Counts a message on which nothing could be decided.
    pub(crate) fn undecided(&self) {
        self.decided(Rule::Stale, Mode::Pairing);
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

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}
