//! Volume jobs: what cinder-svc has to do for instances. The request that makes one necessary does it or, if it dies or
//! cinder-svc is unavailable, whichever replica finds the job.

use std::{convert::Infallible, time::Duration};

use chassis::{deadline::Deadline, status::Failure as _};
use common::id::Id;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::sleep;

use crate::{
    compute::{
        ComputeApi,
        operations::{AT_A_TIME, AT_ONCE, INTERVAL, LONGEST_PAUSE, VOLUME_JOBS, pause},
    },
    error::Error,
    store::{DueVolumeJob, VolumeAction, VolumeJob},
};

/// How long a job may take, at most a minute, in addition to a call to cinder-svc.
const WORKING: Duration = Duration::from_secs(30);

impl ComputeApi {
    /// Does volume jobs that nobody else is doing, for ever.
    pub async fn do_volume_jobs(&self) -> Infallible {
        loop {
            match self.do_due_volume_jobs().await {
                // There may be more of them.
                Ok(done) if i64::try_from(done).is_ok_and(|done| done >= AT_ONCE) => {}
                Ok(_) => sleep(INTERVAL).await,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "volume jobs are left for later"
                    );
                    sleep(INTERVAL).await;
                }
            }
        }
    }

    /// Does volume jobs that nobody else is doing and whose pause is over, oldest first; returns how many were tried.
    pub async fn do_due_volume_jobs(&self) -> Result<usize, Error> {
        let longest = 2 * self.volume_lease().max(LONGEST_PAUSE * 2);
        VOLUME_JOBS.set_backlog(self.store.volume_backlog().await?);
        let due = self.store.due_volume_jobs(longest, AT_ONCE).await?;
        let tried = stream::iter(due).map(|due| self.do_due_volume_job(due)).buffer_unordered(AT_A_TIME);
        Ok(tried.filter(|tried| std::future::ready(*tried)).count().await)
    }

    /// Does a job unless somebody else has just begun it; returns whether it was tried.
    async fn do_due_volume_job(&self, due: DueVolumeJob) -> bool {
        match self.store.claim_volume_job(due, self.volume_lease()).await {
            Ok(Some(job)) => self.do_volume_job_later(&job, None).await,
            Ok(None) => return false,
            Err(error) => {
                let pause = error.retry_after().unwrap_or_default();
                self.postpone_volume_job(DueVolumeJob { attempts: due.attempts + 1, ..due }, pause).await;
                return false;
            }
        }
        true
    }

    /// How long a job that somebody has begun is left alone by others.
    pub(in crate::compute) fn volume_lease(&self) -> Duration {
        let call = self.cinder.as_ref().map_or(Duration::ZERO, peers::cinder::Cinder::timeout);
        WORKING + call + Duration::from_secs(5)
    }

    /// Does a job that was claimed now, or leaves it for later.
    pub(in crate::compute) async fn do_volume_job_later(&self, job: &VolumeJob, deadline: Option<Deadline>) {
        let deadline = Deadline::earlier(deadline, WORKING);
        let due = DueVolumeJob { id: job.id, attempts: job.attempts };
        let done = match self.do_volume_job(job, deadline).await {
            Ok(true) => self.store.end_volume_job(job).await,
            // cinder-svc, or whatever runs the instance, is not that far yet.
            Ok(false) => return self.postpone_volume_job(due, Duration::ZERO).await,
            Err(error) => Err(error),
        };
        VOLUME_JOBS.count(&done);
        let Err(error) = done else { return };
        self.postpone_volume_job(due, error.retry_after().unwrap_or_default()).await;
        let (instance_id, attempts) = (job.instance_id.to_string(), job.attempts);
        let (reason, error) = (error.describe().reason, &error as &dyn std::error::Error);
        tracing::warn!(instance_id, attempts, reason, error, "a volume job is left for later");
    }

    /// Does a job; returns whether it is done.
    async fn do_volume_job(&self, job: &VolumeJob, deadline: Option<Deadline>) -> Result<bool, Error> {
        match &job.action {
            VolumeAction::Attach => Box::pin(self.attach_volumes(job, deadline)).await,
            VolumeAction::Remove(removals) => Box::pin(self.remove_volumes(job, removals, deadline)).await,
        }
    }

    /// Postpones a job that is not done yet, by `at_least` that long.
    async fn postpone_volume_job(&self, due: DueVolumeJob, at_least: Duration) {
        let random = Id::random().as_uuid().as_u128() & u128::from(u16::MAX);
        let random = u16::try_from(random).unwrap_or_default();
        let pause = pause(due.attempts, random).max(at_least);
        if let Err(error) = self.store.postpone_volume_job(due, pause).await {
            // Then it waits until its lease expires.
            tracing::warn!(error = &error as &dyn std::error::Error, "a volume job was not postponed");
        }
    }
}
