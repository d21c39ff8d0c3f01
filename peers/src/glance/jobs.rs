//! What glance-svc still has to do: images to be registered and deleted, in the table `image_jobs` of each service that
//! makes images.

use std::{sync::LazyLock, time::Duration};

use chassis::{
    db::{self, Db, Transaction},
    outbox::{Outbox, OutboxMetrics, push_time_after},
};
use common::{id::Id, image::NewImage};
use prometheus_client::registry::Registry;

mod job;

pub use job::{ImageAction, Job};

use job::CREATE;

/// How long the database may take for a job, in addition to glance-svc.
const WRITING: Duration = Duration::from_secs(5);

/// What takes the place of a job for the same image; the image that was to be registered stays with it.
const REPLACE: &str = " ON CONFLICT (image_id) DO UPDATE SET action = excluded.action, user_id = excluded.user_id, \
     project_id = excluded.project_id, roles = excluded.roles, create_time = excluded.create_time, \
     revision = excluded.revision, attempts = excluded.attempts, next_try = excluded.next_try";

static METRICS: LazyLock<OutboxMetrics> = LazyLock::new(|| OutboxMetrics::new("IMAGE_REFUSED"));

/// Adds what is counted of jobs to a registry.
pub fn register_metrics(registry: &mut Registry) {
    METRICS.register(registry, "imprint_image_jobs", "register or delete an image made here");
}

/// How long a job that somebody has begun is left alone by others, if a call of glance-svc takes at most `timeout`.
#[must_use]
pub fn lease(timeout: Duration) -> Duration {
    timeout + WRITING
}

/// The jobs of a service.
#[derive(Debug, Clone)]
pub struct ImageJobs {
    /// All of them.
    pub outbox: Outbox,
}

impl ImageJobs {
    /// Those in `db`. The column `resource_id` says which resource an image is made from, such as `instance_id`.
    #[must_use]
    pub fn new(db: Db, resource_id: &'static str) -> Self {
        let columns = vec![
            "image_id",
            resource_id,
            "action",
            "image",
            "user_id",
            "project_id",
            "roles",
            "create_time",
            "revision",
            "attempts",
        ];
        Self { outbox: Outbox { db, table: "image_jobs", columns, metrics: &METRICS } }
    }

    /// The job for an image, if there still is one.
    pub async fn get(&self, image_id: Id) -> Result<Option<Job>, db::Error> {
        self.outbox.get(image_id).await
    }

    /// Replaces the image that is to be registered, so that every attempt registers the same one.
    pub async fn replace_image(&self, job: &Job, image: &NewImage) -> Result<(), db::Error> {
        let image = serde_json::to_string(image).expect("an image is plain data");
        let sql = "UPDATE image_jobs SET image = $3 WHERE image_id = $1 AND action = $2";
        let replace = self
            .outbox
            .db
            .execute(|connection| connection.query(sql).bind(job.image_id).bind(CREATE).bind(&image));
        replace.await.map(drop)
    }

    /// Adds a job of a change that leads to this revision, in place of a job for the same image; the image that was to be
    /// registered stays with it.
    pub async fn insert(&self, tx: &mut Transaction, job: &Job, revision: i64) -> Result<(), db::Error> {
        let (action, image) = job.action.columns();
        let mut query = tx.builder("INSERT INTO image_jobs (");
        self.outbox.push_columns(&mut query);
        query.push(", next_try) VALUES (");
        let mut values = query.separated(", ");
        values.push_bind(job.image_id).push_bind(job.resource_id).push_bind(action).push_bind(image);
        values.push_bind(&job.caller.actor.user_id).push_bind(&job.caller.actor.project_id);
        values.push_bind(job.caller.roles.join(",")).push_bind(job.create_time);
        values.push_bind(revision).push_bind(job.attempts);
        query.push(", ");
        push_time_after(&mut query, job.lease);
        query.push(")").push(REPLACE);
        tx.query(query).execute().await.map(drop)
    }

    /// Removes a job that is done; `false` if another one has taken its place.
    pub async fn remove(&self, tx: &mut Transaction, job: &Job) -> Result<bool, db::Error> {
        let query = tx.query("DELETE FROM image_jobs WHERE image_id = $1 AND action = $2");
        Ok(query.bind(job.image_id).bind(job.action.columns().0).execute().await? == 1)
    }
}
