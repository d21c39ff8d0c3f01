//! What a service counts, for Prometheus, as text. Counting is a few atomic additions; nothing is rendered until it
//! is requested.

use std::{fmt, sync::LazyLock, time::Duration};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text},
    metrics::{
        MetricType,
        counter::Counter,
        exemplar::HistogramWithExemplars,
        family::Family,
        gauge::{ConstGauge, Gauge},
        info::Info,
    },
    registry::{Registry, Unit},
};

mod process;

use process::Process;

/// Upper bounds of the histogram of durations, in seconds.
const DURATIONS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What this process counts. One for all services in a process, as its memory and CPU time are.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

/// The content type of the output of [`render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counters and gauges.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<Outcome, Counter>,
    durations: Family<Method, HistogramWithExemplars<Trace>, fn() -> HistogramWithExemplars<Trace>>,
    /// Requests being answered.
    pub in_flight: Gauge,
    shed: Family<Shed, Counter>,
    /// Open connections.
    pub connections: Gauge,
    /// Connections that were refused, because there were too many.
    pub connections_refused: Counter,
    reloads: Family<Reload, Counter>,
    /// Panics, of requests and of everything else.
    pub panics: Counter,
    /// Transactions that were rerun because others were in their way.
    pub transaction_retries: Counter,
    /// Connections to the database that were closed because nobody could tell what they were in the middle of.
    pub connections_discarded: Counter,
    queues: Family<Queue, Gauge>,
    begun_again: Family<Work, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    protocol: &'static str,
    method: String,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    protocol: &'static str,
    method: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Trace {
    trace_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Shed {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reload {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Work {
    work: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> _ = || HistogramWithExemplars::new(DURATIONS.into_iter());
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(histogram),
            in_flight: Gauge::default(),
            shed: Family::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            reloads: Family::default(),
            panics: Counter::default(),
            transaction_retries: Counter::default(),
            connections_discarded: Counter::default(),
            queues: Family::default(),
            begun_again: Family::default(),
        }
    }
}

/// An answered request.
#[derive(Debug)]
pub struct Answered {
    /// `grpc` or `http`.
    pub protocol: &'static str,
    /// The gRPC method, or the HTTP method and the template of its path.
    pub method: String,
    /// The name of its gRPC code, or the number of its HTTP status.
    pub code: String,
    /// How long it took.
    pub duration: Duration,
    /// Its trace, if it is recorded.
    pub trace_id: Option<String>,
}

impl Metrics {
    /// Counts a request.
    pub fn answered(&self, answered: Answered) {
        let Answered { protocol, method, code, duration, trace_id } = answered;
        let outcome = Outcome { protocol, method, code };
        self.requests.get_or_create(&outcome).inc();
        let method = outcome.method;
        let durations = self.durations.get_or_create(&Method { protocol, method });
        durations.observe(duration.as_secs_f64(), trace_id.map(|trace_id| Trace { trace_id }), None);
    }

    /// Counts a request that was refused because there were too many: `overload` or `rate`.
    pub fn shed(&self, reason: &'static str) {
        self.shed.get_or_create(&Shed { reason }).inc();
    }

    /// Counts a reload of certificates that had changed.
    pub fn reloaded(&self, is_ok: bool) {
        self.reloads.get_or_create(&Reload { result: if is_ok { "ok" } else { "failed" } }).inc();
    }

    /// Counts background work that panicked and was restarted.
    pub(crate) fn begun_again(&self, work: &'static str) {
        self.begun_again.get_or_create(&Work { work }).inc();
    }

    #[cfg(test)]
    pub(crate) fn times_begun_again(&self, work: &'static str) -> u64 {
        self.begun_again.get_or_create(&Work { work }).get()
    }

    /// How many are waiting in a queue.
    #[must_use]
    pub fn queue(&self, queue: &'static str) -> Gauge {
        self.queues.get_or_create_owned(&Queue { queue })
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("imprint_requests", "Requests that were answered", self.requests.clone());
        registry.register_with_unit(
            "imprint_request_duration",
            "Time to the answer, or to the first byte of one that is streamed",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "imprint_requests_in_flight",
            "Requests that are being answered",
            self.in_flight.clone(),
        );
        registry.register(
            "imprint_requests_shed",
            "Requests that were refused because there were too many",
            self.shed.clone(),
        );
        registry.register("imprint_connections", "Connections that are open", self.connections.clone());
        registry.register(
            "imprint_connections_refused",
            "Connections that were refused because there were too many",
            self.connections_refused.clone(),
        );
        registry.register(
            "imprint_panics",
            "Panics, each of them a fault of the program",
            self.panics.clone(),
        );
        registry.register(
            "imprint_background_restarts",
            "Work in the background that panicked and was begun again",
            self.begun_again.clone(),
        );
        registry.register("imprint_tls_reloads", "Certificates that were read again", self.reloads.clone());
        registry.register(
            "imprint_transaction_retries",
            "Transactions that were run again because others were in their way",
            self.transaction_retries.clone(),
        );
        registry.register(
            "imprint_database_connections_discarded",
            "Connections to the database that were closed because a request had left them in use",
            self.connections_discarded.clone(),
        );
        registry.register(
            "imprint_queue_waiting",
            "Requests that wait for the batch that they are done in, or for a place",
            self.queues.clone(),
        );
        // There from the start, so that a rate can be told from their first step on.
        for reason in ["overload", "rate"] {
            drop(self.shed.get_or_create(&Shed { reason }));
        }
        for result in ["ok", "failed"] {
            drop(self.reloads.get_or_create(&Reload { result }));
        }
    }
}

/// The registry of a service; `more` registers what the service itself counts.
pub fn registry(service: &'static str, version: &'static str, more: impl FnOnce(&mut Registry)) -> Registry {
    let mut registry = Registry::default();
    METRICS.register(&mut registry);
    registry.register(
        "imprint_build",
        "The program",
        Info::new(vec![("service", service), ("version", version)]),
    );
    registry.register_collector(Box::new(Process));
    more(&mut registry);
    registry
}

/// Everything that is counted, as text.
///
/// # Panics
///
/// Never: writing to a string cannot fail.
#[must_use]
pub fn render(registry: &Registry) -> String {
    let mut text = String::new();
    text::encode(&mut text, registry).expect("a text takes everything");
    text
}

/// Adds a gauge that is looked up on request.
pub(crate) fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}
