//! What glance-svc is still to be asked for. A job is written together with the change that needs it and goes once it
//! is done, so that neither a crash nor a catalogue that is away can lose it.

use chrono::{DateTime, Utc};
use common::{
    caller::{Actor, Caller},
    id::Id,
    in_transaction, on_db,
};

use super::Store;
use crate::{error::Error, instance::snapshot::NewImage};

/// Adds a job, in place of one for the same image.
macro_rules! insert_job {
    ($tx:ident, $job:expr) => {{
        let job: &Job = $job;
        let (action, image) = job.action.columns();
        sqlx::query(
            "INSERT INTO image_jobs (image_id, instance_id, action, image, user_id, project_id, roles, create_time) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (image_id) DO UPDATE SET \
             action = excluded.action, image = excluded.image, user_id = excluded.user_id, \
             project_id = excluded.project_id, roles = excluded.roles, create_time = excluded.create_time",
        )
        .bind(job.image_id)
        .bind(job.instance_id)
        .bind(action)
        .bind(image)
        .bind(&job.caller.actor.user_id)
        .bind(&job.caller.actor.project_id)
        .bind(job.caller.roles.join(","))
        .bind(job.create_time)
        .execute(&mut *$tx)
        .await?;
    }};
}

pub(super) use insert_job;

/// Jobs that fulfil a condition.
macro_rules! jobs {
    ($condition:literal) => {
        concat!(
            "SELECT image_id, instance_id, action, image, user_id, project_id, roles, create_time FROM image_jobs WHERE ",
            $condition
        )
    };
}

const CREATE: &str = "create";
const DELETE: &str = "delete";

/// What glance-svc is to be asked for.
#[derive(Debug, Clone)]
pub struct Job {
    /// The image.
    pub image_id: Id,
    /// The instance it is made of, or was made of.
    pub instance_id: Id,
    /// What is to be done with it.
    pub action: Action,
    /// For whom.
    pub caller: Caller,
    /// When it became necessary.
    pub create_time: DateTime<Utc>,
}

/// What is to be done with an image.
#[derive(Debug, Clone)]
pub enum Action {
    /// Register it.
    Create(Box<NewImage>),
    /// Delete it.
    Delete,
}

impl Action {
    pub(super) fn columns(&self) -> (&'static str, String) {
        match self {
            Self::Create(image) => (CREATE, serde_json::to_string(image).expect("an image is plain data")),
            Self::Delete => (DELETE, String::new()),
        }
    }
}

/// Whoever wanted something, as glance-svc is told again.
pub(super) fn caller(user_id: String, project_id: String, roles: &str) -> Caller {
    let roles = roles.split(',').filter(|role| !role.is_empty()).map(str::to_owned).collect();
    Caller { actor: Actor { user_id, project_id }, roles, is_admin: false }
}

#[derive(sqlx::FromRow)]
struct JobRow {
    image_id: Id,
    instance_id: Id,
    action: String,
    image: String,
    user_id: String,
    project_id: String,
    roles: String,
    create_time: DateTime<Utc>,
}

impl JobRow {
    fn job(self) -> Option<Job> {
        let action = match self.action.as_str() {
            CREATE => Action::Create(serde_json::from_str(&self.image).ok()?),
            DELETE => Action::Delete,
            _ => return None,
        };
        Some(Job {
            image_id: self.image_id,
            instance_id: self.instance_id,
            action,
            caller: caller(self.user_id, self.project_id, &self.roles),
            create_time: self.create_time,
        })
    }
}

impl Store {
    /// The job for an image, if there still is one.
    pub async fn job(&self, image_id: Id) -> Result<Option<Job>, Error> {
        let row: Option<JobRow> = on_db!(self.db, |connection| {
            sqlx::query_as(jobs!("image_id = $1")).bind(image_id).fetch_optional(connection).await?
        });
        row.map(|row| row.job().ok_or(Error::Corrupt(image_id))).transpose()
    }

    /// Jobs from before `time`, the oldest first, `limit` at most.
    pub async fn jobs(&self, time: DateTime<Utc>, limit: i64) -> Result<Vec<Job>, Error> {
        let rows: Vec<JobRow> = on_db!(self.db, |connection| {
            sqlx::query_as(jobs!("create_time <= $1 ORDER BY create_time LIMIT $2"))
                .bind(time)
                .bind(limit)
                .fetch_all(connection)
                .await?
        });
        Ok(rows.into_iter().filter_map(JobRow::job).collect())
    }

    /// Forgets a job that is done, unless another one has taken its place.
    pub async fn forget_job(&self, job: &Job) -> Result<(), Error> {
        in_transaction!(self.db, |tx| {
            sqlx::query("DELETE FROM image_jobs WHERE image_id = $1 AND action = $2")
                .bind(job.image_id)
                .bind(job.action.columns().0)
                .execute(&mut *tx)
                .await?
                .rows_affected()
        });
        Ok(())
    }
}
