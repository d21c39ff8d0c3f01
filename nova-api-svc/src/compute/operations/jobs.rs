//! Jobs: what glance-svc has to do after a change was written. The request that made the change does them, or a retry of
//! it, or, if both die or glance-svc is unavailable, whichever replica finds the job.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use chassis::{deadline::Deadline, status::Failure as _};
use common::{clock, id::Id, image::NewImage};
use futures_util::stream::{self, StreamExt as _};
use peers::glance::{self, Deleted};
use tokio::time::sleep;

use super::metrics::JOBS;
use crate::{
    compute::ComputeApi,
    error::Error,
    instance::{Compute, INSTANCES, Instance, Scope, Step, snapshot::completed, transitions::shelved_image},
    store::{Change, Decided, DueJob, Entry, ImageAction, Job, Registration},
};

/// How often a replica looks for jobs that nobody is doing.
pub(in crate::compute) const INTERVAL: Duration = Duration::from_secs(5);

/// How many of them it reads at once, and how many it does at a time.
pub(in crate::compute) const AT_ONCE: i64 = 100;
pub(in crate::compute) const AT_A_TIME: usize = 8;

/// The pause after the first attempt of a job, which doubles with each further one, and the longest pause.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
pub(in crate::compute) const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How long the database may take for a job, in addition to glance-svc.
const WRITING: Duration = Duration::from_secs(5);

