//! One replica of a peer: its connection, and how it has performed lately.

use std::{
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::peer::{Tls, connect};
use tonic::transport::{Channel, Endpoint, Uri};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The latency expected of a replica that has not answered yet.
const UNKNOWN: Duration = Duration::from_millis(1);

/// How long an observation counts in full; it counts half as much after each further period.
const HALF_LIFE: Duration = Duration::from_secs(2);

/// How long a replica that has failed is left alone, multiplied by the number of failures in a row.
const REST: Duration = Duration::from_millis(500);

/// Maximum number of failures in a row that count.
const MOST_FAILURES: u32 = 10;

/// A replica.
#[derive(Debug)]
pub(crate) struct Replica<C> {
    pub(super) address: SocketAddr,
    pub(super) client: C,
    in_flight: AtomicU32,
    performance: Mutex<Performance>,
}

/// How a replica has performed.
#[derive(Debug, Clone, Copy)]
struct Performance {
    latency: Duration,
    at: Instant,
    failures: u32,
}

/// A call in progress.
#[derive(Debug)]
pub(crate) struct Call<'a, C> {
    replica: &'a Replica<C>,
    started: Instant,
}

impl<C> Replica<C> {
    /// The replica at `address`, which is called `origin`; connects when first needed, and reconnects whenever the
    /// connection is lost. `client` makes its client from a channel.
    pub(super) fn new(address: SocketAddr, origin: Uri, tls: Option<Tls>, client: fn(Channel) -> C) -> Self {
        // TLS is the connector's affair, so that each new connection is made with the certificates of its time.
        let endpoint = Endpoint::from(origin)
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true);
        let channel = endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
            let tls = tls.clone();
            async move { tokio::time::timeout(CONNECT_TIMEOUT, connect(address, tls)).await? }
        }));
        let client = client(channel);
        let performance = Performance { latency: UNKNOWN, at: Instant::now(), failures: 0 };
        Self { address, client, in_flight: AtomicU32::new(0), performance: Mutex::new(performance) }
    }

    fn performance(&self) -> Performance {
        *self.performance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is being left alone for now.
    pub(super) fn is_backing_off(&self) -> bool {
        let Performance { at, failures, .. } = self.performance();
        failures > 0 && at.elapsed() < REST * failures
    }

    /// How long another call is likely to take, for comparing replicas.
    pub(super) fn cost(&self) -> Duration {
        let Performance { latency, at, .. } = self.performance();
        let halves = u32::try_from(at.elapsed().as_nanos() / HALF_LIFE.as_nanos()).unwrap_or(u32::MAX);
        let latency = latency / 2_u32.saturating_pow(halves);
        latency.max(UNKNOWN / 10) * (self.in_flight.load(Ordering::Relaxed) + 1)
    }

    /// Begins a call.
    pub(super) fn begin(&self) -> Call<'_, C> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Call { replica: self, started: Instant::now() }
    }
}

impl<C> Call<'_, C> {
    /// Records that the replica has answered.
    pub(super) fn answered(&self) {
        let mut performance = self.replica.performance.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, took) = (Instant::now(), self.started.elapsed());
        *performance = Performance { latency: (performance.latency * 4 + took) / 5, at: now, failures: 0 };
    }

    /// Records that the replica has not answered, or has broken the connection.
    pub(super) fn failed(&self) {
        let mut performance = self.replica.performance.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = performance.latency.max(self.started.elapsed());
        *performance = Performance {
            latency,
            at: Instant::now(),
            failures: (performance.failures + 1).min(MOST_FAILURES),
        };
    }
}

impl<C> Drop for Call<'_, C> {
    fn drop(&mut self) {
        self.replica.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
