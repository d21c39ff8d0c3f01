//! What glance-svc has to do after a change was written, for instances.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use chassis::{deadline::Deadline, status::Failure as _};
use common::{clock, image::NewImage};
use peers::glance::{
    self, Deleted,
    jobs::{self, ImageAction, Job},
};

use crate::{
    compute::ComputeApi,
    error::{Error, VolumeError},
    instance::{Compute, INSTANCES, Instance, Scope, Step, snapshot::completed, transitions::shelved_image},
    store::{Change, Decided, Entry, Registration},
};

impl ComputeApi {
    /// Does jobs that nobody else is doing, for ever.
    pub async fn do_jobs(&self) -> Infallible {
        self.store.jobs().outbox.do_jobs(self.lease(), |job| self.do_found_job(job)).await
    }

    /// Does jobs that nobody else is doing and whose pause is over, oldest first; returns how many were tried.
    pub async fn do_due_jobs(&self) -> Result<usize, Error> {
        Ok(self.store.jobs().outbox.do_due_jobs(self.lease(), |job| self.do_found_job(job)).await?)
    }

    async fn do_found_job(&self, job: Job) {
        self.do_job_later(&job, None).await;
    }

    /// How long a job that somebody has begun is left alone by others.
    pub(super) fn lease(&self) -> Duration {
        jobs::lease(self.glance.timeout())
    }

    /// Does a job now, or leaves it for later.
    pub(super) async fn do_job_later(&self, job: &Job, deadline: Option<Deadline>) {
        if let Err(error) = self.do_job(job, deadline).await {
            let (image_id, instance_id) = (job.image_id.to_string(), job.resource_id.to_string());
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
        self.store.jobs().outbox.tried(job.due(), &done).await;
        done
    }

    async fn register(&self, job: &Job, image: &NewImage, end: Instant) -> Result<Registration, Error> {
        let image = self.completed(job, image, end).await?;
        match self.try_register(job, &image, end).await {
            Ok(image) => {
                let (truncated, snapshots) = (image.truncated, image.snapshots);
                let registration = Registration { snapshots, truncated, ..Registration::default() };
                self.registered(job, &registration).await?;
                Ok(registration)
            }
            Err(error) => {
                if let Some((cause, problem)) = refusal(&error) {
                    self.delete_snapshots(job, &image, deadline_at(end)).await?;
                    let problem = Some(problem);
                    self.refused(job, Registration { problem, cause, ..Registration::default() }).await?;
                }
                Err(error)
            }
        }
    }

    /// Takes the snapshots that the image stands for, if it does, and registers it.
    async fn try_register(&self, job: &Job, image: &NewImage, end: Instant) -> Result<NewImage, Error> {
        let image = self.take_snapshots(job, image, deadline_at(end)).await?;
        self.glance.create(job.image_id, &image, &job.caller, left_until(end)).await?;
        Ok(image)
    }

    /// The image, with whole values in place of those that the record truncated, as far as they still exist.
    async fn completed(&self, job: &Job, image: &NewImage, end: Instant) -> Result<NewImage, Error> {
        let Some((id, revision)) = image.whole_in else { return Ok(image.clone()) };
        let deadline = deadline_at(end);
        let completed = match self.glance.image_at(id, revision, &job.caller, deadline).await {
            Ok(whole) => completed(image.clone(), &whole.meta.properties),
            Err(glance::Error::NotFound(_)) => completed(image.clone(), &[].into()),
            Err(error) => return Err(error.into()),
        };
        self.store.jobs().replace_image(job, &completed).await?;
        Ok(completed)
    }

    /// The image is registered. Whatever runs the instance uploads its data; if nothing does, or it has none, the task is
    /// done.
    async fn registered(&self, job: &Job, registration: &Registration) -> Result<(), Error> {
        let is_complete = self.compute == Compute::None || !registration.snapshots.is_empty();
        let has_ended =
            is_complete && self.end_task(job, Step::Finished, registration, Instance::finish).await?;
        if !has_ended {
            self.store.end_job(job, registration).await?;
        }
        Ok(())
    }

    /// There will be no image: the task has failed.
    async fn refused(&self, job: &Job, registration: Registration) -> Result<(), Error> {
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
        match self.store.change(job.resource_id, &Scope::internal(INSTANCES), decide).await? {
            Decided::Nothing(()) => Ok(false),
            Decided::Change(change) => {
                if let Some(volumes) = &change.volumes {
                    self.do_volume_job_later(volumes, None).await;
                }
                Ok(true)
            }
        }
    }

    async fn decide_end(
        &self,
        job: &Job,
        step: Step,
        registration: &Registration,
        end: fn(&Instance) -> Instance,
    ) -> Result<Decided<()>, Error> {
        let Some(before) = self.store.instance(job.resource_id, &Scope::internal(INSTANCES)).await? else {
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
        let change = self.to_store(&before, Some(end(&before)), entry, &job.caller);
        let done = Some((job.clone(), registration.clone()));
        Ok(Decided::Change(Box::new(Change { done, ..change })))
    }

    /// Deletes an image, unless the instance has been shelved to it since.
    async fn delete_image(
        &self,
        job: &Job,
        if_unfinished: bool,
        unregistered: Option<&NewImage>,
        end: Instant,
    ) -> Result<(), Error> {
        let (store, id) = (&self.store, job.image_id);
        let instance = store.instance(job.resource_id, &Scope::internal(INSTANCES)).await?;
        if instance.is_some_and(|instance| shelved_image(&instance.record) == Some(id)) {
            tracing::error!(image_id = id.to_string(), "the image that an instance is shelved to is kept");
        } else {
            let deleted =
                self.glance.delete_for_good(id, if_unfinished, unregistered, &job.caller, end).await?;
            if let Some(image) = unregistered.filter(|_| deleted != Deleted::LeftAlone) {
                self.delete_snapshots(job, image, deadline_at(end)).await?;
            }
        }
        store.end_job(job, &Registration::default()).await
    }
}

/// Why an image will never be registered, and the reason of cinder-svc if it is that which refuses.
fn refusal(error: &Error) -> Option<(Option<String>, String)> {
    match error {
        Error::GlanceRefused { problem, .. } => Some((None, problem.clone())),
        Error::Volume(VolumeError::Refused { cause, problem }) => {
            Some((Some(cause.clone()), problem.clone()))
        }
        _ => None,
    }
}

/// The deadline of calls of a job.
fn deadline_at(end: Instant) -> Option<Deadline> {
    Deadline::earlier(None, left_until(end))
}

/// The time left for a job.
fn left_until(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}
