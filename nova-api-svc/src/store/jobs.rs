//! What glance-svc is still to be asked for. A job is written together with the change that needs it and goes once it
//! is done, so that neither a crash nor a catalogue that is away can lose it.
//!
//! Whoever does a job has claimed it by counting an attempt, if nobody else has meanwhile. Until `next_try`, nobody does
//! it unasked. That is a time by the database's clock; a time further away than any pause is was written before
//! the clock was set back, and counts as past.

use std::time::Duration;

use chassis::{db::Pick as _, in_transaction, on_db};
use chrono::{DateTime, TimeDelta, Utc};
use common::{id::Id, image::NewImage};

use super::{
    Store,
    job::{Backlog, CREATE, DueJob, Job, JobRow, Registration, micros},
};
use crate::error::Error;

/// Adds a job, in place of one for the same image; the image that was to be registered is kept.
macro_rules! insert_job {
    ($tx:ident, $job:expr, $revision:expr) => {{
        let job: &Job = $job;
        let (action, image) = job.action.columns();
        sqlx::query($tx.pick(
            concat!(insert!(), now!(sqlite), replace!()),
            concat!(insert!(), now!(postgres), replace!()),
        ))
        .bind(job.image_id)
        .bind(job.instance_id)
        .bind(action)
        .bind(image)
        .bind(&job.caller.actor.user_id)
        .bind(&job.caller.actor.project_id)
        .bind(job.caller.roles.join(","))
        .bind(job.create_time)
        .bind($revision)
        .bind(job.attempts)
        .bind(micros(job.lease))
        .execute(&mut *$tx)
        .await?;
    }};
}

/// Removes a job that is done, unless another one has taken its place, and tells the history what came of it.
macro_rules! end_job {
    ($tx:ident, $job:expr, $registration:expr) => {{
        let (job, registration): (&Job, &Registration) = ($job, $registration);
        let ended = sqlx::query("DELETE FROM image_jobs WHERE image_id = $1 AND action = $2")
            .bind(job.image_id)
            .bind(job.action.columns().0)
            .execute(&mut *$tx)
            .await?
            .rows_affected();
        if ended > 0 && *registration != Registration::default() {
            sqlx::query(
                "UPDATE instance_history SET image_problem = $3, truncated_properties = $4 \
                 WHERE instance_id = $1 AND revision = $2",
            )
            .bind(job.instance_id)
            .bind(job.revision)
            .bind(&registration.problem)
            .bind(registration.column())
            .execute(&mut *$tx)
            .await?;
        }
    }};
}

macro_rules! insert {
    () => {
        "INSERT INTO image_jobs (image_id, instance_id, action, image, user_id, project_id, roles, create_time, \
         revision, attempts, next_try) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 + "
    };
}

macro_rules! replace {
    () => {
        ") ON CONFLICT (image_id) DO UPDATE SET action = excluded.action, user_id = excluded.user_id, \
         project_id = excluded.project_id, roles = excluded.roles, create_time = excluded.create_time, \
         revision = excluded.revision, attempts = excluded.attempts, next_try = excluded.next_try"
    };
}

/// Now, by the database's clock.
macro_rules! now {
    (sqlite) => {
        "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
    };
    (postgres) => {
        "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
    };
}

pub(super) use {end_job, insert, insert_job, now, replace};

macro_rules! columns {
    () => {
        "image_id, instance_id, action, image, user_id, project_id, roles, create_time, revision, attempts"
    };
}

impl Store {
    /// The job for an image, if there still is one.
    pub async fn job(&self, image_id: Id) -> Result<Option<Job>, Error> {
        let row: Option<JobRow> = on_db!(self.db, |connection| {
            sqlx::query_as(concat!("SELECT ", columns!(), " FROM image_jobs WHERE image_id = $1"))
                .bind(image_id)
                .fetch_optional(connection)
                .await?
        });
        row.map(JobRow::job).transpose()
    }

