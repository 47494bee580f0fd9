//! Records the metrics of a process and renders them in
//! [Prometheus' text format](https://prometheus.io/docs/instrumenting/exposition_formats/).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Label, Metadata,
    Recorder, SharedString, Unit,
};

/// The metrics of this process for Prometheus: counters, gauges, and the count and sum of each
/// histogram.
///
/// It records everything that uses the crate [`metrics`](https://docs.rs/metrics). Clones share the same
/// metrics. [`MetricsOptions::prometheus`](crate::MetricsOptions::prometheus) installs it and serves it at
/// an address of its own; a program with its own router can call [`render`](Self::render) there.
///
/// ```
/// use nexo_pairing_server::PrometheusRecorder;
///
/// let recorder = PrometheusRecorder::install()?;
/// metrics::counter!("cats_total", "colour" => "black").increment(1);
/// assert_eq!(recorder.render(), "# TYPE cats_total counter\ncats_total{colour=\"black\"} 1\n");
/// # Ok::<_, nexo_pairing_server::RecorderError>(())
/// ```
#[derive(Clone)]
pub struct PrometheusRecorder(Registry);

/// Why no recorder is installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecorderError {
    /// The process already has a recorder, and there can be only one.
    #[error("this process already has a metrics recorder: serve its metrics there")]
    Installed,
}

impl PrometheusRecorder {
    /// Records the metrics of this process from now on. Metrics registered before, such as those of a
    /// [`Server`](crate::Server) already bound, are not recorded.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Installed`].
    pub fn install() -> Result<Self, RecorderError> {
        let registry = Registry::default();
        metrics::set_global_recorder(registry.clone()).map_err(|_| RecorderError::Installed)?;
        Ok(Self(registry))
    }

    /// Everything recorded so far in Prometheus' text format, ordered by name and labels.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }
}

impl fmt::Debug for PrometheusRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrometheusRecorder").finish_non_exhaustive()
    }
}

/// The metrics by name. Clones share the same metrics.
#[derive(Clone, Default)]
struct Registry(Arc<Mutex<BTreeMap<String, Family>>>);

/// All metrics of one name.
#[derive(Default)]
struct Family {
    help: String,
    kind: &'static str,
    /// By rendered labels.
    series: BTreeMap<String, Series>,
}

/// The value of a metric. A counter has only a count, a gauge only a value, a summary both.
#[derive(Clone, Default)]
struct Series {
    count: Arc<AtomicU64>,
    /// The bits of an `f64`: the value of a gauge, the sum of a summary.
    value: Arc<AtomicU64>,
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        CounterFn::increment(&*self.count, 1);
        GaugeFn::increment(&*self.value, value);
    }
}

impl Registry {
    fn render(&self) -> String {
        let mut text = String::new();
        for (name, Family { help, kind, series }) in &*self.families() {
            if series.is_empty() {
                continue;
            }
            if !help.is_empty() {
                let help = help.replace('\\', "\\\\").replace('\n', "\\n");
                text += &format!("# HELP {name} {help}\n");
            }
            text += &format!("# TYPE {name} {kind}\n");
            for (labels, series) in series {
                let count = series.count.load(Ordering::Relaxed);
                let value = f64::from_bits(series.value.load(Ordering::Relaxed));
                text += &match *kind {
                    "counter" => format!("{name}{labels} {count}\n"),
                    "gauge" => format!("{name}{labels} {value}\n"),
                    _ => format!("{name}_sum{labels} {value}\n{name}_count{labels} {count}\n"),
                };
            }
        }
        text
    }

    fn families(&self) -> MutexGuard<'_, BTreeMap<String, Family>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn describe(&self, name: &KeyName, help: &SharedString) {
        self.families().entry(allowed(name.as_str())).or_default().help = help.to_string();
    }

    /// The metric of a key; `None` if its name is already that of another kind.
    fn register(&self, key: &Key, kind: &'static str) -> Option<Series> {
        let mut families = self.families();
        let family = families.entry(allowed(key.name())).or_default();
        if family.series.is_empty() {
            family.kind = kind;
        }
        (family.kind == kind).then(|| family.series.entry(labels(key)).or_default().clone())
    }
}

impl Recorder for Registry {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, &help);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, &help);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, &help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let series = self.register(key, "counter");
        series.map_or_else(Counter::noop, |series| Counter::from_arc(series.count))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let series = self.register(key, "gauge");
        series.map_or_else(Gauge::noop, |series| Gauge::from_arc(series.value))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let series = self.register(key, "summary");
        series.map_or_else(Histogram::noop, |series| Histogram::from_arc(Arc::new(series)))
    }
}

/// A name with only the characters that Prometheus accepts.
fn allowed(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "_")
}

fn labels(key: &Key) -> String {
    let label = |label: &Label| {
        let value = label.value().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{}=\"{value}\"", allowed(label.key()))
    };
    let labels: Vec<_> = key.labels().map(label).collect();
    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_rendered_in_prometheus_text_format() {
        let registry = Registry::default();
        metrics::with_local_recorder(&registry, || {
            metrics::describe_counter!("claims_total", "Claims,\nby result.");
            metrics::describe_counter!("never_total", "Described, but never recorded.");
            metrics::counter!("claims_total", "result" => "ok").increment(2);
            metrics::counter!("claims_total", "result" => "ok").increment(1);
            metrics::counter!("claims_total", "result" => "a\"b\\c\nd").increment(0);
            metrics::gauge!("waiting", "channel" => "x").set(1.5);
            metrics::histogram!("took.seconds").record(0.25);
            metrics::histogram!("took.seconds").record(0.5);
            // Already a counter: not recorded.
            metrics::gauge!("claims_total", "result" => "ok").set(7.0);
        });
        let expected = r#"# HELP claims_total Claims,\nby result.
# TYPE claims_total counter
claims_total{result="a\"b\\c\nd"} 0
claims_total{result="ok"} 3
# TYPE took_seconds summary
took_seconds_sum 0.75
took_seconds_count 2
# TYPE waiting gauge
waiting{channel="x"} 1.5
"#;
        assert_eq!(registry.render(), expected);
    }
}
