//! Whoever sends a request or reads an answer must keep going: what stalls does not hold up others for long.

use std::{
    mem,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use slab::Slab;
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_stream::StreamExt as _;
use tonic::Status;

/// A body that is aborted when nothing of it has arrived for a while.
pub(super) struct Paced {
    body: Body,
    stall: Duration,
    /// Since when more of it has been awaited, if it is.
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// How many bytes are still read and discarded once nobody reads them.
    linger: usize,
}

impl Paced {
    /// A body of which nothing more is read once it has been dropped.
    pub(super) const fn new(body: Body, stall: Duration) -> Self {
        Self::lingering(body, stall, 0)
    }

    /// Like [`Paced::new`], but this many bytes are still read: over HTTP/1.1, the sender would otherwise find the
    /// connection broken, and not read the answer.
    pub(super) const fn lingering(body: Body, stall: Duration, linger: usize) -> Self {
        Self { body, stall, since: None, timer: None, linger }
    }

    /// Ready once more of it has been awaited for too long.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = *self.since.get_or_insert_with(Instant::now) + self.stall;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        loop {
            ready!(timer.as_mut().poll(context));
            // It was set for what has arrived since then.
            if timer.deadline() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        if self.linger == 0 || self.body.is_end_stream() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let (body, linger) = (mem::take(&mut self.body), self.linger);
            runtime.spawn(timeout(self.stall, take(body, linger)));
        }
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.since = None;
            return Poll::Ready(frame);
        }
        ready!(self.poll_stalled(context));
        let stalled = Status::deadline_exceeded(stalled(self.stall));
        Poll::Ready(Some(Err(axum::Error::new(stalled))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads and discards at most this many bytes of a body.
async fn take(body: Body, most: usize) {
    let mut data = body.into_data_stream();
    let mut left = most;
    while let Some(Ok(bytes)) = data.next().await {
        left = left.saturating_sub(bytes.len());
        if left == 0 {
            return;
        }
    }
}

/// What a sender that sends nothing is told.
pub(super) fn stalled(stall: Duration) -> String {
    format!("nothing of the request's body arrived for {} ms", stall.as_millis())
}

/// The answers of a connection that its client has to read.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<Slab<Taking>>);

/// An answer that is being read.
#[derive(Debug)]
struct Taking {
    /// Since when there has been more of it that the client has not read.
    since: Option<Instant>,
    /// How long it may leave that unread.
    stall: Duration,
}

impl Answers {
    fn lock(&self) -> MutexGuard<'_, Slab<Taking>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an answer that the client has to read once it is there.
    pub(super) fn expect(&self, stall: Duration) -> usize {
        self.lock().insert(Taking { since: None, stall })
    }

    /// Records that the client has asked for more of an answer, and whether there is more.
    pub(super) fn note(&self, answer: usize, is_there: bool) {
        if let Some(taking) = self.lock().get_mut(answer) {
            taking.since = is_there.then(Instant::now);
        }
    }

    /// Records that there is nothing more to read.
    pub(super) fn end(&self, answer: usize) {
        self.lock().try_remove(answer);
    }

    /// Whether there is an answer of which nothing has been read for too long.
    pub(crate) fn stand_still(&self) -> bool {
        let now = Instant::now();
        self.lock().iter().any(|(_, taking)| taking.since.is_some_and(|since| since + taking.stall <= now))
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream as stream;

    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_as_long_as_it_likes_while_something_arrives() {
        let slow = stream::iter(0..10).then(|_| async {
            tokio::time::sleep(STALL * 9 / 10).await;
            Ok::<_, axum::Error>(Bytes::from_static(b"x"))
        });
        let body = Body::new(Paced::new(Body::from_stream(slow), STALL));
        assert_eq!(axum::body::to_bytes(body, 100).await.unwrap().len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_breaks_off() {
        let begun = stream::iter([Ok::<_, axum::Error>(Bytes::from_static(b"x"))]);
        let body = Body::new(Paced::new(Body::from_stream(begun.chain(stream::pending())), STALL));
        let started = Instant::now();
        axum::body::to_bytes(body, 100).await.unwrap_err();
        assert_eq!(started.elapsed().as_secs(), STALL.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_stands_still_while_its_client_takes_nothing() {
        let answers = Answers::default();
        let (slow, ours) = (answers.expect(STALL), answers.expect(STALL));
        answers.note(slow, true);
        answers.note(ours, true);
        tokio::time::advance(STALL / 2).await;
        answers.note(slow, true);
        answers.note(ours, false);
        tokio::time::advance(STALL / 2).await;
        assert!(!answers.stand_still(), "one is being read, and the other one is still being made");
        tokio::time::advance(STALL / 2).await;
        assert!(answers.stand_still());
        answers.end(slow);
        assert!(!answers.stand_still());
    }
}
