use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;

const LIMITS: BatchLimits = BatchLimits { name: "tests", batch: 10, patience: Duration::from_hours(1) };

type Gated = (Group<u32, (u32, usize)>, Arc<Semaphore>, Arc<AtomicUsize>);

/// A group whose batches wait for a permit each, and answer each item with the size of its batch.
fn gated(limits: BatchLimits) -> Gated {
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (enter, count) = (Arc::clone(&gate), Arc::clone(&begun));
    let group = Group::new(limits, move |items: Vec<u32>| {
        let (enter, count) = (Arc::clone(&enter), Arc::clone(&count));
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            enter.acquire().await.unwrap().forget();
            items.iter().map(|item| (*item, items.len())).collect()
        }
    });
    (group, gate, begun)
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

#[tokio::test]
async fn what_arrives_while_a_batch_is_under_way_is_done_in_the_next() {
    let (group, gate, begun) = gated(LIMITS);
    let submit = |item| {
        let group = group.clone();
        tokio::spawn(async move { group.submit(item).await })
    };
    let first = submit(0);
    until(|| begun.load(Ordering::SeqCst) == 1).await;
    let others: Vec<_> = (1..=12).map(submit).collect();
    gate.add_permits(3);
    assert_eq!(first.await.unwrap(), Ok((0, 1)));
    for (other, expected) in others.into_iter().zip(1..) {
        let size = if expected <= 10 { 10 } else { 2 };
        assert_eq!(other.await.unwrap(), Ok((expected, size)));
    }
}

#[tokio::test]
async fn a_batch_has_no_more_bytes_than_it_may_unless_it_is_one_item() {
    let batches = Arc::new(Mutex::new(Vec::new()));
    let begun = Arc::clone(&batches);
    let gate = Arc::new(Semaphore::new(0));
    let enter = Arc::clone(&gate);
    let size = |item: &u32| usize::try_from(*item).unwrap();
    let group = Group::sized(LIMITS, 10, size, move |items: Vec<u32>| {
        begun.lock().unwrap().push(items.clone());
        let enter = Arc::clone(&enter);
        async move {
            enter.acquire().await.unwrap().forget();
            items
        }
    });
    let submit = |item| {
        let group = group.clone();
        tokio::spawn(async move { group.submit(item).await })
    };
    let first = submit(1);
    until(|| batches.lock().unwrap().len() == 1).await;
    let others: Vec<_> = [4, 6, 1, 30, 2].into_iter().map(submit).collect();
    gate.add_permits(10);
    first.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(*batches.lock().unwrap(), [vec![1], vec![4, 6], vec![1], vec![30], vec![2]]);
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_begun() {
    let (group, gate, begun) = gated(LIMITS);
    let first = tokio::spawn({
        let group = group.clone();
        async move { group.submit(0).await }
    });
    until(|| begun.load(Ordering::SeqCst) == 1).await;
    let mut leaving = Box::pin(group.submit(1));
    tokio::select! {
        biased;
        _ = &mut leaving => panic!("the batch before it is under way"),
        () = yield_now() => {}
    }
    drop(leaving);
    gate.add_permits(2);
    first.await.unwrap().unwrap();
    assert_eq!(group.submit(2).await, Ok((2, 1)));
    assert_eq!(begun.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_slow_batch_does_not_hold_up_the_next_for_long() {
    let (group, gate, begun) = gated(BatchLimits { patience: Duration::from_millis(1), ..LIMITS });
    let tasks: Vec<_> = (0..3)
        .map(|item| {
            let group = group.clone();
            tokio::spawn(async move { group.submit(item).await })
        })
        .collect();
    until(|| begun.load(Ordering::SeqCst) >= 1).await;
    let late = tokio::spawn(async move { group.submit(9).await });
    until(|| begun.load(Ordering::SeqCst) >= 2).await;
    gate.add_permits(10);
    assert_eq!(late.await.unwrap(), Ok((9, 1)));
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_batch_that_panics_before_its_first_await_is_lost_and_the_next_is_done() {
    let group = Group::new(LIMITS, |items: Vec<u32>| {
        assert_ne!(items, [13], "unlucky");
        std::future::ready(items)
    });
    assert_eq!(group.submit(13).await, Err(Lost));
    assert_eq!(group.submit(14).await, Ok(14));
}

#[tokio::test]
async fn a_batch_that_panics_is_lost_and_the_next_is_done() {
    let group = Group::new(LIMITS, |items: Vec<u32>| async move {
        assert_ne!(items, [13], "unlucky");
        items
    });
    assert_eq!(group.submit(13).await, Err(Lost));
    assert_eq!(group.submit(14).await, Ok(14));
}
