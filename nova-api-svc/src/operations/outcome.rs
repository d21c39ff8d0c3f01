//! What came of a request: what its change has left for glance-svc is done, now or by a retry, which answers with that.

use super::{ActionResult, Context, Operations};
use crate::{
    error::Error,
    instance::{Instance, Scope},
    store::{Change, DueJob, EarlierAttempt, Entry, ImageAction, Job, Registration},
};

impl Operations {
    /// What an earlier try of the request has done; what it left to be done is done now.
    pub(super) async fn repeat(
        &self,
        context: &Context<'_>,
        scope: &Scope,
        earlier: EarlierAttempt,
    ) -> Result<ActionResult, Error> {
        let finished = self.finish_earlier(&earlier, context).await?;
        let Registration { problem, truncated } = match finished {
            Some(registration) => registration,
            // Nothing is left to be done, perhaps only since history was read.
            None => self.pipeline.store.registration(context.id, earlier.revision, scope).await?,
        };
        let image_id = earlier.entry.image_id;
        if let Some((id, problem)) = image_id.zip(problem) {
            return Err(Error::GlanceRefused { id, problem });
        }
        Ok(ActionResult { instance: self.instance(context.id, scope).await?, image_id, truncated })
    }

    /// Does what an earlier try of a request has left to be done for glance-svc, even if somebody else has begun it: who
    /// asks again has reason to. Gives what came of that; `None` if nothing was left.
    async fn finish_earlier(
        &self,
        earlier: &EarlierAttempt,
        context: &Context<'_>,
    ) -> Result<Option<Registration>, Error> {
        let store = &self.pipeline.store;
        let Some(image_id) = earlier.entry.image_id else { return Ok(None) };
        let job = store.job(image_id).await?.filter(|job| job.revision == earlier.revision);
        let Some(job) = job else { return Ok(None) };
        let due = DueJob { image_id, attempts: job.attempts };
        let claimed = store.claim_job(due, self.lease()).await?;
        match (&job.action, claimed) {
            (ImageAction::Create(_), Some(job)) => {
                let done = self.do_job(&job, context.deadline).await;
                done.map(Some).map_err(|error| begun(&earlier.entry, &job, error))
            }
            // Somebody else has just done it, or is about to.
            (ImageAction::Create(_), None) => Err(begun(&earlier.entry, &job, Error::Contended(context.id))),
            (ImageAction::Delete { .. }, claimed) => {
                if let Some(job) = claimed {
                    self.do_job_later(&job, context.deadline).await;
                }
                Ok(None)
            }
        }
    }

    /// Does what a change has left for glance-svc. An image that was to be deleted can wait.
    pub(super) async fn complete(
        &self,
        change: Change,
        context: &Context<'_>,
        scope: &Scope,
    ) -> Result<ActionResult, Error> {
        let Change { before, after, entry, job, .. } = change;
        let job = job.map(|job| Job { revision: before.revision + 1, ..job });
        let truncated = match &job {
            Some(job @ Job { action: ImageAction::Create(_), .. }) => {
                let registered = self.do_job(job, context.deadline).await;
                registered.map_err(|error| begun(&entry, job, error))?.truncated
            }
            Some(job) => {
                // As it was written: it may have taken the place of one that was to register the image.
                if let Some(job) = self.pipeline.store.job(job.image_id).await? {
                    self.do_job_later(&job, context.deadline).await;
                }
                Vec::new()
            }
            None => {
                let after = after.map(|after| Instance { revision: after.revision + 1, ..after });
                let instance = after.ok_or(Error::InstanceNotFound(before.id))?;
                return Ok(ActionResult {
                    image_id: entry.image_id,
                    ..ActionResult::without_image(instance)
                });
            }
        };
        Ok(ActionResult {
            instance: self.instance(before.id, scope).await?,
            image_id: entry.image_id,
            truncated,
        })
    }
}

/// Why an operation that was begun has not come to its end.
fn begun(entry: &Entry, job: &Job, error: Error) -> Error {
    if !error.may_pass() {
        return error;
    }
    let (id, operation, image_id) = (job.instance_id, entry.operation, job.image_id);
    Error::Begun { id, operation, image_id, cause: Box::new(error) }
}
