//! How an instance is changed by many at once: within a process they take turns, so that each decides about what the one
//! before it left; another replica that was faster is noticed by the revision that a change names.

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

/// How long a change waits, jittered, when another replica was faster: so that each of several has its turn.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// How often a change is decided again.
const RETRIES: usize = 30;

/// What comes of looking at an instance that is to be changed.
#[derive(Debug)]
pub enum Decided<T> {
    /// It is to be changed, or was.
    Change(Box<Change>),
    /// It is not, for that reason.
    Nothing(T),
}

/// The queues of those who change instances, each in the order of arrival. There is one for each instance that a
/// request in flight is about, and none for others.
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
    /// Whoever leaves a queue last removes it.
    fn drop(&mut self) {
        let mut queues = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue = None;
        if queues.get(&self.id).is_some_and(|queue| queue.strong_count() == 0) {
            queues.remove(&self.id);
        }
    }
}

impl Store {
    /// Changes an instance as `decide` says, which reads it. Any number of changes queue up here, and each is decided
    /// about what the one before it made; meanwhile nobody may be asked who can be slow. Whoever may not change the
    /// instance within `scope`, or changes one that is gone, keeps nobody waiting and waits for nobody. A change that is
    /// given back has been written.
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
