//! How many requests are let in.

use std::{
    future::Future,
    hash::{BuildHasher as _, RandomState},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{extract::Request, http::HeaderValue};
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::memory::{self, Memory};
use crate::{
    http::Problem,
    metrics::METRICS,
    server::Peer,
    status::{Code, Description, Detail, StatusCode},
};

/// What a caller is told to wait when there are too many requests.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What requests may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most requests at a time, but for those that bring or fetch data.
    pub in_flight: u32,
    /// Most requests at a time that bring or fetch data, which take as long as their callers like.
    pub transfers: u32,
    /// Most requests of either kind that wait until there is a place.
    pub queued: u32,
    /// How long they wait.
    pub queue_wait: Duration,
    /// Most requests of a caller a second, and at once.
    pub rate: Option<(NonZeroU32, NonZeroU32)>,
    /// Longest that a request may take.
    pub deadline: Duration,
    /// Largest request message, bytes; data of images comes in as many of them as it takes.
    pub message: usize,
    /// Most bytes that large requests take at a time.
    pub request_memory: usize,
    /// Most bytes that large answers take at a time.
    pub answer_memory: usize,
}

impl Limits {
    /// What large requests and answers share.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory::new(self.request_memory, self.answer_memory)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 512,
            transfers: 128,
            queued: 1024,
            queue_wait: Duration::from_millis(500),
            rate: None,
            deadline: Duration::from_mins(1),
            message: 4 * 1024 * 1024,
            request_memory: memory::REQUESTS,
            answer_memory: memory::ANSWERS,
        }
    }
}

/// Lets requests in, as long as there are few enough.
#[derive(Debug)]
pub(super) struct Admission {
    requests: Room,
    transfers: Room,
    callers: Option<Callers>,
}

/// Whether there is a place for a request.
pub(super) enum Entry<W> {
    /// There is, or it needs none.
    Now(Option<Place>),
    /// There may be one in time.
    Later(W),
    /// There is none.
    Never(Problem),
}

/// Places for requests of a kind.
#[derive(Debug)]
struct Room {
    places: Arc<Semaphore>,
    queue: Arc<Queue>,
    most_queued: u32,
    patience: Duration,
}

/// Those who wait for a place.
#[derive(Debug)]
struct Queue {
    length: AtomicU32,
    gauge: Gauge,
}

/// A place in the queue.
struct Queued(Arc<Queue>);

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.length.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.dec();
    }
}

/// A place among the requests in flight.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        METRICS.in_flight.inc();
        Self { _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        METRICS.in_flight.dec();
    }
}

impl Room {
    fn new(name: &'static str, most: u32, limits: &Limits) -> Self {
        let queue = Queue { length: AtomicU32::new(0), gauge: METRICS.queue(name) };
        Self {
            places: Arc::new(Semaphore::new(most as usize)),
            queue: Arc::new(queue),
            most_queued: limits.queued,
            patience: limits.queue_wait,
        }
    }

    /// A place, or a place in the queue: whoever is refused comes again, which costs more than to let it wait.
    fn enter(&self) -> Entry<impl Future<Output = Result<Place, Problem>> + Send + 'static> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Entry::Now(Some(Place::new(permit)));
        }
        // Counted before it is compared: whoever comes at the same time sees it.
        let before = self.queue.length.fetch_add(1, Ordering::Relaxed);
        self.queue.gauge.inc();
        let queued = Queued(Arc::clone(&self.queue));
        if before >= self.most_queued {
            return Entry::Never(overloaded());
        }
        let (places, patience) = (Arc::clone(&self.places), self.patience);
        Entry::Later(async move {
            let waited = timeout(patience, places.acquire_owned()).await;
            drop(queued);
            match waited {
                Ok(Ok(permit)) => Ok(Place::new(permit)),
                // In order, and no longer than this: who has waited for so long will soon have gone.
                _ => Err(overloaded()),
            }
        })
    }
}

fn overloaded() -> Problem {
    METRICS.shed("overload");
    let description = Description::new(Code::Unavailable, "OVERLOADED");
    Problem::new(
        "this service has too many requests at the moment; try again",
        description.detail(Detail::Retry(RETRY_AFTER)),
    )
}

/// What each caller has used of its rate, by the hash of who it is.
#[derive(Debug)]
struct Callers {
    limiter: DefaultKeyedRateLimiter<u64>,
    hasher: RandomState,
    clock: DefaultClock,
    rate: NonZeroU32,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        let callers = limits.rate.map(|(rate, burst)| Callers {
            limiter: RateLimiter::dashmap(Quota::per_second(rate).allow_burst(burst)),
            hasher: RandomState::new(),
            clock: DefaultClock::default(),
            rate,
        });
        Self {
            requests: Room::new("requests", limits.in_flight, limits),
            transfers: Room::new("transfers", limits.transfers, limits),
            callers,
        }
    }

    /// A place for the request, now or soon, or why there is none.
    pub(super) fn admit(
        &self,
        request: &Request,
        is_transfer: bool,
    ) -> Entry<impl Future<Output = Result<Place, Problem>> + Send + 'static> {
        // Before the queue: a caller that is too fast takes no place of others in it.
        if let Some(callers) = &self.callers
            && let Err(problem) = callers.check(request)
        {
            return Entry::Never(problem);
        }
        if is_transfer { &self.transfers } else { &self.requests }.enter()
    }

    /// Forgets callers that have been away for so long that they may do anything again.
    pub(super) fn tidy(&self) {
        if let Some(callers) = &self.callers {
            callers.limiter.retain_recent();
        }
    }
}

impl Callers {
    fn check(&self, request: &Request) -> Result<(), Problem> {
        let Err(not_until) = self.limiter.check_key(&self.key(request)) else { return Ok(()) };
        METRICS.shed("rate");
        let wait = not_until.wait_time_from(self.clock.now()).max(Duration::from_millis(1));
        let description = Description::new(Code::ResourceExhausted, "RATE_LIMITED")
            .http(StatusCode::TOO_MANY_REQUESTS)
            .with("requests_per_second", self.rate)
            .detail(Detail::Retry(wait));
        Err(Problem::new("the caller sends more requests a second than it may; slow down", description))
    }

    /// Who is calling: user and project, else a token, else the address. A token beside the others says nothing: a
    /// caller could send another one each time.
    fn key(&self, request: &Request) -> u64 {
        let header = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
        let said = ["x-user-id", "x-project-id"].map(header);
        if said.iter().any(Option::is_some) {
            return self.hasher.hash_one(said);
        }
        if let Some(token) = header("x-auth-token") {
            return self.hasher.hash_one(token);
        }
        let address = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
        self.hasher.hash_one(address)
    }
}
