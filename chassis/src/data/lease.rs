//! The lease of data that is being written: as long as it is renewed, no other process gives the write up.

use std::{error::Error, time::Duration};

use chrono::TimeDelta;
use common::id::Id;
use tokio::{task::JoinSet, time::MissedTickBehavior};

/// The timing of leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leases {
    /// How long after its last renewal a lease expires, so that other processes may give the work up.
    pub length: TimeDelta,
    /// How often a lease is renewed.
    pub renewal: Duration,
}

impl Default for Leases {
    fn default() -> Self {
        Self { length: TimeDelta::seconds(15), renewal: Duration::from_secs(3) }
    }
}

/// A lease, renewed as long as this value lives, whatever the work is waiting for.
#[derive(Debug)]
pub struct Lease(JoinSet<()>);

impl Lease {
    /// Starts renewing the lease of what `id` identifies: `renew` does it once, and answers `false` if the lease is lost.
    pub fn keep<F, E>(id: Id, leases: Leases, renew: impl Fn() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<bool, E>> + Send + 'static,
        E: Error + Send + 'static,
    {
        let mut renewing = JoinSet::new();
        renewing.spawn(renew_until_lost(id, leases.renewal, renew));
        Self(renewing)
    }

    /// Waits until the lease is lost, possibly forever.
    pub async fn lost(&mut self) {
        self.0.join_next().await;
    }
}

/// Keeps going while the database is unavailable: it may be back before the work ends.
async fn renew_until_lost<F, E>(id: Id, period: Duration, renew: impl Fn() -> F)
where
    F: Future<Output = Result<bool, E>>,
    E: Error + 'static,
{
    let mut renewal = tokio::time::interval(period);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is immediate, and the lease is new.
    renewal.tick().await;
    loop {
        renewal.tick().await;
        match renew().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, id = %id, "a lease could not be renewed");
            }
        }
    }
}
