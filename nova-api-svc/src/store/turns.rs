//! Many changes of one instance at once: within a process they take turns, so that each is decided on top of the one
//! before; if another replica was faster, the revision that a change names shows that.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use common::id::Id;
use tokio::{
    sync::{Mutex as Queue, OwnedMutexGuard},
    time::sleep,
};

use super::{Change, Store};
use crate::{error::Error, instance::Scope};

/// How long a change waits, jittered, if another replica was faster, so that each of several gets its turn.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// How often a change is decided again.
const RETRIES: usize = 30;

/// What was decided about an instance that is to be changed.
#[derive(Debug)]
pub enum Decided<T> {
    /// It is to be changed, or has been.
    Change(Box<Change>),
    /// It is not changed, for that reason.
    Nothing(T),
}

/// The queues of changes, one for each instance that requests in flight are about, each in the order of arrival.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<Id, Weak<Queue<()>>>>>);

/// A place in the queue of an instance.
struct Place {
    turns: Turns,
    id: Id,
    queue: Option<Arc<Queue<()>>>,
}

/// The right to change an instance, as far as this process is concerned.
struct Turn {
    _guard: OwnedMutexGuard<()>,
    _place: Place,
}

impl Turns {
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

impl Store {
    /// Changes an instance as decided by `decide`, which reads it. Any number of changes queue up here, and each is decided
    /// on top of the one before; `decide` must not wait for anything slow, such as glance-svc. Callers who may not change
    /// the instance within `scope`, or change one that does not exist, neither wait nor make others wait. A change that is
    /// returned has been written.
    pub async fn change<T, F>(
        &self,
        id: Id,
        scope: &Scope,
        decide: impl Fn() -> F,
    ) -> Result<Decided<T>, Error>
    where
        F: Future<Output = Result<Decided<T>, Error>>,
    {
        let (least, most) = PAUSES;
        let pauses = ExponentialBuilder::default().with_min_delay(least).with_max_delay(most);
        let mut pauses = pauses.with_max_times(RETRIES).with_jitter().build();
        loop {
            let may_change = self.may_change(id, scope).await?;
            let turn = if may_change { Some(self.turns.take(id).await) } else { None };
            match decide().await? {
                Decided::Change(change) if !self.apply(&change).await? => {}
                decided => return Ok(decided),
            }
            drop(turn);
            let pause = pauses.next().ok_or(Error::Contended(id))?;
            sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
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
}