    /// What there is still to be done, by the database's clock.
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let (jobs, first): (i64, Option<DateTime<Utc>>) = on_db!(self.db, |connection| {
            sqlx::query_as("SELECT COUNT(*), MIN(create_time) FROM image_jobs").fetch_one(connection).await?
        });
        let oldest = match first {
            Some(first) => self.db.now().await? - first,
            None => TimeDelta::zero(),
        };
        Ok(Backlog { jobs, oldest })
    }

    /// Jobs that nobody does and that may be tried again, those that wait longest first, `limit` at most. No pause is
    /// longer than `longest`.
    pub async fn due_jobs(&self, longest: Duration, limit: i64) -> Result<Vec<DueJob>, Error> {
        macro_rules! due {
            ($database:ident) => {
                concat!(
                    "SELECT image_id, attempts FROM image_jobs WHERE next_try <= ",
                    now!($database),
                    " OR next_try > $1 + ",
                    now!($database),
                    " ORDER BY next_try, image_id LIMIT $2"
                )
            };
        }
        Ok(on_db!(self.db, |connection| {
            sqlx::query_as(connection.pick(due!(sqlite), due!(postgres)))
                .bind(micros(longest))
                .bind(limit)
                .fetch_all(connection)
                .await?
        }))
    }

    /// Begins a job, which nobody else begins for `lease` unless asked to; `None` if somebody has just begun it, or it
    /// is done.
    pub async fn claim_job(
        &self,
        DueJob { image_id, attempts }: DueJob,
        lease: Duration,
    ) -> Result<Option<Job>, Error> {
        macro_rules! claim {
            ($database:ident) => {
                concat!(
                    "UPDATE image_jobs SET attempts = attempts + 1, next_try = $3 + ",
                    now!($database),
                    " WHERE image_id = $1 AND attempts = $2 RETURNING ",
                    columns!()
                )
            };
        }
        let row: Option<JobRow> = in_transaction!(self.db, |tx| {
            sqlx::query_as(tx.pick(claim!(sqlite), claim!(postgres)))
                .bind(image_id)
                .bind(attempts)
                .bind(micros(lease))
                .fetch_optional(&mut *tx)
                .await?
        });
        row.map(JobRow::job).transpose()
    }

    /// Lets a job that was begun for the `attempts`th time rest for a while.
    pub async fn postpone_job(
        &self,
        DueJob { image_id, attempts }: DueJob,
        pause: Duration,
    ) -> Result<(), Error> {
        macro_rules! postpone {
            ($database:ident) => {
                concat!(
                    "UPDATE image_jobs SET next_try = $3 + ",
                    now!($database),
                    " WHERE image_id = $1 AND attempts = $2"
                )
            };
        }
        in_transaction!(self.db, |tx| {
            sqlx::query(tx.pick(postpone!(sqlite), postpone!(postgres)))
                .bind(image_id)
                .bind(attempts)
                .bind(micros(pause))
                .execute(&mut *tx)
                .await?;
        });
        Ok(())
    }

    /// Notes what is to be registered in place of what was, so that every attempt registers the same.
    pub async fn settle_job(&self, job: &Job, image: &NewImage) -> Result<(), Error> {
        let image = serde_json::to_string(image).expect("an image is plain data");
        in_transaction!(self.db, |tx| {
            sqlx::query("UPDATE image_jobs SET image = $3 WHERE image_id = $1 AND action = $2")
                .bind(job.image_id)
                .bind(CREATE)
                .bind(&image)
                .execute(&mut *tx)
                .await?;
        });
        Ok(())
    }

    /// Forgets a job that is done, unless another one has taken its place, and notes what came of it.
    pub async fn end_job(&self, job: &Job, registration: &Registration) -> Result<(), Error> {
        in_transaction!(self.db, |tx| {
            end_job!(tx, job, registration);
        });
        Ok(())
    }
}
