//! What came of registering an image, which history tells.

use chassis::db::{self, Transaction};
use peers::glance::jobs::{ImageJobs, Job};

use super::Store;
use crate::error::Error;

/// The outcome of registering an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// Why glance-svc refused, if it did.
    pub problem: Option<String>,
    /// Properties that have only the beginning of their values, since the whole values no longer exist.
    pub truncated: Vec<String>,
}

impl Registration {
    pub(super) fn column(&self) -> Option<String> {
        let names = serde_json::to_string(&self.truncated).expect("names are plain data");
        (!self.truncated.is_empty()).then_some(names)
    }

    pub(super) fn read(problem: Option<&String>, truncated: Option<&String>) -> Option<Self> {
        let truncated = truncated.map_or(Some(Vec::new()), |names| serde_json::from_str(names).ok())?;
        Some(Self { problem: problem.cloned(), truncated })
    }
}

impl Store {
    /// The jobs for glance-svc.
    #[must_use]
    pub const fn jobs(&self) -> &ImageJobs {
        &self.jobs
    }

    /// Removes a job that is done, unless another one has taken its place, and records its outcome.
    pub async fn end_job(&self, job: &Job, registration: &Registration) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        end_job(&self.jobs, &mut tx, job, registration).await?;
        Ok(tx.commit().await?)
    }
}

/// Removes a job that is done, unless another one has taken its place, and records its outcome in the history.
pub(super) async fn end_job(
    jobs: &ImageJobs,
    tx: &mut Transaction,
    job: &Job,
    registration: &Registration,
) -> Result<(), db::Error> {
    if !jobs.remove(tx, job).await? || *registration == Registration::default() {
        return Ok(());
    }
    tx.query(
        "UPDATE instance_history SET image_problem = $3, truncated_properties = $4 \
         WHERE instance_id = $1 AND revision = $2",
    )
    .bind(job.resource_id)
    .bind(job.revision)
    .bind(&registration.problem)
    .bind(registration.column())
    .execute()
    .await?;
    Ok(())
}
