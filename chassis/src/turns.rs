//! Many changes of one resource at once: within a process they take turns, so that each is decided on top of the one
//! before; if another replica was faster, the revision that a change names shows that.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use common::{content::fingerprint, id::Id};
use serde::Serialize;
use tokio::{
    sync::{Mutex as Queue, OwnedMutexGuard},
    time::sleep,
};

/// How long a change waits, jittered, if another replica was faster, so that each of several gets its turn.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// How often a change is decided again.
const RETRIES: usize = 30;

/// What was decided about a resource that is to be changed.
#[derive(Debug)]
pub enum Decided<C, T> {
    /// It is to be changed, or has been.
    Change(Box<C>),
    /// It is not changed, for that reason.
    Nothing(T),
}

/// What identifies a retry of a request to change something; it stands in the history of the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: String,
    /// Tells it from a different request with the same id.
    pub fingerprint: String,
}

impl Request {
    /// A request with this content; `None` without an id.
    #[must_use]
    pub fn new(id: &str, content: &impl Serialize) -> Option<Self> {
        (!id.is_empty()).then(|| Self { id: id.to_owned(), fingerprint: fingerprint(content) })
    }
}

/// The queues of changes, one for each resource that requests in flight are about, each in the order of arrival.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<HashMap<Id, Weak<Queue<()>>>>>);

/// A place in the queue of a resource.
struct Place {
    turns: Turns,
    id: Id,
    queue: Option<Arc<Queue<()>>>,
}

/// The right to change a resource, as far as this process is concerned.
struct Turn {
    _guard: OwnedMutexGuard<()>,
    _place: Place,
}

impl Turns {
    /// Runs `attempt` to decide on a change and write it, when it is its turn, until it gives a result: `None` means that
    /// another replica has changed the resource in the meantime. If that keeps happening, so does `None`. Callers who may
    /// not change the resource neither wait nor make others wait; `attempt` refuses them. It must not wait for anything
    /// slow, such as glance-svc.
    pub async fn change<T, E, M, F>(
        &self,
        id: Id,
        may_change: impl Fn() -> M,
        attempt: impl Fn() -> F,
    ) -> Result<Option<T>, E>
    where
        M: Future<Output = Result<bool, E>>,
        F: Future<Output = Result<Option<T>, E>>,
    {
        let (least, most) = PAUSES;
        let pauses = ExponentialBuilder::default().with_min_delay(least).with_max_delay(most);
        let mut pauses = pauses.with_max_times(RETRIES).with_jitter().build();
        loop {
            let turn = if may_change().await? { Some(self.take(id).await) } else { None };
            if let Some(done) = attempt().await? {
                return Ok(Some(done));
            }
            drop(turn);
            let Some(pause) = pauses.next() else { return Ok(None) };
            sleep(pause).await;
        }
    }

    async fn take(&self, id: Id) -> Turn {
        let (place, queue) = self.enter(id);
        Turn { _guard: queue.lock_owned().await, _place: place }
    }

    fn enter(&self, id: Id) -> (Place, Arc<Queue<()>>) {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.get(&id).and_then(Weak::upgrade).unwrap_or_default();
        queues.insert(id, Arc::downgrade(&queue));
        (Place { turns: self.clone(), id, queue: Some(Arc::clone(&queue)) }, queue)
    }
}

impl Drop for Place {
    /// The last one to leave a queue removes it.
    fn drop(&mut self) {
        let mut queues = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue = None;
        if queues.get(&self.id).is_some_and(|queue| queue.strong_count() == 0) {
            queues.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::ready,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn turns_come_in_the_order_of_arrival_and_leave_nothing() {
        let (turns, id) = (Turns::default(), Id::random());
        let order = Arc::new(Mutex::new(Vec::new()));
        let first = turns.take(id).await;
        drop(turns.take(Id::random()).await);
        let mut waiting = Vec::new();
        for number in 0..8 {
            let (turns, order) = (turns.clone(), Arc::clone(&order));
            waiting.push(tokio::spawn(async move {
                let _turn = turns.take(id).await;
                order.lock().unwrap().push(number);
            }));
            yield_now().await;
        }
        waiting.remove(3).abort();
        drop(first);
        for waiting in waiting {
            waiting.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 4, 5, 6, 7]);
        assert!(turns.0.lock().unwrap().is_empty());
    }

    /// Attempts until the number `success`, with or without the right to change anything; returns how many were made.
    async fn attempts(turns: &Turns, id: Id, may_change: bool, success: usize) -> (Option<()>, usize) {
        let made = AtomicUsize::new(0);
        let attempt = || ready(Ok((made.fetch_add(1, Relaxed) + 1 == success).then_some(())));
        let done = turns.change(id, || ready(Ok::<_, Infallible>(may_change)), attempt).await;
        (done.unwrap(), made.load(Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_attempted_until_it_succeeds_or_has_failed_too_often() {
        let (turns, id) = (Turns::default(), Id::random());
        assert_eq!(attempts(&turns, id, true, 3).await, (Some(()), 3));
        assert_eq!(attempts(&turns, id, true, usize::MAX).await, (None, RETRIES + 1));
        assert!(turns.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_may_not_change_it_does_not_wait() {
        let (turns, id) = (Turns::default(), Id::random());
        let _changing = turns.take(id).await;
        assert_eq!(attempts(&turns, id, false, 1).await, (Some(()), 1));
    }
}
