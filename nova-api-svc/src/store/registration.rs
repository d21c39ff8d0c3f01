//! What came of registering an image, which history tells.

use chassis::db::{self, Transaction};
use common::{id::Id, image::devices::DeviceSnapshot};
use peers::glance::jobs::{ImageJobs, Job};
use serde::{Serialize, de::DeserializeOwned};

use super::Store;
use crate::error::{Error, VolumeError};

/// The outcome of registering an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// Why glance-svc or cinder-svc refused, if one did.
    pub problem: Option<String>,
    /// The reason of cinder-svc, if it was that.
    pub cause: Option<String>,
    /// The snapshots that the image stands for, if it has no data.
    pub snapshots: Vec<DeviceSnapshot>,
    /// Properties that have only the beginning of their values, since the whole values no longer exist.
    pub truncated: Vec<String>,
}

impl Registration {
    /// The outcome as `columns` of history: problem, cause, snapshots and truncated properties.
    pub(super) fn read(columns: [Option<&String>; 4]) -> Option<Self> {
        let [problem, cause, snapshots, truncated] = columns;
        Some(Self {
            problem: problem.cloned(),
            cause: cause.cloned(),
            snapshots: list(snapshots)?,
            truncated: list(truncated)?,
        })
    }

    /// The error of a request for an image that was refused.
    pub fn check(&self, image_id: Id) -> Result<(), Error> {
        match (self.problem.clone(), self.cause.clone()) {
            (None, _) => Ok(()),
            (Some(problem), None) => Err(Error::GlanceRefused { id: image_id, problem }),
            (Some(problem), Some(cause)) => Err(VolumeError::Refused { cause, problem }.into()),
        }
    }
}

/// A list as a column has it: NULL if it is empty.
fn column<T: Serialize>(list: &[T]) -> Option<String> {
    (!list.is_empty()).then(|| serde_json::to_string(list).expect("it is plain data"))
}

fn list<T: DeserializeOwned>(column: Option<&String>) -> Option<Vec<T>> {
    column.map_or(Some(Vec::new()), |list| serde_json::from_str(list).ok())
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
        "UPDATE instance_history SET image_problem = $3, truncated_properties = $4, refusal_cause = $5, \
         volume_snapshots = $6 WHERE instance_id = $1 AND revision = $2",
    )
    .bind(job.resource_id)
    .bind(job.revision)
    .bind(&registration.problem)
    .bind(column(&registration.truncated))
    .bind(&registration.cause)
    .bind(column(&registration.snapshots))
    .execute()
    .await?;
    Ok(())
}
