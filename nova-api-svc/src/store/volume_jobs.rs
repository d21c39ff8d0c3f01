//! What cinder-svc still has to do. The job that takes everything back is written before anything is created or reserved
//! for a new instance, and becomes the job that holds the volumes for it in the transaction that writes the instance. So
//! neither a crash nor an unavailable service leaves volumes behind. Jobs are claimed and postponed as image jobs are.

use std::{collections::HashSet, time::Duration};

use chassis::db::{self, ByDialect, Many, Transaction};
use chrono::{DateTime, TimeDelta, Utc};
use common::id::Id;

use super::{
    Store,
    create::{Creation, Outcome},
    job::{Backlog, micros},
    jobs::with_now,
    volume_job::{ATTACH, DueVolumeJob, VolumeAction, VolumeJob, VolumeJobRow},
};
use crate::error::Error;

const INSERT: ByDialect = with_now!(
    "INSERT INTO volume_jobs (id, instance_id, action, volumes, user_id, project_id, roles, create_time, attempts, \
     next_try) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10 + ",
    ")"
);

/// Jobs that may be tried again; `$1` is the longest pause.
const DUE: ByDialect = with_now!(
    "SELECT id, attempts FROM volume_jobs WHERE next_try <= ",
    " OR next_try > $1 + ",
    " ORDER BY next_try, id LIMIT $2"
);

/// Begins a job.
const CLAIM: ByDialect = with_now!(
    "UPDATE volume_jobs SET attempts = attempts + 1, next_try = $3 + ",
    " WHERE id = $1 AND attempts = $2 RETURNING id, instance_id, action, volumes, user_id, project_id, roles, \
     create_time, attempts"
);

/// Postpones a job.
const POSTPONE: ByDialect =
    with_now!("UPDATE volume_jobs SET next_try = $3 + ", " WHERE id = $1 AND attempts = $2");

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

    /// The jobs that are still to be done, by the database's clock.
    pub async fn volume_backlog(&self) -> Result<Backlog, Error> {
        let all = "SELECT COUNT(*), MIN(create_time) FROM volume_jobs";
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
    pub async fn due_volume_jobs(&self, longest: Duration, limit: i64) -> Result<Vec<DueVolumeJob>, Error> {
        let mut connection = self.db.reader().await?;
        Ok(connection.query_as(DUE).bind(micros(longest)).bind(limit).fetch_all().await?)
    }

    /// Begins a job, which nobody else begins within `lease`; `None` if somebody has just begun it, or it is done.
    pub async fn claim_volume_job(
        &self,
        DueVolumeJob { id, attempts }: DueVolumeJob,
        lease: Duration,
    ) -> Result<Option<VolumeJob>, Error> {
        let mut tx = self.db.begin().await?;
        let row: Option<VolumeJobRow> =
            tx.query_as(CLAIM).bind(id).bind(attempts).bind(micros(lease)).fetch_optional().await?;
        tx.commit().await?;
        row.map(VolumeJobRow::job).transpose()
    }

    /// Postpones a job after that many attempts.
    pub async fn postpone_volume_job(
        &self,
        DueVolumeJob { id, attempts }: DueVolumeJob,
        pause: Duration,
    ) -> Result<(), Error> {
        let pause = micros(pause);
        self.db.execute(|connection| connection.query(POSTPONE).bind(id).bind(attempts).bind(pause)).await?;
        Ok(())
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
    tx.query(INSERT)
        .bind(job.id)
        .bind(job.instance_id)
        .bind(action)
        .bind(volumes)
        .bind(&job.caller.actor.user_id)
        .bind(&job.caller.actor.project_id)
        .bind(job.caller.roles.join(","))
        .bind(job.create_time)
        .bind(job.attempts)
        .bind(micros(job.lease))
        .execute()
        .await?;
    Ok(())
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
