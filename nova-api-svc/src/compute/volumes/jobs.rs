//! Volume jobs: what cinder-svc has to do for instances. The request that makes one necessary does it or, if it dies or
//! cinder-svc is unavailable, whichever replica finds the job.

use std::{convert::Infallible, time::Duration};

use chassis::{caller::Caller, deadline::Deadline, status::Failure as _};
use common::{clock, id::Id};

use crate::{
    compute::ComputeApi,
    error::Error,
    store::{VolumeAction, VolumeJob},
};

/// How long a job may take, at most a minute, in addition to a call to cinder-svc.
const WORKING: Duration = Duration::from_secs(30);

impl ComputeApi {
    /// Does volume jobs that nobody else is doing, for ever.
    pub async fn do_volume_jobs(&self) -> Infallible {
        self.store.volume_jobs().do_jobs(self.volume_lease(), |job| self.do_found_volume_job(job)).await
    }

    /// Does volume jobs that nobody else is doing and whose pause is over, oldest first; returns how many were tried.
    pub async fn do_due_volume_jobs(&self) -> Result<usize, Error> {
        let jobs = self.store.volume_jobs();
        Ok(jobs.do_due_jobs(self.volume_lease(), |job| self.do_found_volume_job(job)).await?)
    }

    async fn do_found_volume_job(&self, job: VolumeJob) {
        self.do_volume_job_later(&job, None).await;
    }

    /// How long a job that somebody has begun is left alone by others.
    pub(in crate::compute) fn volume_lease(&self) -> Duration {
        let call = self.cinder.as_ref().map_or(Duration::ZERO, peers::cinder::Cinder::timeout);
        WORKING + call + Duration::from_secs(5)
    }

    /// The job of holding the volumes of an instance as it says. Whoever writes it does it.
    pub(in crate::compute) fn attach_job(&self, instance_id: Id, caller: &Caller) -> VolumeJob {
        VolumeJob::new(instance_id, VolumeAction::Attach, caller, clock::now(), self.volume_lease())
    }

    /// Does a job that was claimed now, or leaves it for later.
    pub(in crate::compute) async fn do_volume_job_later(&self, job: &VolumeJob, deadline: Option<Deadline>) {
        let deadline = Deadline::earlier(deadline, WORKING);
        let jobs = self.store.volume_jobs();
        let done = match self.do_volume_job(job, deadline).await {
            Ok(true) => self.store.end_volume_job(job).await,
            // cinder-svc, or whatever runs the instance, is not that far yet.
            Ok(false) => return jobs.postpone(job.due(), Duration::ZERO).await,
            Err(error) => Err(error),
        };
        jobs.tried(job.due(), &done).await;
        let Err(error) = done else { return };
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
}
