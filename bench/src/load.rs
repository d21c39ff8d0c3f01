//! A closed loop: a fixed number of requests in flight, each answer followed by the next request.

use std::{
    collections::BTreeMap,
    future::Future,
    time::{Duration, Instant},
};

use anyhow::ensure;
use hdrhistogram::Histogram;
use tokio::{task::JoinSet, time};

use crate::{
    figures::{Latency, Run},
    process::Watch,
};

/// How many requests, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Requests in flight.
    pub(crate) in_flight: usize,
    /// The warm-up, which is not measured.
    pub(crate) warm_up: Duration,
    /// The time that is measured.
    pub(crate) measured: Duration,
}

/// Which request of a load this is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// The number of the worker, from 0.
    pub(crate) worker: usize,
    /// How many this worker has sent before.
    pub(crate) number: usize,
}

/// The time that is measured.
#[derive(Clone, Copy)]
struct Window {
    start: Instant,
    end: Instant,
}

/// Sends requests and measures; the first failure or wrong answer fails the run.
pub(crate) async fn drive<F, R>(shape: Shape, watch: &Watch, request: F) -> anyhow::Result<Run>
where
    F: Fn(Turn) -> R + Clone + Send + 'static,
    R: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    watch.reset_peaks();
    let start = Instant::now() + shape.warm_up;
    let window = Window { start, end: start + shape.measured };
    let mut workers = JoinSet::new();
    for worker in 0..shape.in_flight {
        workers.spawn(work(worker, window, request.clone()));
    }
    time::sleep_until(window.start.into()).await;
    let (before, began) = (watch.cpu()?, Instant::now());
    time::sleep_until(window.end.into()).await;
    let (after, seconds) = (watch.cpu()?, began.elapsed().as_secs_f64());
    let mut latencies = Latencies::default();
    while let Some(worker) = workers.join_next().await {
        latencies.0.add(worker??.0)?;
    }
    latencies.run(seconds, &before, &after, watch)
}

async fn work<F, R>(worker: usize, window: Window, request: F) -> anyhow::Result<Latencies>
where
    F: Fn(Turn) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let mut latencies = Latencies::default();
    for number in 0.. {
        let sent = Instant::now();
        if sent >= window.end {
            break;
        }
        request(Turn { worker, number }).await?;
        let answered = Instant::now();
        if (window.start..window.end).contains(&answered) {
            latencies.record(answered - sent);
        }
    }
    Ok(latencies)
}

/// The longest latency that is recorded, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// Latencies in microseconds, to three significant digits.
pub(crate) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("three digits are possible"))
    }
}

impl Latencies {
    /// Records one.
    pub(crate) fn record(&mut self, latency: Duration) {
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(microseconds);
    }

    /// The run with these latencies, and with the CPU time between two readings.
    #[expect(clippy::cast_precision_loss, reason = "counts and microseconds of a benchmark are small")]
    pub(crate) fn run(
        &self,
        seconds: f64,
        before: &BTreeMap<&'static str, f64>,
        after: &BTreeMap<&'static str, f64>,
        watch: &Watch,
    ) -> anyhow::Result<Run> {
        let requests = self.0.len();
        ensure!(requests > 0, "no request was answered within {seconds:.1} s: take more --seconds");
        let percentile = |percentile| self.0.value_at_percentile(percentile) as f64;
        let cpu = |(name, after): (&&'static str, &f64)| {
            (*name, (after - before.get(name).unwrap_or(&0.0)) / requests as f64)
        };
        Ok(Run {
            requests,
            seconds,
            per_second: requests as f64 / seconds,
            latency_us: Latency { p50: percentile(50.0), p99: percentile(99.0), p999: percentile(99.9) },
            cpu_us: after.iter().map(cpu).collect(),
            peak_mib: watch.peaks()?,
        })
    }
}
