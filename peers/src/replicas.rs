//! All replicas of a peer: their name is re-resolved continually, a call goes to the better one of two, and a call
//! that fails moves to another, as long as only few do.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::{
    background,
    peer::{BadEndpoint, Peer},
    tls::{Client, Reloaded},
};
use tokio::sync::watch;
use tonic::{Code, Response, Status, transport::Channel};
use tower::retry::budget::{Budget as _, TpsBudget};

use crate::{calls::Calls, refusal::retry_after, replica::Replica};

/// How often the name is resolved.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Maximum number of attempts per call.
const TRIES: u32 = 3;

/// How long to wait before the second attempt; the third waits twice as long.
const PAUSE: Duration = Duration::from_millis(5);

/// For how long calls earn retries for others, how many retries each earns, and how many a second are allowed in any
/// case.
const MEMORY: Duration = Duration::from_secs(10);
const RETRIED: f32 = 0.1;
const RETRIES_A_SECOND: u32 = 1;

/// The replicas of a peer, each with its own client `C`: a generated one, made from a channel.
#[derive(Debug)]
pub struct Replicas<C>(Arc<Inner<C>>);

impl<C> Clone for Replicas<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What a peer is called, and how its client is made.
#[derive(Debug)]
pub struct Kind<C> {
    /// Its name, such as `glance`: the domain of its reasons, and part of the names of metrics.
    pub name: &'static str,
    /// Makes its client from a channel.
    pub client: fn(Channel) -> C,
    /// Counts the calls to it.
    pub calls: &'static Calls,
}

/// The replicas as of the last lookup.
type ReplicaSet<C> = Arc<[Arc<Replica<C>>]>;

#[derive(Debug)]
struct Inner<C> {
    kind: Kind<C>,
    /// The names that the replicas are behind.
    names: Vec<Peer>,
    /// `None` until a name has been resolved for the first time.
    current: watch::Sender<Option<ReplicaSet<C>>>,
    budget: TpsBudget,
    hasher: RandomState,
    calls: AtomicU64,
}

/// Why a call got no answer.
#[derive(Debug)]
pub enum Failure {
    /// There was none in time.
    Timeout,
    /// The reason, as given by the peer or the transport.
    Status(Status),
}

impl<C: Clone + Send + Sync + 'static> Replicas<C> {
    /// The replicas behind `endpoints`, separated by commas, such as `http://glance:9292`; https needs `tls`.
    pub fn new(
        kind: Kind<C>,
        endpoints: &str,
        tls: Option<&Arc<Reloaded<Client>>>,
    ) -> Result<Self, BadEndpoint> {
        let names = endpoints.split(',').map(|endpoint| Peer::parse(endpoint.trim(), tls));
        let inner = Arc::new(Inner {
            kind,
            names: names.collect::<Result<_, _>>()?,
            current: watch::Sender::new(None),
            budget: TpsBudget::new(MEMORY, RETRIES_A_SECOND, RETRIED),
            hasher: RandomState::new(),
            calls: AtomicU64::new(0),
        });
        let addresses = inner.names.iter().map(address);
        match addresses.collect::<Option<Vec<_>>>() {
            Some(addresses) => inner.update(inner.names.iter().cloned().zip(addresses).collect()),
            None => {
                let inner = Arc::downgrade(&inner);
                let looking_up = async move { background::keep("replicas", || look_up(inner.clone())).await };
                drop(tokio::spawn(looking_up));
            }
        }
        Ok(Self(inner))
    }

    /// Makes a call that does no harm if it is made twice, within `timeout`.
    pub async fn call<T, F>(&self, timeout: Duration, call: impl Fn(C, Duration) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let end = Instant::now() + timeout;
        self.0.budget.deposit();
        let mut last = None;
        for number in 1.. {
            let left = end.saturating_duration_since(Instant::now());
            let replicas = tokio::time::timeout(left, self.current()).await.map_err(|_| Failure::Timeout)?;
            let replica = self.choose(&replicas, last).ok_or_else(no_address)?;
            let is_last = number == TRIES;
            // Another replica may answer in the time that this one does not.
            let patience = if is_last || replicas.len() < 2 { left } else { left / 2 };
            let failure = match self.try_once(replica, patience, &call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) if is_last => return Err(failure),
                Err(failure) => failure,
            };
            let Some(pause) = self.pause(&failure, number) else { return Err(failure) };
            if end <= Instant::now() + pause {
                return Err(failure);
            }
            if !self.0.budget.withdraw() {
                self.0.kind.calls.retries_refused.inc();
                return Err(failure);
            }
            self.0.kind.calls.retries.inc();
            tokio::time::sleep(pause).await;
            last = Some(replica.address);
        }
        Err(Failure::Timeout)
    }

    /// Makes a call once, which may take as long as it needs; a replica is found within `timeout`.
    pub async fn call_once<T, F>(&self, timeout: Duration, call: impl FnOnce(C) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let replicas = tokio::time::timeout(timeout, self.current()).await.map_err(|_| Failure::Timeout)?;
        let replica = self.choose(&replicas, None).ok_or_else(no_address)?;
        let under_way = replica.begin();
        let outcome = call(replica.client.clone()).await.map_err(Failure::Status);
        // How long it took says nothing about the replica.
        if outcome.as_ref().is_err_and(Failure::is_of_the_transport) {
            under_way.failed();
        }
        self.count(&outcome);
        Ok(outcome?.into_inner())
    }

    async fn try_once<T, F>(
        &self,
        replica: &Replica<C>,
        patience: Duration,
        call: impl Fn(C, Duration) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let under_way = replica.begin();
        let outcome = match tokio::time::timeout(patience, call(replica.client.clone(), patience)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(Failure::Status(status)),
            Err(_) => Err(Failure::Timeout),
        };
        match &outcome {
            Err(failure) if failure.is_of_the_transport() => under_way.failed(),
            _ => under_way.answered(),
        }
        self.count(&outcome);
        outcome
    }

    fn count<T>(&self, outcome: &Result<T, Failure>) {
        self.0.kind.calls.answered(match outcome {
            Ok(_) => Code::Ok,
            Err(Failure::Timeout) => Code::DeadlineExceeded,
            Err(Failure::Status(status)) => status.code(),
        });
    }

    /// How long to wait before the next attempt; `None` if nothing suggests that it would do better. Those told to
    /// come back wait up to half as long again, or all of them would come at once.
    fn pause(&self, failure: &Failure, number: u32) -> Option<Duration> {
        match failure {
            Failure::Status(status) if !failure.is_of_the_transport() => {
                let told = retry_after(status)?.min(MEMORY);
                let random = u32::try_from(self.random() & 0xFFFF).unwrap_or_default();
                Some(told + told / 2 * random / 0x1_0000)
            }
            _ => Some(PAUSE * number),
        }
    }

    fn random(&self) -> u64 {
        self.0.hasher.hash_one(self.0.calls.fetch_add(1, Ordering::Relaxed))
    }

    /// The replicas, once their name has been resolved.
    async fn current(&self) -> ReplicaSet<C> {
        let mut current = self.0.current.subscribe();
        let found = current.wait_for(Option::is_some).await;
        found.ok().and_then(|found| found.clone()).unwrap_or_default()
    }

    /// The better one of two; not the one that has just failed, if there is another.
    fn choose<'a>(
        &self,
        replicas: &'a [Arc<Replica<C>>],
        last: Option<SocketAddr>,
    ) -> Option<&'a Replica<C>> {
        let others = || replicas.iter().filter(|replica| Some(replica.address) != last);
        let rested: Vec<_> = others().filter(|replica| !replica.is_backing_off()).collect();
        let rested = if rested.is_empty() { others().collect() } else { rested };
        let candidates = if rested.is_empty() { replicas.iter().collect() } else { rested };
        let (count, random) = (candidates.len(), usize::try_from(self.random() >> 1).unwrap_or_default());
        if count == 0 {
            return None;
        }
        let one = random % count;
        // Any but the first.
        let other = (one + 1 + (random / count) % (count - 1).max(1)) % count;
        let (one, other): (&Replica<C>, &Replica<C>) = (candidates[one], candidates[other]);
        Some(if other.cost() < one.cost() { other } else { one })
    }
}

