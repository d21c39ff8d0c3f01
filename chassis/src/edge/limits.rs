//! How many requests are let in.

use std::{
    future::Future,
    hash::{BuildHasher as _, RandomState},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use axum::{extract::Request, http::HeaderValue};
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use tokio::sync::Semaphore;

use super::ConnectInfo;
use super::{
    IsTransfer,
    memory::{self, Memory},
    pace::Answers,
    places::{Entry, Place, Pool},
    shares::share,
};
use crate::{
    http::Problem,
    metrics::METRICS,
    status::{Code, Description, Detail, StatusCode},
};

/// What requests may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of concurrent requests, apart from those that upload or download data.
    pub in_flight: u32,
    /// Maximum number of concurrent requests that upload or download data, which take as long as their callers like.
    pub transfers: u32,
    /// Maximum number of requests of either kind that wait for a place.
    pub queued: u32,
    /// How long they wait at most.
    pub queue_wait: Duration,
    /// Maximum number of requests of a caller per second, and at once.
    pub rate: Option<(NonZeroU32, NonZeroU32)>,
    /// Longest time that a request may take.
    pub deadline: Duration,
    /// How long a request may send nothing, or nothing of an answer be read; for reading data, three times as long.
    pub stall: Duration,
    /// Largest request message, in bytes; image data is sent in as many of them as it takes.
    pub message: usize,
    /// Maximum size of a request's headers, in bytes, counted as HTTP/2 counts them.
    pub headers: usize,
    /// Maximum memory for concurrent large requests, in bytes.
    pub request_memory: usize,
    /// Maximum memory for concurrent large answers, in bytes.
    pub answer_memory: usize,
}

impl Limits {
    /// The memory that large requests and answers share.
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
            stall: Duration::from_secs(30),
            message: 4 * 1024 * 1024,
            request_memory: memory::REQUESTS,
            answer_memory: memory::ANSWERS,
            headers: 16_384,
        }
    }
}

/// Maximum number of concurrent health and reflection streams, which are open for as long as their clients like.
const WATCHES: u32 = 512;

/// Lets requests in while there are few enough.
#[derive(Debug)]
pub(super) struct Admission {
    requests: Pool,
    transfers: Pool,
    watches: Pool,
    callers: Option<Callers>,
    hasher: RandomState,
}

/// The kind of place that a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A call.
    Request,
    /// A call that uploads or downloads data.
    Transfer,
    /// A health or reflection stream.
    Watch,
    /// A call that needs no place: health checks are answered whatever else there is to do.
    Free,
}

impl Kind {
    pub(super) fn of(request: &Request, is_transfer: IsTransfer) -> Self {
        match request.uri().path().strip_prefix("/grpc.") {
            Some(method) if method.ends_with("/Check") => Self::Free,
            Some(_) => Self::Watch,
            None if is_transfer(request) => Self::Transfer,
            None => Self::Request,
        }
    }
}

/// A connection's share of the places of each kind, and the answers that its client has to read.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    requests: Arc<Semaphore>,
    transfers: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    pub(crate) answers: Arc<Answers>,
}

impl ConnectionState {
    pub(crate) fn new(limits: &Limits) -> Self {
        let share = |most: u32| Arc::new(Semaphore::new(share(most as usize)));
        Self {
            requests: share(limits.in_flight),
            transfers: share(limits.transfers),
            watches: share(WATCHES),
            answers: Arc::default(),
        }
    }
}

/// What each caller has used of its rate, by the hash of its identity.
#[derive(Debug)]
struct Callers {
    limiter: DefaultKeyedRateLimiter<u64>,
    clock: DefaultClock,
    rate: NonZeroU32,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        let callers = limits.rate.map(|(rate, burst)| Callers {
            limiter: RateLimiter::dashmap(Quota::per_second(rate).allow_burst(burst)),
            clock: DefaultClock::default(),
            rate,
        });
        Self {
            requests: Pool::new("requests", limits.in_flight, limits),
            transfers: Pool::new("transfers", limits.transfers, limits),
            watches: Pool::new("watches", WATCHES, &Limits { queued: 0, ..*limits }),
            callers,
            hasher: RandomState::new(),
        }
    }

    /// Whether the caller may send a request now. Checked before the queue: a caller that is too fast takes no one
    /// else's place in it.
    pub(super) fn check_rate(&self, request: &Request, kind: Kind) -> Result<(), Problem> {
        if matches!(kind, Kind::Free | Kind::Watch) {
            return Ok(());
        }
        self.callers.as_ref().map_or(Ok(()), |callers| callers.check(self.key(request)))
    }

    /// A place for the request, now or soon, or why there is none.
    pub(super) fn admit(
        &self,
        request: &Request,
        kind: Kind,
    ) -> Entry<impl Future<Output = Result<Place, Problem>> + Send + 'static> {
        let state = request.extensions().get::<ConnectInfo>().map(|connection| &connection.state);
        // Watchers need not identify themselves, and many share one address, so each connection counts as a caller.
        let key = match kind {
            Kind::Watch => self
                .hasher
                .hash_one(request.extensions().get::<ConnectInfo>().map(|connection| connection.address)),
            _ => self.key(request),
        };
        let (pool, share) = match kind {
            Kind::Free => return Entry::Now(None),
            Kind::Request => (&self.requests, state.map(|state| &state.requests)),
            Kind::Transfer => (&self.transfers, state.map(|state| &state.transfers)),
            Kind::Watch => (&self.watches, state.map(|state| &state.watches)),
        };
        pool.enter(key, share.cloned(), kind != Kind::Watch)
    }

    /// Forgets callers that have been away for so long that their full rate is available again.
    pub(super) fn tidy(&self) {
        for pool in [&self.requests, &self.transfers, &self.watches] {
            pool.tidy();
        }
        if let Some(callers) = &self.callers {
            callers.limiter.retain_recent();
        }
    }

    /// Who is calling: user and project, else a token, else the address. A token that comes with the others is
    /// ignored: a caller could send a different one each time.
    pub(super) fn key(&self, request: &Request) -> u64 {
        let header = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
        let named = ["x-user-id", "x-project-id"].map(header);
        if named.iter().any(Option::is_some) {
            return self.hasher.hash_one(named);
        }
        if let Some(token) = header("x-auth-token") {
            return self.hasher.hash_one(token);
        }
        let address = request.extensions().get::<ConnectInfo>().map(|connection| connection.address.ip());
        self.hasher.hash_one(address)
    }
}

impl Callers {
    fn check(&self, key: u64) -> Result<(), Problem> {
        let Err(not_until) = self.limiter.check_key(&key) else { return Ok(()) };
        METRICS.shed("rate");
        let wait = not_until.wait_time_from(self.clock.now()).max(Duration::from_millis(1));
        let description = Description::new(Code::ResourceExhausted, "RATE_LIMITED")
            .http(StatusCode::TOO_MANY_REQUESTS)
            .with("requests_per_second", self.rate)
            .detail(Detail::Retry(wait));
        Err(Problem::new("the caller sends more requests a second than it may; slow down", description))
    }
}
