//! The lease of an upload: as long as it is renewed, no other process takes the upload for dead.

use std::time::Duration;

use chrono::TimeDelta;
use common::id::Id;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::super::Images;
use crate::error::Error;

/// How uploads hold their leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leases {
    /// How long an upload is another process's to give up after its own has gone silent.
    pub length: TimeDelta,
    /// How often an upload renews its lease.
    pub renewal: Duration,
}

impl Default for Leases {
    fn default() -> Self {
        Self { length: TimeDelta::seconds(15), renewal: Duration::from_secs(3) }
    }
}

/// The lease of an upload, renewed as long as this value lives, whatever the upload waits for.
pub(super) struct Lease(JoinSet<()>);

impl Lease {
    /// Begins to renew the lease of an upload.
    pub(super) fn keep(images: &Images, id: Id, data: Id) -> Self {
        let images = images.clone();
        let mut renewing = JoinSet::new();
        renewing.spawn(async move { images.renew_until_lost(id, data).await });
        Self(renewing)
    }

    /// Waits until it is lost, which it may never be.
    pub(super) async fn lost(&mut self) {
        self.0.join_next().await;
    }
}

impl Images {
    /// An upload goes on while the database is away: it may be back in time for the end.
    async fn renew_until_lost(&self, id: Id, data: Id) {
        let mut renewal = tokio::time::interval(self.leases.renewal);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // It has only just begun.
        renewal.tick().await;
        loop {
            renewal.tick().await;
            match self.renewed(data).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, image = %id, "a lease is not renewed");
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
