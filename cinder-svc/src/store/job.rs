//! What glance-svc still has to do for images made from volumes ([`peers::glance::jobs`]).

use chassis::db::{self, Transaction, retrying};
use peers::glance::jobs::{ImageAction, ImageJobs, Job};

use super::{Store, change::Change};
use crate::{error::Error, volume::Step};

impl Store {
    /// What is still to be done.
    #[must_use]
    pub const fn jobs(&self) -> &ImageJobs {
        &self.jobs
    }

    /// Removes a job that is done, and records the problem, if there was one.
    pub async fn end_job(&self, job: &Job, problem: Option<&str>) -> Result<(), Error> {
        retrying(|| async {
            let mut tx = self.db.begin().await?;
            end_job(&self.jobs, &mut tx, job, problem).await?;
            Ok::<_, Error>(tx.commit().await?)
        })
        .await
    }

    /// Writes what a change means to jobs: one that is done, one that it requires, and the deletion of an image that
    /// nobody is going to upload data to any more.
    pub(super) async fn write_jobs(&self, tx: &mut Transaction, change: &Change) -> Result<(), db::Error> {
        let revision = change.before.revision + 1;
        if let Some((job, problem)) = &change.done {
            end_job(&self.jobs, tx, job, problem.as_deref()).await?;
        } else if let Some(orphan) = orphan(change) {
            self.jobs.insert(tx, &orphan, revision).await?;
        }
        match &change.job {
            Some(job) => self.jobs.insert(tx, job, revision).await,
            None => Ok(()),
        }
    }
}

async fn end_job(
    jobs: &ImageJobs,
    tx: &mut Transaction,
    job: &Job,
    problem: Option<&str>,
) -> Result<(), db::Error> {
    let is_last = jobs.remove(tx, job).await?;
    if let Some(problem) = problem.filter(|_| is_last) {
        tx.query("UPDATE volume_history SET image_problem = $3 WHERE volume_id = $1 AND revision = $2")
            .bind(job.resource_id)
            .bind(job.revision)
            .bind(problem)
            .execute()
            .await?;
    }
    Ok(())
}

/// The job of deleting the image of an upload that a change ends without success, as long as it has no data.
fn orphan(change: &Change) -> Option<Job> {
    let Change { before, after, entry, .. } = change;
    let image_id = before.uploads_to()?;
    let goes_on = after.as_ref().is_some_and(|after| after.uploads_to() == Some(image_id));
    let has_succeeded = after.is_some() && entry.step == Step::Finished;
    if goes_on || has_succeeded {
        return None;
    }
    let caller = &before.task.as_ref()?.caller;
    let action = ImageAction::Delete { if_unfinished: true, unregistered: None };
    Some(Job::new(image_id, before.id, action, caller, entry.time, std::time::Duration::ZERO))
}
