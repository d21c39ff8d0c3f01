//! Work that runs alongside the requests for as long as a service runs. It survives a panic.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::metrics::METRICS;

/// How long work that panicked rests: this long at first, then twice as long each time, up to a maximum.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Runs `work` until it ends; if it panics, restarts it from the beginning after a pause of 1 s, which grows to 1 min
/// as long as it keeps panicking within a minute. It is called `name` in metrics and logs.
pub async fn keep<T, F: Future<Output = T>>(name: &'static str, work: impl Fn() -> F) -> T {
    keep_with(name, work, sleep).await
}

async fn keep_with<T, W, R>(name: &'static str, work: impl Fn() -> W, rest: impl Fn(Duration) -> R) -> T
where
    W: Future<Output = T>,
    R: Future<Output = ()>,
{
    let mut pause = None;
    loop {
        let begun = Instant::now();
        if let Some(done) = unless_it_panics(Box::pin(async { work().await })).await {
            return done;
        }
        METRICS.begun_again(name);
        let next = pause_after(begun.elapsed(), pause);
        tracing::error!(name, "work in the background panicked; it begins again in {next:?}");
        rest(next).await;
        pause = Some(next);
    }
}

/// How long to rest after work that panicked having lasted `lasting`, if the previous rest was `before`.
fn pause_after(lasting: Duration, before: Option<Duration>) -> Duration {
    let grown = before.filter(|_| lasting < LONGEST_PAUSE).map(|before| before * 2);
    grown.unwrap_or(FIRST_PAUSE).min(LONGEST_PAUSE)
}

/// The result of `work`; `None` if it panics. Work that has panicked is dropped, and not polled again.
async fn unless_it_panics<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        sync::{
            Mutex,
            atomic::{AtomicU64, Ordering},
        },
    };

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn work_that_panics_begins_again_after_pauses_that_grow() {
        let (tries, pauses) = (AtomicU64::new(0), Mutex::new(Vec::new()));
        let before = METRICS.times_begun_again("tests");
        let work = || async {
            yield_now().await;
            assert!(tries.fetch_add(1, Ordering::Relaxed) >= 8, "too early");
            "done"
        };
        let rest = |pause: Duration| {
            pauses.lock().unwrap().push(pause.as_secs());
            ready(())
        };
        assert_eq!(keep_with("tests", work, rest).await, "done");
        assert_eq!(*pauses.lock().unwrap(), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(METRICS.times_begun_again("tests") >= before + 8);
    }

    #[tokio::test]
    async fn work_that_panics_before_there_is_a_future_begins_again() {
        let tries = AtomicU64::new(0);
        let work = || {
            assert!(tries.fetch_add(1, Ordering::Relaxed) > 0, "too early");
            ready("done")
        };
        assert_eq!(keep_with("others", work, |_| ready(())).await, "done");
    }

    #[test]
    fn work_that_went_on_for_long_begins_again_soon() {
        let (short, long) = (Duration::from_secs(59), Duration::from_mins(1));
        assert_eq!(pause_after(short, Some(Duration::from_secs(16))), Duration::from_secs(32));
        assert_eq!(pause_after(long, Some(Duration::from_secs(16))), FIRST_PAUSE);
    }
}
