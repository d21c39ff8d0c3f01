//! What glance-svc is asked for after a change was written: by the request that made the change, by a retry of it, or,
//! if both die, by whichever replica finds the job.

use std::{convert::Infallible, time::Duration};

use common::clock;
use tokio::time::sleep;

use super::Operations;
use crate::{
    error::Error,
    instance::{Compute, Instance, Operation, Scope, Step},
    store::{Action, Change, Decided, Entry, Job},
};

/// How often jobs that nobody has done are looked for, and how old they are then.
const INTERVAL: Duration = Duration::from_secs(5);

/// As many of them as are done before others are looked for.
const AT_ONCE: i64 = 100;

impl Operations {
    /// Does jobs whose requests have died, again and again.
    pub async fn do_jobs(&self) -> Infallible {
        loop {
            match self.pipeline.store.jobs(clock::now() - INTERVAL, AT_ONCE).await {
                Ok(jobs) => {
                    for job in jobs {
                        self.do_job_later(&job).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "images are left for later");
                }
            }
            sleep(INTERVAL).await;
        }
    }

    /// Does a job if that is possible now.
    pub(super) async fn do_job_later(&self, job: &Job) {
        if let Err(error) = self.do_job(job).await {
            let image_id = job.image_id.to_string();
            tracing::warn!(image_id, error = &error as &dyn std::error::Error, "an image is left for later");
        }
    }

    /// Does a job, whoever else may be doing it, and what the instance waits for.
    pub(super) async fn do_job(&self, job: &Job) -> Result<(), Error> {
        let glance = &self.pipeline.glance;
        match &job.action {
            Action::Create(image) => match glance.create(job.image_id, image, &job.caller).await {
                Ok(()) => self.registered(job).await,
                Err(Error::GlanceRefused { id, problem }) => {
                    self.refused(job, &problem).await?;
                    Err(Error::GlanceRefused { id, problem })
                }
                Err(error) => Err(error),
            },
            Action::Delete => {
                match glance.delete(job.image_id, &job.caller).await {
                    // Somebody protects it, or owns it now: it is theirs.
                    Ok(()) | Err(Error::GlanceRefused { .. }) => {}
                    Err(error) => return Err(error),
                }
                self.pipeline.store.forget_job(job).await
            }
        }
    }

    /// The image is there: whatever runs the instance uploads its data, or there is nobody to wait for.
    async fn registered(&self, job: &Job) -> Result<(), Error> {
        let store = &self.pipeline.store;
        if self.pipeline.compute == Compute::None {
            self.end(job, Step::Finished, "", Instance::finish).await?;
        }
        // Its instance may have given it up while it was being registered.
        if store.failure(job.instance_id, job.image_id, &Scope::internal()).await?.is_some() {
            self.pipeline.glance.delete(job.image_id, &job.caller).await?;
        }
        store.forget_job(job).await
    }

    /// There will be no image: the instance is as it was before.
    async fn refused(&self, job: &Job, problem: &str) -> Result<(), Error> {
        self.end(job, Step::Failed, problem, |waiting| waiting.fail(waiting.record.clone())).await?;
        self.pipeline.store.forget_job(job).await
    }

    /// Ends what waits for an image, if that still does.
    async fn end(
        &self,
        job: &Job,
        step: Step,
        message: &str,
        end: fn(&Instance) -> Instance,
    ) -> Result<(), Error> {
        let decide = || self.decide_end(job, step, message, end);
        self.pipeline.store.change(job.instance_id, decide).await.map(drop)
    }

    async fn decide_end(
        &self,
        job: &Job,
        step: Step,
        message: &str,
        end: fn(&Instance) -> Instance,
    ) -> Result<Decided<()>, Error> {
        let Some(before) = self.pipeline.store.instance(job.instance_id, &Scope::internal()).await? else {
            return Ok(Decided::Nothing(()));
        };
        let waiting = before.task.as_ref().filter(|task| task.image_id == Some(job.image_id));
        let operation = waiting.map(|task| task.operation).filter(|operation| makes_image(*operation));
        let Some(operation) = operation else { return Ok(Decided::Nothing(())) };
        let entry = Entry {
            operation,
            step,
            actor: job.caller.actor.clone(),
            time: clock::now(),
            image_id: Some(job.image_id),
            message: message.to_owned(),
            request: None,
        };
        let change = self.written(&before, end(&before), entry, None, None);
        Ok(Decided::Change(Box::new(Change { done: Some(job.image_id), ..change })))
    }
}

const fn makes_image(operation: Operation) -> bool {
    matches!(operation, Operation::Snapshot | Operation::Shelve)
}
