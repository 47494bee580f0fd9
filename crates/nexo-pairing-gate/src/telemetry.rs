//! Counts what the gate does. Channels that are not configured are counted together, as `other`:
//! strangers choose no labels of time series.

use std::collections::BTreeMap;

use metrics::{Counter, Gauge, Histogram};
use nexo_pairing_core::{DecisionKind, Mode, Rule, WarningLimiter, metric};

use crate::Delivery;

/// The label of channels that are not configured.
const OTHER: &str = "other";

/// The metrics of a gate. Handles are kept: to look one up by its labels takes longer than a decision.
pub(crate) struct Telemetry {
    /// The configured channels.
    pub(crate) channels: BTreeMap<Box<str>, ChannelMetrics>,
    other: ChannelMetrics,
    pub(crate) store_seconds: Histogram,
}

/// Limits the warnings that messages can cause.
pub(crate) type Warnings = WarningLimiter<Warning>;

/// A kind of warning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Warning {
    /// The adapter of this channel failed to resolve a sender.
    Unresolved(String),
    /// The cooldown of a challenge that was not delivered could not be reverted.
    NotRetried,
}

/// The metrics of a channel.
pub(crate) struct ChannelMetrics {
    pub(crate) pending: Gauge,
    /// By the rule, and by whether the mode is `open`.
    decisions: [[Counter; 2]; Rule::ALL.len()],
    via_adapter: Counter,
    via_broker: Counter,
    publish_failed: Counter,
    no_adapter: Counter,
}

impl Default for Telemetry {
    /// Describes the metrics.
    fn default() -> Self {
        metrics::describe_gauge!(metric::REQUESTS_PENDING, "Pending requests.");
        metrics::describe_counter!(metric::DECISIONS_TOTAL, "Decisions of the gate, by rule.");
        metrics::describe_counter!(metric::INBOUND_CHALLENGED_TOTAL, "Challenges, by result.");
        metrics::describe_histogram!(
            metric::DECISION_SECONDS,
            metrics::Unit::Seconds,
            "The duration of decisions that asked the store."
        );
        Self {
            channels: BTreeMap::new(),
            other: ChannelMetrics::new(OTHER),
            store_seconds: metrics::histogram!(metric::DECISION_SECONDS),
        }
    }
}

impl Telemetry {
    /// The metrics of a channel; all that are not configured share theirs.
    pub(crate) fn channel(&self, name: &str) -> &ChannelMetrics {
        self.channels.get(name).unwrap_or(&self.other)
    }
}

impl ChannelMetrics {
    pub(crate) fn new(name: &str) -> Self {
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
            pending: metrics::gauge!(metric::REQUESTS_PENDING, "channel" => name.to_owned()),
            decisions: Rule::ALL
                .map(|rule| [Mode::Pairing, Mode::Open].map(|mode| decision(rule, mode))),
            via_adapter: delivery("delivered_via_adapter"),
            via_broker: delivery("delivered_via_broker"),
            publish_failed: delivery("publish_failed"),
            no_adapter: delivery("no_adapter_no_broker_topic"),
        }
    }

    /// Counts a decision by its rule; [`Rule::Stale`] if nothing could be decided.
    pub(crate) fn decided(&self, rule: Rule, mode: Mode) {
        // The rules are numbered from 1, in their order.
        let by_mode = &self.decisions[usize::from(rule.number()) - 1];
        by_mode[usize::from(mode == Mode::Open)].increment(1);
    }

    /// Counts a challenge by its result.
    pub(crate) fn challenged(&self, delivery: &Delivery) {
        let counter = match delivery {
            Delivery::DeliveredViaAdapter => &self.via_adapter,
            Delivery::DeliveredViaBroker => &self.via_broker,
            Delivery::PublishFailed(_) => &self.publish_failed,
            Delivery::NoAdapterNoBrokerTopic => &self.no_adapter,
        };
        counter.increment(1);
    }
}
