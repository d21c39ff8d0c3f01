//! What glance-svc still has to do. A job is written together with the change that requires it, and removed once it is
//! done, so that neither a crash nor an unavailable catalogue can lose it.
//!
//! Whoever does a job claims it first by counting an attempt, unless somebody else has done so in the meantime. Until
//! `next_try`, only a retry of its request does it. That is a time by the database's clock; a time further away than the
//! longest pause was written before the clock was set back, and counts as past.

use std::time::Duration;

use chassis::db::{self, ByDialect, Transaction};
use chrono::{DateTime, TimeDelta, Utc};
use common::{id::Id, image::NewImage};

use super::{
    Store,
    job::{Backlog, CREATE, DueJob, Job, JobRow, Registration, micros},
};
use crate::error::Error;

/// A statement with the current time, by the database's clock, between its pieces.
macro_rules! with_now {
    ($first:expr $(, $next:expr)+) => {
        ByDialect {
            sqlite: concat!($first $(, "CAST(unixepoch('subsec') * 1000000 AS INTEGER)", $next)+),
            postgres: concat!(
                $first $(, "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)", $next)+
            ),
        }
    };
}

macro_rules! columns {
    () => {
        "image_id, instance_id, action, image, user_id, project_id, roles, create_time, revision, attempts"
    };
}

pub(super) use with_now;

/// Adds a job, in place of one for the same image; the image that was to be registered stays with it.
const INSERT: ByDialect = with_now!(
    "INSERT INTO image_jobs (image_id, instance_id, action, image, user_id, project_id, roles, create_time, \
     revision, attempts, next_try) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 + ",
    ") ON CONFLICT (image_id) DO UPDATE SET action = excluded.action, user_id = excluded.user_id, \
     project_id = excluded.project_id, roles = excluded.roles, create_time = excluded.create_time, \
     revision = excluded.revision, attempts = excluded.attempts, next_try = excluded.next_try"
);

/// Jobs that may be tried again; `$1` is the longest pause.
const DUE: ByDialect = with_now!(
    "SELECT image_id, attempts FROM image_jobs WHERE next_try <= ",
    " OR next_try > $1 + ",
    " ORDER BY next_try, image_id LIMIT $2"
);

/// Begins a job.
const CLAIM: ByDialect = with_now!(
    "UPDATE image_jobs SET attempts = attempts + 1, next_try = $3 + ",
    concat!(" WHERE image_id = $1 AND attempts = $2 RETURNING ", columns!())
);

/// Postpones a job.
const POSTPONE: ByDialect =
    with_now!("UPDATE image_jobs SET next_try = $3 + ", " WHERE image_id = $1 AND attempts = $2");

impl Store {
    /// The job for an image, if there still is one.
    pub async fn job(&self, image_id: Id) -> Result<Option<Job>, Error> {
        let job = concat!("SELECT ", columns!(), " FROM image_jobs WHERE image_id = $1");
        let row: Option<JobRow> =
            self.db.reader().await?.query_as(job).bind(image_id).fetch_optional().await?;
        row.map(JobRow::job).transpose()
    }

    /// The jobs that are still to be done, by the database's clock.
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let all = "SELECT COUNT(*), MIN(create_time) FROM image_jobs";
        let (jobs, first): (i64, Option<DateTime<Utc>>) =
            self.db.reader().await?.query_as(all).fetch_one().await?;
        let oldest = match first {
            Some(first) => self.db.now().await? - first,
            None => TimeDelta::zero(),
        };
        Ok(Backlog { jobs, oldest })
    }

    /// Jobs that nobody is doing and whose pause is over, oldest first, at most `limit`. No pause is longer than
    /// `longest`.
    pub async fn due_jobs(&self, longest: Duration, limit: i64) -> Result<Vec<DueJob>, Error> {
        let mut connection = self.db.reader().await?;
        Ok(connection.query_as(DUE).bind(micros(longest)).bind(limit).fetch_all().await?)
    }

    /// Begins a job, which only a retry of its request can begin again within `lease`; `None` if somebody has just begun
    /// it, or it is done.
    pub async fn claim_job(
        &self,
        DueJob { image_id, attempts }: DueJob,
        lease: Duration,
    ) -> Result<Option<Job>, Error> {
        let mut tx = self.db.begin().await?;
        let row: Option<JobRow> =
            tx.query_as(CLAIM).bind(image_id).bind(attempts).bind(micros(lease)).fetch_optional().await?;
        tx.commit().await?;
        row.map(JobRow::job).transpose()
    }

    /// Postpones a job after that many attempts.
    pub async fn postpone_job(
        &self,
        DueJob { image_id, attempts }: DueJob,
        pause: Duration,
    ) -> Result<(), Error> {
        let pause = micros(pause);
        self.db
            .execute(|connection| connection.query(POSTPONE).bind(image_id).bind(attempts).bind(pause))
            .await?;
        Ok(())
    }

    /// Replaces the image that is to be registered, so that every attempt registers the same one.
    pub async fn replace_image(&self, job: &Job, image: &NewImage) -> Result<(), Error> {
        let image = serde_json::to_string(image).expect("an image is plain data");
        let sql = "UPDATE image_jobs SET image = $3 WHERE image_id = $1 AND action = $2";
        self.db
            .execute(|connection| connection.query(sql).bind(job.image_id).bind(CREATE).bind(&image))
            .await?;
        Ok(())
    }

    /// Removes a job that is done, unless another one has taken its place, and records its outcome.
    pub async fn end_job(&self, job: &Job, registration: &Registration) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        end_job(&mut tx, job, registration).await?;
        Ok(tx.commit().await?)
    }
}

/// Adds a job, in place of one for the same image; the image that was to be registered stays with it.
pub(super) async fn insert_job(tx: &mut Transaction, job: &Job, revision: i64) -> Result<(), db::Error> {
    let (action, image) = job.action.columns();
    tx.query(INSERT)
        .bind(job.image_id)
        .bind(job.instance_id)
        .bind(action)
        .bind(image)
        .bind(&job.caller.actor.user_id)
        .bind(&job.caller.actor.project_id)
        .bind(job.caller.roles.join(","))
        .bind(job.create_time)
        .bind(revision)
        .bind(job.attempts)
        .bind(micros(job.lease))
        .execute()
        .await?;
    Ok(())
}

/// Removes a job that is done, unless another one has taken its place, and records its outcome in the history.
pub(super) async fn end_job(
    tx: &mut Transaction,
    job: &Job,
    registration: &Registration,
) -> Result<(), db::Error> {
    let ended = tx
        .query("DELETE FROM image_jobs WHERE image_id = $1 AND action = $2")
        .bind(job.image_id)
        .bind(job.action.columns().0)
        .execute()
        .await?;
    if ended == 0 || *registration == Registration::default() {
        return Ok(());
    }
    tx.query(
        "UPDATE instance_history SET image_problem = $3, truncated_properties = $4 \
         WHERE instance_id = $1 AND revision = $2",
    )
    .bind(job.instance_id)
    .bind(job.revision)
    .bind(&registration.problem)
    .bind(registration.column())
    .execute()
    .await?;
    Ok(())
}