impl ComputeApi {
    /// Does jobs that nobody else is doing, for ever.
    pub async fn do_jobs(&self) -> Infallible {
        loop {
            match self.do_due_jobs().await {
                // There may be more of them.
                Ok(done) if i64::try_from(done).is_ok_and(|done| done >= AT_ONCE) => {}
                Ok(_) => sleep(INTERVAL).await,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "image jobs are left for later");
                    sleep(INTERVAL).await;
                }
            }
        }
    }

    /// Does jobs that nobody else is doing and whose pause is over, oldest first; returns how many were tried.
    pub async fn do_due_jobs(&self) -> Result<usize, Error> {
        // Twice the longest lease or pause that any replica writes.
        let longest = 2 * self.lease().max(LONGEST_PAUSE * 2);
        JOBS.set_backlog(self.store.backlog().await?);
        let due = self.store.due_jobs(longest, AT_ONCE).await?;
        let tried = stream::iter(due).map(|due| self.do_due_job(due)).buffer_unordered(AT_A_TIME);
        Ok(tried.filter(|tried| std::future::ready(*tried)).count().await)
    }

    /// Does a job unless somebody else has just begun it; returns whether it was tried.
    async fn do_due_job(&self, due: DueJob) -> bool {
        match self.store.claim_job(due, self.lease()).await {
            Ok(Some(job)) => self.do_job_later(&job, None).await,
            Ok(None) => return false,
            Err(error) => {
                self.postpone(DueJob { attempts: due.attempts + 1, ..due }, &error).await;
                return false;
            }
        }
        true
    }

    /// How long a job that somebody has begun is left alone by others.
    pub(super) fn lease(&self) -> Duration {
        self.glance.timeout() + WRITING
    }

    /// Does a job now, or leaves it for later.
    pub(super) async fn do_job_later(&self, job: &Job, deadline: Option<Deadline>) {
        if let Err(error) = self.do_job(job, deadline).await {
            let (image_id, instance_id) = (job.image_id.to_string(), job.instance_id.to_string());
            let (attempts, reason) = (job.attempts, error.describe().reason);
            let error = &error as &dyn std::error::Error;
            tracing::warn!(image_id, instance_id, attempts, reason, error, "an image job is left for later");
        }
    }

    /// Does a job that was claimed, and completes the task that waits for it. A job that fails for now is postponed.
    pub(super) async fn do_job(&self, job: &Job, deadline: Option<Deadline>) -> Result<Registration, Error> {
        let end = Instant::now() + Deadline::share(deadline, self.glance.timeout());
        let done = match &job.action {
            ImageAction::Create(image) => Box::pin(self.register(job, image, end)).await,
            ImageAction::Delete { if_unfinished, unregistered } => {
                let deleted = self.delete_image(job, *if_unfinished, unregistered.as_deref(), end);
                Box::pin(deleted).await.map(|()| Registration::default())
            }
        };
        JOBS.count(&done);
        match &done {
            Ok(_) | Err(Error::GlanceRefused { .. }) => {}
            Err(error) => {
                self.postpone(DueJob { image_id: job.image_id, attempts: job.attempts }, error).await;
            }
        }
        done
    }

    /// Postpones a job that failed for now.
    async fn postpone(&self, due: DueJob, error: &Error) {
        let random = Id::random().as_uuid().as_u128() & u128::from(u16::MAX);
        let random = u16::try_from(random).unwrap_or_default();
        let pause = pause(due.attempts, random).max(error.retry_after().unwrap_or_default());
        if let Err(error) = self.store.postpone_job(due, pause).await {
            // Then it waits until its lease expires.
            tracing::warn!(error = &error as &dyn std::error::Error, "a job was not postponed");
        }
    }

    async fn register(&self, job: &Job, image: &NewImage, end: Instant) -> Result<Registration, Error> {
        let image = self.completed(job, image, end).await?;
        let registration = Registration { problem: None, truncated: image.truncated.clone() };
        match self.glance.create(job.image_id, &image, &job.caller, left_until(end)).await {
            Ok(()) => self.registered(job, &registration).await?,
            Err(glance::Error::Refused { id, problem }) => {
                self.refused(job, &problem).await?;
                return Err(Error::GlanceRefused { id, problem });
            }
            Err(error) => return Err(error.into()),
        }
        Ok(registration)
    }

    /// The image, with whole values in place of those that the record truncated, as far as they still exist.
    async fn completed(&self, job: &Job, image: &NewImage, end: Instant) -> Result<NewImage, Error> {
        let Some((id, revision)) = image.whole_in else { return Ok(image.clone()) };
        let deadline = Deadline::earlier(None, left_until(end));
        let completed = match self.glance.image_at(id, revision, &job.caller, deadline).await {
            Ok(whole) => completed(image.clone(), &whole.meta.properties),
            Err(glance::Error::NotFound(_)) => completed(image.clone(), &[].into()),
            Err(error) => return Err(error.into()),
        };
        self.store.replace_image(job, &completed).await?;
        Ok(completed)
    }

    /// The image is registered. Whatever runs the instance uploads its data; if nothing does, the task is done.
    async fn registered(&self, job: &Job, registration: &Registration) -> Result<(), Error> {
        let has_ended = self.compute == Compute::None
            && self.end_task(job, Step::Finished, registration, Instance::finish).await?;
        if !has_ended {
            self.store.end_job(job, registration).await?;
        }
        Ok(())
    }

    /// There will be no image: the task has failed.
    async fn refused(&self, job: &Job, problem: &str) -> Result<(), Error> {
        let registration = Registration { problem: Some(problem.to_owned()), ..Registration::default() };
        let end_task =
            self.end_task(job, Step::Failed, &registration, |waiting| waiting.fail(waiting.record.clone()));
        if !end_task.await? {
            self.store.end_job(job, &registration).await?;
        }
        Ok(())
    }

    /// Ends the task that waits for an image, and the job with it; `false` if no task does.
    async fn end_task(
        &self,
        job: &Job,
        step: Step,
        registration: &Registration,
        end: fn(&Instance) -> Instance,
    ) -> Result<bool, Error> {
        let decide = || self.decide_end(job, step, registration, end);
        let decided = self.store.change(job.instance_id, &Scope::internal(INSTANCES), decide).await?;
        Ok(matches!(decided, Decided::Change(_)))
    }

    async fn decide_end(
        &self,
        job: &Job,
        step: Step,
        registration: &Registration,
        end: fn(&Instance) -> Instance,
    ) -> Result<Decided<()>, Error> {
        let Some(before) = self.store.instance(job.instance_id, &Scope::internal(INSTANCES)).await? else {
            return Ok(Decided::Nothing(()));
        };
        let waiting = before.task.as_ref().filter(|task| task.image_id == Some(job.image_id));
        let Some(task) = waiting.filter(|task| task.operation.makes_image()) else {
            return Ok(Decided::Nothing(()));
        };
        let entry = Entry {
            operation: task.operation,
            step,
            actor: job.caller.actor.clone(),
            time: before.later(clock::now()),
            image_id: Some(job.image_id),
            volume_id: None,
            message: registration.problem.clone().unwrap_or_default(),
            request: None,
        };
        let change = self.to_store(&before, Some(end(&before)), entry, None, None);
        let done = Some((job.clone(), registration.clone()));
        Ok(Decided::Change(Box::new(Change { done, ..change })))
    }

    /// Deletes an image, and makes sure that it cannot be registered later: a request to register it may still be on its
    /// way. It is therefore registered first, since an id that was used once cannot be used again.
    async fn delete_image(
        &self,
        job: &Job,
        if_unfinished: bool,
        unregistered: Option<&NewImage>,
        end: Instant,
    ) -> Result<(), Error> {
        let (glance, store) = (&self.glance, &self.store);
        let (id, caller) = (job.image_id, &job.caller);
        let instance = store.instance(job.instance_id, &Scope::internal(INSTANCES)).await?;
        if instance.is_some_and(|instance| shelved_image(&instance.record) == Some(id)) {
            tracing::error!(image_id = id.to_string(), "the image that an instance is shelved to is kept");
            return store.end_job(job, &Registration::default()).await;
        }
        let deleted = if if_unfinished {
            glance.delete_unfinished(id, caller, left_until(end)).await?
        } else {
            glance.delete(id, caller, left_until(end)).await?
        };
        if let (Deleted::WasNotThere, Some(image)) = (deleted, unregistered) {
            match glance.create(id, image, caller, left_until(end)).await {
                Ok(()) => drop(glance.delete(id, caller, left_until(end)).await?),
                Err(glance::Error::Refused { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        store.end_job(job, &Registration::default()).await
    }
}

/// The time left for a job.
fn left_until(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// The pause after that many attempts: half of what is said above, plus a random part of the same length.
pub(in crate::compute) fn pause(attempts: i64, random: u16) -> Duration {
    let doublings = u32::try_from(attempts.clamp(1, 16) - 1).unwrap_or_default();
    let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
    pause / 2 + pause * u32::from(random) / 0x1_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let seconds = |attempts| {
            [0, u16::MAX].map(|random| (pause(attempts, random) + Duration::from_millis(501)).as_secs())
        };
        assert_eq!(seconds(0), [3, 8]);
        assert_eq!(seconds(1), [3, 8]);
        assert_eq!(seconds(2), [5, 15]);
        assert_eq!(seconds(4), [20, 60]);
        assert_eq!(seconds(5), [30, 90]);
        assert_eq!(seconds(i64::MAX), [30, 90]);
    }
}
