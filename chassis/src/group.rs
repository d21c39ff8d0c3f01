//! Work that concurrent requests do together: whatever arrives while a batch is running is done in the next one.
//!
//! A batch begins after everything in it has arrived, so a read done for a batch is as fresh as a separate read, and
//! a batch of writes costs one commit.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{sync::oneshot, task::yield_now, time::timeout};
use tracing::{Instrument as _, Span};

use crate::{metrics::METRICS, telemetry};

/// The future answers of a batch, in the order of its items.
type Answers<R> = Pin<Box<dyn Future<Output = Vec<R>> + Send>>;

/// The work was begun but never ended: it panicked, and nobody knows what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work on the request panicked")]
pub struct Lost;

/// How work is grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// What the work is called in metrics and traces, such as `creates`.
    pub name: &'static str,
    /// Maximum number of items in a batch, at least 1.
    pub batch: usize,
    /// How long the next batch waits for the one before it, which may have hit a lock or a slow peer.
    pub patience: Duration,
}

/// How large a batch may be.
struct Size<T> {
    /// Approximate size of an item, in bytes.
    of: fn(&T) -> usize,
    /// Maximum size of a batch, in bytes; an item that is larger is a batch of its own.
    most: usize,
}

/// Does items of work in batches, one batch at a time.
pub struct Group<T, R>(Arc<Inner<T, R>>);

struct Inner<T, R> {
    limits: BatchLimits,
    size: Size<T>,
    work: Box<dyn Fn(Vec<T>) -> Answers<R> + Send + Sync>,
    queue: Mutex<Queue<T, R>>,
    waiting: Gauge,
}

/// An item, who is waiting for its answer, and the span of that request.
struct Waiting<T, R> {
    item: T,
    sender: oneshot::Sender<R>,
    span: Span,
}

/// The contents of a batch.
struct Batch<T, R> {
    items: Vec<T>,
    senders: Vec<oneshot::Sender<R>>,
    span: Span,
}

struct Queue<T, R> {
    waiting: VecDeque<Waiting<T, R>>,
    is_busy: bool,
}

impl<T, R> Clone for Group<T, R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, R> fmt::Debug for Group<T, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Group").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl<T: Send + 'static, R: Send + 'static> Group<T, R> {
    /// A group whose batches are done by `work`, which answers each item, in order.
    pub fn new<F>(limits: BatchLimits, work: impl Fn(Vec<T>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Vec<R>> + Send + 'static,
    {
        Self::sized(limits, usize::MAX, |_| 0, work)
    }

    /// Like [`Group::new`], but with at most this many `bytes` in a batch, where `size` gives the approximate size of
    /// an item; a larger item is a batch of its own.
    pub fn sized<F>(
        limits: BatchLimits,
        bytes: usize,
        size: fn(&T) -> usize,
        work: impl Fn(Vec<T>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Vec<R>> + Send + 'static,
    {
        let size = Size { of: size, most: bytes };
        let work = Box::new(move |items| Box::pin(work(items)) as Answers<R>);
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), is_busy: false });
        Self(Arc::new(Inner { limits, size, work, queue, waiting: METRICS.queue(limits.name) }))
    }

    /// Does `item` together with others. Once its batch has begun it is done even if the caller stops waiting; before
    /// that, it is not done at all.
    pub async fn submit(&self, item: T) -> Result<R, Lost> {
        let (sender, receiver) = oneshot::channel();
        if self.0.enqueue(item, sender) {
            tokio::spawn(Arc::clone(&self.0).run());
        }
        receiver.await.map_err(|_| Lost)
    }
}

impl<T: Send + 'static, R: Send + 'static> Inner<T, R> {
    /// Adds an item; returns whether nobody is working.
    fn enqueue(&self, item: T, sender: oneshot::Sender<R>) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.waiting.push_back(Waiting { item, sender, span: Span::current() });
        self.waiting.inc();
        !std::mem::replace(&mut queue.is_busy, true)
    }

    /// Does batch after batch until nothing waits.
    async fn run(self: Arc<Self>) {
        loop {
            // Requests that are ready to run may join.
            yield_now().await;
            let Some(Batch { items, senders, span }) = self.next() else { return };
            let group = Arc::clone(&self);
            let answering = async move {
                let answers = (group.work)(items).await;
                for (answer, sender) in answers.into_iter().zip(senders) {
                    // A caller that has gone needs no answer.
                    let _ = sender.send(answer);
                }
            };
            let batch = tokio::spawn(answering.instrument(span));
            // One that is late goes on by itself; one that panicked has dropped its senders.
            if let Ok(Err(error)) = timeout(self.limits.patience, batch).await {
                let name = self.limits.name;
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    name,
                    "a batch of requests was lost"
                );
            }
        }
    }

    /// The next batch; if nothing is waiting, `None`, and nobody is working any more.
    fn next(&self) -> Option<Batch<T, R>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut items, mut senders, mut spans) = (Vec::new(), Vec::new(), Vec::new());
        let mut left = self.size.most;
        while items.len() < self.limits.batch
            && let Some(next) = queue.waiting.front()
        {
            let size = (self.size.of)(&next.item);
            if size > left && !items.is_empty() {
                break;
            }
            let Some(Waiting { item, sender, span }) = queue.waiting.pop_front() else { break };
            self.waiting.dec();
            if !sender.is_closed() {
                left = left.saturating_sub(size);
                items.push(item);
                senders.push(sender);
                spans.push(span);
            }
        }
        queue.is_busy = !items.is_empty();
        let span = telemetry::shared_span(self.limits.name, &spans);
        queue.is_busy.then_some(Batch { items, senders, span })
    }
}

#[cfg(test)]
mod tests;