impl Failure {
    /// Whether the failure did not come from the peer itself, so that another replica may do better.
    fn is_of_the_transport(&self) -> bool {
        match self {
            Self::Timeout => true,
            Self::Status(status) => std::error::Error::source(status).is_some(),
        }
    }
}

fn no_address() -> Failure {
    Failure::Status(Status::unavailable("its name has no address"))
}

/// The address of a name, if it is one itself.
fn address(name: &Peer) -> Option<SocketAddr> {
    name.host.parse().ok().map(|ip| SocketAddr::new(ip, name.port))
}

async fn addresses(peer: &'static str, name: &Peer) -> Vec<SocketAddr> {
    match tokio::net::lookup_host((name.host.as_str(), name.port)).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(host = name.host, error, "the name of {peer}-svc cannot be looked up");
            Vec::new()
        }
    }
}

impl<C> Inner<C> {
    /// Sets the replicas to those at these addresses.
    fn update(&self, mut found: Vec<(Peer, SocketAddr)>) {
        found.sort_unstable_by_key(|(_, address)| *address);
        found.dedup_by_key(|(_, address)| *address);
        self.current.send_if_modified(|replicas| {
            let before = replicas.as_deref().unwrap_or_default();
            let addresses = found.iter().map(|(_, address)| *address);
            if replicas.is_some() && before.iter().map(|replica| replica.address).eq(addresses) {
                return false;
            }
            let replica = |(name, address): &(Peer, SocketAddr)| {
                let same = before.iter().find(|replica| replica.address == *address);
                let new = || {
                    Arc::new(Replica::new(*address, name.origin.clone(), name.tls.clone(), self.kind.client))
                };
                same.cloned().unwrap_or_else(new)
            };
            *replicas = Some(found.iter().map(replica).collect());
            true
        });
    }
}

/// Resolves the names for as long as anybody uses them. If none can be resolved, all keep their addresses.
async fn look_up<C>(inner: Weak<Inner<C>>) {
    while let Some(inner) = inner.upgrade() {
        let mut found = Vec::new();
        for name in &inner.names {
            found.extend(
                addresses(inner.kind.name, name).await.into_iter().map(|address| (name.clone(), address)),
            );
        }
        if !found.is_empty() || inner.current.borrow().is_none() {
            inner.update(found);
        }
        drop(inner);
        tokio::time::sleep(LOOK_UP).await;
    }
}
