//! Records the metrics of a process, and writes them in
//! [Prometheus' text format](https://prometheus.io/docs/instrumenting/exposition_formats/).

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
/// The metrics of this process, as Prometheus reads them: counters, gauges, and of each histogram the
/// count and the sum.
///
/// Whatever this process records through the crate [`metrics`](https://docs.rs/metrics) is in it. A
/// clone is of the same metrics. [`MetricsOptions::prometheus`](crate::MetricsOptions::prometheus)
/// installs it and shows it at an address of its own; a program with a router of its own renders it
/// there.
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
    /// This process has a recorder, and there can be only one.
    #[error("this process records its metrics already: show them there")]
    Installed,
}

impl PrometheusRecorder {
    /// Records the metrics of this process from now on. What took its metrics before, such as a
    /// [`Server`](crate::Server) that was bound, goes on without being recorded.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Installed`].
    pub fn install() -> Result<Self, RecorderError> {
        let registry = Registry::default();
        match metrics::set_global_recorder(registry.clone()) {
            Ok(()) => Ok(Self(registry)),
            Err(_) => Err(RecorderError::Installed),
        }
    }

    /// Everything that was recorded so far, in Prometheus' text format, in order of names and labels.
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

/// The metrics by name. A clone is of the same ones.
#[derive(Clone, Default)]
struct Registry(Arc<Mutex<BTreeMap<String, Family>>>);

/// All metrics of one name.
#[derive(Default)]
struct Family {
    help: String,
    /// By their labels, as they are written.
    series: BTreeMap<String, Series>,
}

enum Series {
    Counter(Arc<AtomicU64>),
    /// The bits of an `f64`.
    Gauge(Arc<AtomicU64>),
    Summary(Arc<Summary>),
}

/// How many values there were, and their sum.
#[derive(Default)]
struct Summary {
    count: AtomicU64,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

impl HistogramFn for Summary {
    fn record(&self, value: f64) {
        CounterFn::increment(&self.count, 1);
        GaugeFn::increment(&self.sum, value);
    }
}

impl Registry {
    fn render(&self) -> String {
        let mut text = String::new();
        for (name, family) in &*self.families() {
            let Some(first) = family.series.values().next() else { continue };
            if !family.help.is_empty() {
                let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
                text += &format!("# HELP {name} {help}\n");
            }
            text += &format!("# TYPE {name} {}\n", first.kind());
            for (labels, series) in &family.series {
                series.write(name, labels, &mut text);
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

    /// The metric of a key: the one that there is, or `new`.
    fn register<T>(
        &self,
        key: &Key,
        new: impl FnOnce() -> Series,
        of: impl FnOnce(&Series) -> Option<T>,
    ) -> Option<T> {
        let mut families = self.families();
        let family = families.entry(allowed(key.name())).or_default();
        of(family.series.entry(labels(key)).or_insert_with(new))
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
        let of = |series: &Series| match series {
            Series::Counter(value) => Some(Counter::from_arc(Arc::clone(value))),
            _ => None,
        };
        self.register(key, || Series::Counter(Arc::default()), of).unwrap_or_else(Counter::noop)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let of = |series: &Series| match series {
            Series::Gauge(value) => Some(Gauge::from_arc(Arc::clone(value))),
            _ => None,
        };
        self.register(key, || Series::Gauge(Arc::default()), of).unwrap_or_else(Gauge::noop)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let of = |series: &Series| match series {
            Series::Summary(summary) => Some(Histogram::from_arc(Arc::clone(summary))),
            _ => None,
        };
        self.register(key, || Series::Summary(Arc::default()), of).unwrap_or_else(Histogram::noop)
    }
}

impl Series {
    fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Summary(_) => "summary",
        }
    }

    fn write(&self, name: &str, labels: &str, text: &mut String) {
        let whole = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let real = |value: &AtomicU64| f64::from_bits(whole(value));
        // A text takes whatever is written into it.
        let _ = match self {
            Self::Counter(value) => writeln!(text, "{name}{labels} {}", whole(value)),
            Self::Gauge(value) => writeln!(text, "{name}{labels} {}", real(value)),
            Self::Summary(summary) => {
                let (count, sum) = (whole(&summary.count), real(&summary.sum));
                writeln!(text, "{name}_sum{labels} {sum}\n{name}_count{labels} {count}")
            }
        };
    }
}

/// A name with nothing in it that Prometheus refuses.
fn allowed(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "_")
}

fn labels(key: &Key) -> String {
    let label = |label: &metrics::Label| {
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
    fn metrics_are_written_as_prometheus_reads_them() {
        let registry = Registry::default();
        metrics::with_local_recorder(&registry, || {
            metrics::describe_counter!("claims_total", "Claims,\nby result.");
            metrics::describe_counter!("never_total", "Nothing of it was recorded.");
            metrics::counter!("claims_total", "result" => "ok").increment(2);
            metrics::counter!("claims_total", "result" => "ok").increment(1);
            metrics::counter!("claims_total", "result" => "a\"b\\c\nd").increment(0);
            metrics::gauge!("waiting", "channel" => "x").set(1.5);
            metrics::histogram!("took.seconds").record(0.25);
            metrics::histogram!("took.seconds").record(0.5);
            // Of another kind than it was: not recorded.
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
