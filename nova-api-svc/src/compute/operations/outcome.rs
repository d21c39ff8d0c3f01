//! The result of an action: what its change requires of glance-svc is done now, or by a retry, which is answered with
//! the result.

use common::id::Id;
use peers::glance::jobs::{ImageAction, Job};

use super::{ActionRequest, ActionResult};
use crate::{
    compute::ComputeApi,
    error::{Error, VolumeError},
    instance::{Instance, Operation, Scope},
    store::{Change, EarlierAttempt, Entry, Registration},
};

impl ComputeApi {
    /// What an earlier attempt of the request did; whatever it left undone is done now.
    pub(super) async fn repeat(
        &self,
        request: &ActionRequest<'_>,
        scope: &Scope,
        earlier: EarlierAttempt,
    ) -> Result<ActionResult, Error> {
        let instance_id = request.instance_id;
        let finished = self.finish_earlier(&earlier, request).await?;
        let registration = match finished {
            Some(registration) => registration,
            // The job is done, perhaps only since history was read.
            None => self.store.registration(instance_id, earlier.revision, scope).await?,
        };
        let image_id = earlier.entry.image_id;
        if let Some(id) = image_id {
            registration.check(id)?;
        }
        self.check_rebuilt(instance_id, &earlier.entry, earlier.revision, scope).await?;
        let instance = self.store.instance(instance_id, scope).await?;
        Ok(ActionResult { instance_id, instance, image_id, registration })
    }

    /// Refuses a rebuild that was begun at a revision and has failed, as far as its root volume is concerned.
    async fn check_rebuilt(&self, id: Id, entry: &Entry, revision: i64, scope: &Scope) -> Result<(), Error> {
        if entry.operation != Operation::Rebuild {
            return Ok(());
        }
        match self.store.reimage_failure(id, revision, scope).await? {
            Some(problem) => Err(VolumeError::NotReimaged { id, problem }.into()),
            None => Ok(()),
        }
    }

    /// Does the job that an earlier attempt of a request left undone, even if somebody else has begun it: whoever repeats
    /// a request has a reason to. Returns the outcome; `None` if there is no such job.
    async fn finish_earlier(
        &self,
        earlier: &EarlierAttempt,
        request: &ActionRequest<'_>,
    ) -> Result<Option<Registration>, Error> {
        let Some(image_id) = earlier.entry.image_id else { return Ok(None) };
        let job = self.store.jobs().get(image_id).await?.filter(|job| job.revision == earlier.revision);
        let Some(job) = job else { return Ok(None) };
        let claimed = self.store.jobs().outbox.claim(job.due(), self.lease()).await?;
        match (&job.action, claimed) {
            (ImageAction::Create(_), Some(job)) => {
                let done = self.do_job(&job, request.deadline).await;
                done.map(Some).map_err(|error| begun(&earlier.entry, &job, error))
            }
            // Somebody else has just done it, or is about to.
            (ImageAction::Create(_), None) => {
                Err(begun(&earlier.entry, &job, Error::Contended(request.instance_id)))
            }
            (ImageAction::Delete { .. }, claimed) => {
                if let Some(job) = claimed {
                    self.do_job_later(&job, request.deadline).await;
                }
                Ok(None)
            }
        }
    }

    /// Does what a change that has been written requires of glance-svc. An image that is to be deleted can wait.
    pub(super) async fn complete(
        &self,
        change: Change,
        request: &ActionRequest<'_>,
        scope: &Scope,
    ) -> Result<ActionResult, Error> {
        let Change { before, after, entry, job, volumes, .. } = change;
        let (instance_id, image_id) = (before.id, entry.image_id);
        let mut written = after.map(|after| Instance { revision: after.revision + 1, ..after });
        if let (Some(_), Some(volumes)) = (&written, &volumes) {
            self.do_volume_job_later(volumes, request.deadline).await;
            self.check_rebuilt(instance_id, &entry, before.revision + 1, scope).await?;
            written = self.store.instance(instance_id, scope).await?;
        }
        let (Some(_), Some(job)) = (&written, job) else {
            let registration = Registration::default();
            return Ok(ActionResult { instance_id, instance: written, image_id, registration });
        };
        let job = Job { revision: before.revision + 1, ..job };
        let registration = if matches!(job.action, ImageAction::Create(_)) {
            let registered = self.do_job(&job, request.deadline).await;
            registered.map_err(|error| begun(&entry, &job, error))?
        } else {
            // As it was written: it may have taken the place of one that was to register the image.
            if let Some(job) = self.store.jobs().get(job.image_id).await? {
                self.do_job_later(&job, request.deadline).await;
            }
            Registration::default()
        };
        let instance = self.store.instance(instance_id, scope).await?;
        Ok(ActionResult { instance_id, instance, image_id, registration })
    }
}

/// Why an operation that has begun is not complete.
fn begun(entry: &Entry, job: &Job, error: Error) -> Error {
    if !error.is_temporary() {
        return error;
    }
    let (id, operation, image_id) = (job.resource_id, entry.operation, job.image_id);
    Error::Begun { id, operation, image_id, cause: Box::new(error) }
}
