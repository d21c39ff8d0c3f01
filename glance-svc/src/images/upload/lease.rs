//! The lease of an upload: as long as it is renewed, no other process gives the upload up.

use std::time::Duration;

use chrono::TimeDelta;
use common::id::Id;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::super::Images;
use crate::error::Error;

/// The timing of leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leases {
    /// How long after its last renewal a lease expires, so that other processes may give the upload up.
    pub length: TimeDelta,
    /// How often an upload renews its lease.
    pub renewal: Duration,
}

impl Default for Leases {
    fn default() -> Self {
        Self { length: TimeDelta::seconds(15), renewal: Duration::from_secs(3) }
    }
}

/// The lease of an upload, renewed as long as this value lives, whatever the upload is waiting for.
pub(super) struct Lease(JoinSet<()>);

impl Lease {
    /// Starts renewing the lease of an upload.
    pub(super) fn keep(images: &Images, id: Id, data: Id) -> Self {
        let images = images.clone();
        let mut renewing = JoinSet::new();
        renewing.spawn(async move { images.renew_until_lost(id, data).await });
        Self(renewing)
    }

    /// Waits until the lease is lost, possibly forever.
    pub(super) async fn lost(&mut self) {
        self.0.join_next().await;
    }
}

impl Images {
    /// Keeps going while the database is unavailable: it may be back before the upload ends.
    async fn renew_until_lost(&self, id: Id, data: Id) {
        let mut renewal = tokio::time::interval(self.leases.renewal);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is immediate, and the lease is new.
        renewal.tick().await;
        loop {
            renewal.tick().await;
            match self.renewed(data).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, image = %id, "a lease could not be renewed");
                }
            }
        }
    }

    /// Renews the lease of an upload; `false` if it is lost.
    pub(super) async fn renewed(&self, data: Id) -> Result<bool, Error> {
        let lease = self.store.end_of_lease(self.leases.length).await?;
        self.store.renew_lease(data, lease).await
    }
}
