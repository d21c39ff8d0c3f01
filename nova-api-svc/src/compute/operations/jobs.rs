//! What glance-svc is asked for after a change was written: by the request that made the change, by a retry of it, or,
//! if both die or glance-svc is away, by whichever replica finds the job.

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
    instance::{Compute, Instance, Scope, Step, snapshot::completed, transitions::shelved_image},
    store::{Change, Decided, DueJob, Entry, ImageAction, Job, Registration},
};

/// How often jobs that nobody does are looked for.
const INTERVAL: Duration = Duration::from_secs(5);

/// As many of them as are looked for at once, and as are done at a time.
const AT_ONCE: i64 = 100;
const AT_A_TIME: usize = 8;

/// How long a job rests after its first attempt, twice as long after each further one, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How long the database may take when a job is done, beside glance-svc.
const WRITING: Duration = Duration::from_secs(5);

impl ComputeApi {
    /// Does jobs that nobody else does, again and again.
    pub async fn do_jobs(&self) -> Infallible {
        loop {
            match self.do_due_jobs().await {
                // There may be more of them.
                Ok(done) if i64::try_from(done).is_ok_and(|done| done >= AT_ONCE) => {}
                Ok(_) => sleep(INTERVAL).await,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "images are left for later");
                    sleep(INTERVAL).await;
                }
            }
        }
    }

    /// Does jobs that nobody else does and that may be tried again, those that wait longest first; gives the number of
    /// those that were tried.
    pub async fn do_due_jobs(&self) -> Result<usize, Error> {
        // Twice the longest that anybody writes.
        let longest = 2 * self.lease().max(LONGEST_PAUSE * 2);
        JOBS.left(self.store.backlog().await?);
        let due = self.store.due_jobs(longest, AT_ONCE).await?;
        let tried = stream::iter(due).map(|due| self.do_due_job(due)).buffer_unordered(AT_A_TIME);
        Ok(tried.filter(|tried| std::future::ready(*tried)).count().await)
    }

    /// Does a job if nobody has just begun it; whether it was tried.
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

    /// How long nobody else begins a job that somebody does.
    pub(super) fn lease(&self) -> Duration {
        self.glance.timeout() + WRITING
    }

    /// Does a job if that is possible now.
    pub(super) async fn do_job_later(&self, job: &Job, deadline: Option<Deadline>) {
        if let Err(error) = self.do_job(job, deadline).await {
            let (image_id, instance_id) = (job.image_id.to_string(), job.instance_id.to_string());
            let (attempts, reason) = (job.attempts, error.describe().reason);
            let error = &error as &dyn std::error::Error;
            tracing::warn!(image_id, instance_id, attempts, reason, error, "an image is left for later");
        }
    }

    /// Does a job that was claimed, and what the instance waits for; what cannot be done now is left for later.
    pub(super) async fn do_job(&self, job: &Job, deadline: Option<Deadline>) -> Result<Registration, Error> {
        let end = Instant::now() + Deadline::share(deadline, self.glance.timeout());
        let done = match &job.action {
            ImageAction::Create(image) => Box::pin(self.register(job, image, end)).await,
            ImageAction::Delete { if_unfinished, unregistered } => {
                let deleted = self.delete_image(job, *if_unfinished, unregistered.as_deref(), end);
                Box::pin(deleted).await.map(|()| Registration::default())
            }
        };
        JOBS.tried(&done);
        match &done {
            Ok(_) | Err(Error::GlanceRefused { .. }) => {}
            Err(error) => {
                self.postpone(DueJob { image_id: job.image_id, attempts: job.attempts }, error).await;
            }
        }
        done
    }

    /// Lets a job rest that could not be done.
    async fn postpone(&self, due: DueJob, error: &Error) {
        let random = Id::random().as_uuid().as_u128() & u128::from(u16::MAX);
        let random = u16::try_from(random).unwrap_or_default();
        let pause = pause(due.attempts, random).max(error.retry_after().unwrap_or_default());
        if let Err(error) = self.store.postpone_job(due, pause).await {
            // Then it rests until its lease ends.
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

    /// The image with the whole values of what the instance remembers in part, as far as they can be had.
    async fn completed(&self, job: &Job, image: &NewImage, end: Instant) -> Result<NewImage, Error> {
        let Some((id, revision)) = image.whole_in else { return Ok(image.clone()) };
        let deadline = Deadline::earlier(None, left_until(end));
        let completed = match self.glance.image_at(id, revision, &job.caller, deadline).await {
            Ok(whole) => completed(image.clone(), &whole.meta.properties),
            Err(glance::Error::NotFound(_)) => completed(image.clone(), &[].into()),
            Err(error) => return Err(error.into()),
        };
        self.store.settle_job(job, &completed).await?;
        Ok(completed)
    }

    /// The image is there: whatever runs the instance uploads its data, or there is nobody to wait for.
    async fn registered(&self, job: &Job, registration: &Registration) -> Result<(), Error> {
        let nobody_waits = self.compute == Compute::Agent
            || !self.end(job, Step::Finished, registration, Instance::finish).await?;
        if nobody_waits {
            self.store.end_job(job, registration).await?;
        }
        Ok(())
    }

    /// There will be no image: the instance is as it was before.
    async fn refused(&self, job: &Job, problem: &str) -> Result<(), Error> {
        let registration = Registration { problem: Some(problem.to_owned()), ..Registration::default() };
        let give_up =
            self.end(job, Step::Failed, &registration, |waiting| waiting.fail(waiting.record.clone()));
        if !give_up.await? {
            self.store.end_job(job, &registration).await?;
        }
        Ok(())
    }

    /// Ends what waits for an image, and the job with it; `false` if nothing does.
    async fn end(
        &self,
        job: &Job,
        step: Step,
        registration: &Registration,
        end: fn(&Instance) -> Instance,
    ) -> Result<bool, Error> {
        let decide = || self.decide_end(job, step, registration, end);
        let decided = self.store.change(job.instance_id, &Scope::internal(), decide).await?;
        Ok(matches!(decided, Decided::Change(_)))
    }

    async fn decide_end(
        &self,
        job: &Job,
        step: Step,
        registration: &Registration,
        end: fn(&Instance) -> Instance,
    ) -> Result<Decided<()>, Error> {
        let Some(before) = self.store.instance(job.instance_id, &Scope::internal()).await? else {
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
            message: registration.problem.clone().unwrap_or_default(),
            request: None,
        };
        let change = self.to_store(&before, Some(end(&before)), entry, None, None);
        let done = Some((job.clone(), registration.clone()));
        Ok(Decided::Change(Box::new(Change { done, ..change })))
    }

    /// Deletes an image, and makes sure that it does not come into being afterwards: somebody may still be about to
    /// register what nobody knows to be registered, and an id that was used once cannot be used again.
    async fn delete_image(
        &self,
        job: &Job,
        if_unfinished: bool,
        unregistered: Option<&NewImage>,
        end: Instant,
    ) -> Result<(), Error> {
        let (glance, store) = (&self.glance, &self.store);
        let (id, caller) = (job.image_id, &job.caller);
        let instance = store.instance(job.instance_id, &Scope::internal()).await?;
        if instance.is_some_and(|instance| shelved_image(&instance.record) == Some(id)) {
            tracing::error!(image_id = id.to_string(), "the image that an instance is put away in is kept");
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

/// What is left of the time for a job.
fn left_until(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// How long a job rests after that many attempts: half as long as is said above, and up to as long again at random.
fn pause(attempts: i64, random: u16) -> Duration {
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
