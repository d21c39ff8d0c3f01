//! Who does the tasks of volumes whose data cinder-svc keeps itself. Times are by the database's clock, which all
//! replicas share.

use chassis::db::Micros;
use chrono::TimeDelta;
use common::id::Id;

use super::Store;
use crate::error::Error;

/// How old a write is whose data nobody receives: whoever began it has died.
const UNCLAIMED: TimeDelta = TimeDelta::minutes(1);

/// A task that nobody is doing.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DueTask {
    /// Its volume.
    pub volume_id: Id,
    /// The process that began to do it, and has died since; empty if none has.
    pub owner: String,
}

impl Store {
    /// Tasks that nobody is doing, oldest first. An upload waits until glance-svc has registered its image.
    pub async fn due_tasks(&self, limit: i64) -> Result<Vec<DueTask>, Error> {
        let now = self.db.now().await?;
        let sql = "SELECT t.volume_id, t.owner FROM volume_tasks t JOIN volumes v ON v.id = t.volume_id \
                   WHERE v.storage = 'directory' AND (t.lease_time <= $1 OR (t.lease_time IS NULL AND \
                   (t.task_state <> 'writing' OR t.create_time <= $2))) AND (t.task_state <> 'uploading' OR \
                   NOT EXISTS (SELECT 1 FROM image_jobs j WHERE j.image_id = t.image_id)) \
                   ORDER BY t.create_time LIMIT $3";
        let mut connection = self.db.reader().await?;
        let query = connection.query_as(sql).bind(Micros(now)).bind(Micros(now - UNCLAIMED)).bind(limit);
        Ok(query.fetch_all().await?)
    }

    /// Takes a task for a process, for as long as `lease`; `false` if somebody else was faster.
    pub async fn claim_task(&self, due: &DueTask, owner: &str, lease: TimeDelta) -> Result<bool, Error> {
        let now = self.db.now().await?;
        let sql = "UPDATE volume_tasks SET owner = $3, lease_time = $4 \
                   WHERE volume_id = $1 AND owner = $2 AND (lease_time IS NULL OR lease_time <= $5)";
        let claimed = self.db.execute(|connection| {
            let query = connection.query(sql).bind(due.volume_id).bind(&due.owner).bind(owner);
            query.bind(Micros(now + lease)).bind(Micros(now))
        });
        Ok(claimed.await? > 0)
    }

    /// Renews the lease of a task; `false` if it is lost.
    pub async fn renew_task(&self, volume_id: Id, owner: &str, lease: TimeDelta) -> Result<bool, Error> {
        let end = self.db.now().await? + lease;
        let sql = "UPDATE volume_tasks SET lease_time = $3 WHERE volume_id = $1 AND owner = $2";
        let renewed = self
            .db
            .execute(|connection| connection.query(sql).bind(volume_id).bind(owner).bind(Micros(end)))
            .await?;
        Ok(renewed > 0)
    }
}
