//! How many bytes large requests and large answers may take at a time. Small ones are bounded by the limits on
//! requests; large ones wait for each other, in order of arrival, until there is room or their time is up. A caller's
//! large requests have a share of the room, or a single one gets as much as it needs; a caller whose large answers
//! stand unread in its share gets no further one until it reads.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes},
    http::Extensions,
};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::shares::{Shares, share};

/// Maximum memory for concurrent large requests, in bytes, unless configured.
pub(super) const REQUESTS: usize = 64 * 1024 * 1024;

/// Maximum memory for concurrent large answers, in bytes, unless configured.
pub(super) const ANSWERS: usize = 40 * 1024 * 1024;

/// The granularity of counting, in bytes.
const UNIT: usize = 1024;

/// A message below this size does not count as large.
pub(super) const SMALL: usize = 32 * 1024;

/// How many copies of a message's bytes are in memory at most: as it arrives, as a message, as its content, as the
/// rows made from it, as the driver sends them, and as an answer.
const COPIES: usize = 10;

/// The part of the memory for making an answer that the answer itself takes, about: one in so many.
const MADE: usize = 4;

/// Bytes before the message in the body of a gRPC call: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The room that large requests and large answers share.
#[derive(Debug, Clone)]
pub struct Memory {
    requests: Budget,
    answers: Budget,
}

/// An amount of room, and who holds it.
#[derive(Debug, Clone)]
struct Budget {
    room: Arc<Semaphore>,
    shares: Arc<Shares<Semaphore>>,
    most: usize,
}

/// Room that a caller holds: of its share, and of the total.
type Permits = [OwnedSemaphorePermit; 2];

impl Budget {
    fn new(most: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(most / UNIT)), shares: Arc::default(), most }
    }

    /// Like [`Budget::take`], for the caller with this hash, who waits for its own share first: a caller with too
    /// many requests keeps nobody else waiting. A request that needs more than the share waits for all of it.
    async fn take_of(self, key: u64, bytes: usize) -> Permits {
        let own = self.clone().take_share(key, bytes).await;
        [own, self.take(bytes).await]
    }

    /// Waits for this many bytes of the share of the caller with this hash, at least one unit and at most all of it.
    async fn take_share(self, key: u64, bytes: usize) -> OwnedSemaphorePermit {
        acquire(self.share(key), bytes.clamp(UNIT, share(self.most))).await
    }

    /// The share of the caller with this hash.
    fn share(&self, key: u64) -> Arc<Semaphore> {
        self.shares.of(key, || Semaphore::new(share(self.most) / UNIT))
    }

    /// Waits for room for this many bytes; a request that needs more than there is waits for all of it.
    async fn take(self, bytes: usize) -> OwnedSemaphorePermit {
        acquire(self.room, bytes.min(self.most)).await
    }
}

tokio::task_local! {
    /// The hash of whoever is being answered.
    pub(super) static CALLER: u64;
}

async fn acquire(room: Arc<Semaphore>, bytes: usize) -> OwnedSemaphorePermit {
    let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX);
    room.acquire_many_owned(units).await.expect("nobody closes it")
}

/// Room that is held until the last copy of this value is dropped.
#[derive(Debug, Clone)]
pub struct Room(Arc<Mutex<Held>>);

/// Room of the total, and what an answer that is being sent takes of its caller's share.
#[derive(Debug)]
struct Held {
    total: OwnedSemaphorePermit,
    unread: Option<OwnedSemaphorePermit>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(REQUESTS, ANSWERS)
    }
}

impl Memory {
    /// Room for this many bytes of large `requests`, on their way from a message to the database, and of large
    /// `answers`, from when they are read until they have been sent.
    #[must_use]
    pub fn new(requests: usize, answers: usize) -> Self {
        Self { requests: Budget::new(requests), answers: Budget::new(answers) }
    }

    /// Forgets callers that hold no room.
    pub(super) fn tidy(&self) {
        self.requests.shares.tidy();
        self.answers.shares.tidy();
    }

    /// Waits until there is room for an answer that takes about this many `bytes` to read and make, and before that
    /// until the caller has read enough of the answers that it got. A request that holds room must not ask for more.
    pub async fn room(&self, bytes: usize) -> Room {
        let unread = match CALLER.try_with(|key| *key) {
            Ok(key) => Some(self.answers.clone().take_share(key, bytes / MADE).await),
            Err(_) => None,
        };
        let total = self.answers.clone().take(bytes).await;
        Room(Arc::new(Mutex::new(Held { total, unread })))
    }
}

