//! Places for requests: in total, per caller, and per connection.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    limits::Limits,
    shares::{Shares, share},
};
use crate::{
    http::Problem,
    metrics::METRICS,
    status::{Code, Description, RETRY_AFTER},
};

/// Whether there is a place for a request.
pub(super) enum Entry<W> {
    /// There is one, or none is needed.
    Now(Option<Place>),
    /// There may be one in time.
    Later(W),
    /// There is none.
    Never(Problem),
}

/// Places for requests of a kind.
#[derive(Debug)]
pub(super) struct Pool {
    places: Arc<Semaphore>,
    /// Places of each caller.
    shares: Shares<Share>,
    most: u32,
    queue: Arc<Queue>,
    most_queued: u32,
    patience: Duration,
}

/// A caller's share of the places of a kind.
#[derive(Debug)]
struct Share {
    places: Arc<Semaphore>,
    queued: AtomicU32,
}

/// Those who wait for a place.
#[derive(Debug)]
struct Queue {
    length: AtomicU32,
    gauge: Gauge,
}

/// A place in the queue.
struct Queued(Arc<Queue>, Arc<Share>);

impl Queued {
    /// A place, and how many there were before, in total and of this caller.
    fn new(queue: &Arc<Queue>, share: &Arc<Share>) -> (Self, (u32, u32)) {
        // Counted before it is compared: whoever comes at the same time sees it.
        let before =
            (queue.length.fetch_add(1, Ordering::Relaxed), share.queued.fetch_add(1, Ordering::Relaxed));
        queue.gauge.inc();
        (Self(Arc::clone(queue), Arc::clone(share)), before)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.length.fetch_sub(1, Ordering::Relaxed);
        self.1.queued.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.dec();
    }
}

/// A place among the requests in flight: in total, of its caller, and of its connection.
#[derive(Debug)]
pub(super) struct Place {
    _permits: [Option<OwnedSemaphorePermit>; 3],
    _share: Arc<Share>,
    is_counted: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_counted {
            METRICS.in_flight.dec();
        }
    }
}

impl Pool {
    /// `most` places, whose queue is counted under this `name`.
    pub(super) fn new(name: &'static str, most: u32, limits: &Limits) -> Self {
        let queue = Queue { length: AtomicU32::new(0), gauge: METRICS.queue(name) };
        Self {
            places: Arc::new(Semaphore::new(most as usize)),
            shares: Shares::default(),
            most,
            queue: Arc::new(queue),
            most_queued: limits.queued,
            patience: limits.queue_wait,
        }
    }

    /// Forgets callers that hold no place.
    pub(super) fn tidy(&self) {
        self.shares.tidy();
    }

    /// The share of the caller with this hash.
    fn share(&self, key: u64) -> Arc<Share> {
        self.shares.of(key, || {
            let places = Arc::new(Semaphore::new(share(self.most as usize)));
            Share { places, queued: AtomicU32::new(0) }
        })
    }

    /// A place, or a place in the queue: a refused caller comes back, which costs more than letting it wait.
    pub(super) fn enter(
        &self,
        key: u64,
        state: Option<Arc<Semaphore>>,
        is_counted: bool,
    ) -> Entry<impl Future<Output = Result<Place, Problem>> + Send + 'static> {
        let own = self.share(key);
        let wanted = [Some(Arc::clone(&own.places)), state, Some(Arc::clone(&self.places))];
        if let Some(permits) = try_all(&wanted) {
            return Entry::Now(Some(Place::new(permits, own, is_counted)));
        }
        let (queued, (before, of_it)) = Queued::new(&self.queue, &own);
        if before >= self.most_queued || of_it as usize >= share(self.most_queued as usize) {
            return Entry::Never(overloaded());
        }
        let patience = self.patience;
        Entry::Later(async move {
            let entered = timeout(patience, all(wanted)).await;
            drop(queued);
            // In order, and no longer than this: who has waited for so long will soon have gone.
            entered.map(|permits| Place::new(permits, own, is_counted)).map_err(|_| overloaded())
        })
    }
}

type Permits = [Option<OwnedSemaphorePermit>; 3];

/// A permit of each, or none at all.
fn try_all(wanted: &[Option<Arc<Semaphore>>; 3]) -> Option<Permits> {
    let mut permits = Permits::default();
    for (permit, places) in permits.iter_mut().zip(wanted) {
        if let Some(places) = places {
            *permit = Some(Arc::clone(places).try_acquire_owned().ok()?);
        }
    }
    Some(permits)
}

/// A permit of each: the caller's own first, so that a caller with too many requests keeps nobody waiting.
async fn all(wanted: [Option<Arc<Semaphore>>; 3]) -> Permits {
    let mut permits = Permits::default();
    for (permit, places) in permits.iter_mut().zip(wanted) {
        if let Some(places) = places {
            *permit = places.acquire_owned().await.ok();
        }
    }
    permits
}

impl Place {
    fn new(permits: Permits, share: Arc<Share>, is_counted: bool) -> Self {
        if is_counted {
            METRICS.in_flight.inc();
        }
        Self { _permits: permits, _share: share, is_counted }
    }
}

fn overloaded() -> Problem {
    METRICS.shed("overload");
    Problem::new(
        "this service has too many requests at the moment; try again",
        Description::retry(Code::Unavailable, "OVERLOADED", RETRY_AFTER),
    )
}
