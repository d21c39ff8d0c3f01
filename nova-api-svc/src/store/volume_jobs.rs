//! What cinder-svc still has to do. The job that takes everything back is written before anything is created or reserved
//! for a new instance, and becomes the job that holds the volumes for it in the transaction that writes the instance. So
//! neither a crash nor an unavailable service leaves volumes behind. Jobs are claimed and
//! postponed as image jobs are.

use std::{collections::HashSet, sync::LazyLock};

use chassis::{
    db::{self, ByDialect, Db, Many, Transaction},
    outbox::{Outbox, OutboxMetrics, push_time_after},
};
use common::id::Id;
use prometheus_client::registry::Registry;

use super::{
    Store,
    create::{Creation, Outcome},
    volume_job::{ATTACH, VolumeAction, VolumeJob},
};
use crate::error::Error;

/// The columns of a job.
const COLUMNS: [&str; 9] =
    ["id", "instance_id", "action", "volumes", "user_id", "project_id", "roles", "create_time", "attempts"];

static METRICS: LazyLock<OutboxMetrics> = LazyLock::new(OutboxMetrics::default);

/// Adds what is counted of the jobs to a registry.
pub fn register_metrics(registry: &mut Registry) {
    METRICS.register(registry, "imprint_volume_jobs", "hold the volumes of an instance or take them back");
}

/// The jobs in `db`.
pub(super) fn volume_jobs(db: Db) -> Outbox {
    Outbox { db, table: "volume_jobs", columns: COLUMNS.to_vec(), metrics: &METRICS }
}

/// Takes those of the jobs `$1` that nobody else has begun.
const TAKE: ByDialect = ByDialect {
    sqlite: "DELETE FROM volume_jobs WHERE id IN (SELECT value FROM json_each($1)) AND action = 'remove' \
         AND attempts = 1 RETURNING id",
    postgres: "DELETE FROM volume_jobs WHERE id = ANY($1) AND action = 'remove' AND attempts = 1 RETURNING id",
};

impl Store {
    /// Adds jobs.
    pub async fn add_volume_jobs(&self, jobs: &[VolumeJob]) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        for job in jobs {
            insert(&mut tx, job).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The jobs for cinder-svc.
    #[must_use]
    pub const fn volume_jobs(&self) -> &Outbox {
        &self.volume_jobs
    }

    /// Removes a job that is done, unless it has been begun again since, for something that was added to it.
    pub async fn end_volume_job(&self, job: &VolumeJob) -> Result<(), Error> {
        let sql = "DELETE FROM volume_jobs WHERE id = $1 AND attempts = $2";
        self.db.execute(|connection| connection.query(sql).bind(job.id).bind(job.attempts)).await?;
        Ok(())
    }
}

async fn insert(tx: &mut Transaction, job: &VolumeJob) -> Result<(), db::Error> {
    let (action, volumes) = job.action.columns();
    let mut query = tx.builder(
        "INSERT INTO volume_jobs (id, instance_id, action, volumes, user_id, project_id, roles, create_time, attempts, \
         next_try) VALUES (",
    );
    let mut values = query.separated(", ");
    values.push_bind(job.id).push_bind(job.instance_id).push_bind(action).push_bind(volumes);
    values.push_bind(&job.caller.actor.user_id).push_bind(&job.caller.actor.project_id);
    values.push_bind(job.caller.roles.join(",")).push_bind(job.create_time).push_bind(job.attempts);
    query.push(", ");
    push_time_after(&mut query, job.lease);
    query.push(")");
    tx.query(query).execute().await.map(drop)
}

/// Writes the job of an instance that exists, or existed until now, in place of one that holds its volumes.
pub(super) async fn replace_volume_job(tx: &mut Transaction, job: &VolumeJob) -> Result<(), db::Error> {
    let sql = "DELETE FROM volume_jobs WHERE instance_id = $1 AND action = $2";
    tx.query(sql).bind(job.instance_id).bind(ATTACH).execute().await?;
    insert(tx, job).await
}

/// Takes the jobs of requests that create instances; returns those that nobody else has begun.
pub(super) async fn take_volume_jobs(tx: &mut Transaction, jobs: Vec<Id>) -> Result<HashSet<Id>, db::Error> {
    if jobs.is_empty() {
        return Ok(HashSet::new());
    }
    let taken: Vec<Id> = tx.query_scalar(TAKE).bind(Many(jobs)).fetch_all().await?;
    Ok(taken.into_iter().collect())
}

/// Writes the jobs that were taken: to hold the volumes of those instances that are created, and to take back everything
/// else.
pub(super) async fn put_volume_jobs<'a>(
    tx: &mut Transaction,
    creations: impl Iterator<Item = (&'a Creation, &'a Outcome)>,
    taken: &HashSet<Id>,
) -> Result<(), db::Error> {
    for (creation, outcome) in creations {
        let created = outcome.as_ref().ok().and_then(Option::as_ref);
        let is_created = |id| created.is_some_and(|created| created.instances.iter().any(|one| one.id == id));
        for job in creation.jobs.iter().filter(|job| taken.contains(&job.id)) {
            if is_created(job.instance_id) {
                insert(tx, &VolumeJob { action: VolumeAction::Attach, ..job.clone() }).await?;
            } else {
                insert(tx, job).await?;
            }
        }
    }
    Ok(())
}