impl Room {
    /// Room as from [`Memory::room`], for the request that has these extensions; none outside of an edge.
    pub async fn of(request: &Extensions, bytes: usize) -> Option<Self> {
        let memory = request.get::<Memory>().cloned()?;
        Some(memory.room(bytes).await)
    }

    /// Keeps this many `bytes` of it until the answer with these extensions has been sent; as far as they fit, they
    /// fill the caller's share.
    pub fn keep(self, answer: &mut Extensions, bytes: usize) {
        self.shrink(bytes);
        if let Some(unread) = &mut self.held().unread {
            resize(unread, bytes.div_ceil(UNIT));
        }
        answer.insert(self);
    }

    /// Gives back all but this many `bytes`.
    pub fn shrink(&self, bytes: usize) {
        let total = &mut self.held().total;
        let spare = total.num_permits().saturating_sub(bytes.div_ceil(UNIT));
        drop(total.split(spare));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes it this many units, or as many as there are: what has been made is not waited for.
fn resize(held: &mut OwnedSemaphorePermit, units: usize) {
    drop(held.split(held.num_permits().saturating_sub(units)));
    let share = Arc::clone(held.semaphore());
    let more = units.saturating_sub(held.num_permits()).min(share.available_permits());
    if let Ok(more) = share.try_acquire_many_owned(u32::try_from(more).unwrap_or(u32::MAX)) {
        held.merge(more);
    }
}

/// The room that a request got for its message, if that is a large one.
pub(super) type Slot = Arc<Mutex<Option<Permits>>>;

type Waiting = Pin<Box<dyn Future<Output = Permits> + Send>>;

/// The body of a request, which continues once there is room for all of it.
pub(super) struct BudgetedBody {
    body: Body,
    requests: Budget,
    /// The hash of whoever sends it.
    key: u64,
    slot: Slot,
    length: Length,
    /// What has arrived and is waiting for room.
    waiting: Option<(Frame<Bytes>, Waiting)>,
}

/// The length of a request's message.
pub(super) enum Length {
    /// This many bytes.
    Exact(usize),
    /// In the prefix of the message, as in gRPC; these bytes of the prefix have arrived.
    Prefixed(Vec<u8>),
    /// It has been counted.
    Counted,
}

impl BudgetedBody {
    /// A body whose message has this `length`, from the caller with the hash `key`; and where its room is kept.
    pub(super) fn new(body: Body, memory: &Memory, length: Length, key: u64) -> (Self, Slot) {
        let (requests, slot) = (memory.requests.clone(), Slot::default());
        (Self { body, requests, key, slot: Arc::clone(&slot), length, waiting: None }, slot)
    }

    /// The length of the message, the first time that it is known.
    fn length(&mut self, arrived: &Bytes) -> Option<usize> {
        let length = match &mut self.length {
            Length::Exact(length) => *length,
            Length::Prefixed(prefix) => {
                prefix.extend(arrived.iter().take(PREFIX - prefix.len()));
                let length = prefix.get(1..PREFIX)?.try_into().ok()?;
                u32::from_be_bytes(length) as usize
            }
            Length::Counted => return None,
        };
        self.length = Length::Counted;
        Some(length)
    }

    /// Waits for room, if the message is large.
    fn weigh(&mut self, arrived: &Bytes) -> Option<Waiting> {
        let length = self.length(arrived).filter(|length| *length >= SMALL)?;
        Some(Box::pin(self.requests.clone().take_of(self.key, length.saturating_mul(COPIES))))
    }
}

impl http_body::Body for BudgetedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.waiting.is_none() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.data_ref().cloned().and_then(|arrived| this.weigh(&arrived)) {
                Some(waiting) => this.waiting = Some((frame, waiting)),
                None => return Poll::Ready(Some(Ok(frame))),
            }
        }
        if let Some((_, waiting)) = &mut this.waiting {
            let permit = ready!(waiting.as_mut().poll(context));
            *this.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
        }
        Poll::Ready(this.waiting.take().map(|(frame, _)| Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.waiting.is_none() { self.body.size_hint() } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests;
