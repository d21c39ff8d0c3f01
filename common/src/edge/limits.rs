//! How many requests are let in.

use std::{
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
    /// Most requests of a caller a second, and at once.
    pub rate: Option<(NonZeroU32, NonZeroU32)>,
    /// Longest that a request may take.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_flight: 512, transfers: 128, rate: None, deadline: Duration::from_mins(1) }
    }
}

/// Lets requests in, as long as there are few enough.
#[derive(Debug)]
pub(super) struct Admission {
    requests: Room,
    transfers: Room,
    callers: Option<Callers>,
}

/// Places for requests of a kind.
#[derive(Debug)]
struct Room {
    taken: Arc<AtomicU32>,
    most: u32,
}

impl Room {
    fn new(most: u32) -> Self {
        Self { taken: Arc::default(), most }
    }

    /// A place, if there is one.
    fn place(&self) -> Option<Place> {
        // Counted before it is compared: whoever comes at the same time sees it.
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        METRICS.in_flight.inc();
        let place = Place(Arc::clone(&self.taken));
        (before < self.most).then_some(place)
    }
}

/// What each caller has used of its rate, by the hash of who it is.
#[derive(Debug)]
struct Callers {
    limiter: DefaultKeyedRateLimiter<u64>,
    hasher: RandomState,
    clock: DefaultClock,
    rate: NonZeroU32,
}

/// A place among the requests in flight.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        METRICS.in_flight.dec();
    }
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        let callers = limits.rate.map(|(rate, burst)| Callers {
            limiter: RateLimiter::dashmap(Quota::per_second(rate).allow_burst(burst)),
            hasher: RandomState::new(),
            clock: DefaultClock::default(),
            rate,
        });
        Self { requests: Room::new(limits.in_flight), transfers: Room::new(limits.transfers), callers }
    }

    /// A place for the request, or why there is none.
    pub(super) fn admit(&self, request: &Request, is_transfer: bool) -> Result<Place, Problem> {
        let room = if is_transfer { &self.transfers } else { &self.requests };
        let Some(place) = room.place() else {
            METRICS.shed("overload");
            let description = Description::new(Code::Unavailable, "OVERLOADED");
            return Err(Problem::new(
                "this service has too many requests at the moment; try again",
                description.detail(Detail::Retry(RETRY_AFTER)),
            ));
        };
        if let Some(callers) = &self.callers {
            callers.check(request)?;
        }
        Ok(place)
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
