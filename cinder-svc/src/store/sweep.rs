//! Sweeps records that nothing refers to any more, and whatever is older than the retention allows, without blocking the
//! creation of volumes.

use std::{convert::Infallible, time::Duration};

use chassis::db::{self, ByDialect, Many, Micros};
use chrono::{DateTime, TimeDelta, Utc};
use common::id::{Id, NIL};
use tokio::time::sleep;

use super::Store;

/// How often records are swept.
const INTERVAL: Duration = Duration::from_mins(1);

/// Number of records that are read in one statement, and removed in one transaction.
const STEP: i64 = 500;

/// How long data that nothing needs any more is retained.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// The history of deleted volumes.
    pub deleted_history: TimeDelta,
    /// What requests with an id have created: for that long, a retry is answered with it.
    pub requests: TimeDelta,
}

/// Whether a volume, a snapshot, a task or the history refers to a record.
macro_rules! is_used {
    () => {
        "(EXISTS (SELECT 1 FROM volumes WHERE record_id = records.id) \
         OR EXISTS (SELECT 1 FROM snapshots WHERE record_id = records.id) \
         OR EXISTS (SELECT 1 FROM volume_tasks WHERE target_record_id = records.id) \
         OR EXISTS (SELECT 1 FROM volume_history WHERE record_id = records.id))"
    };
}

/// Records by id, and whether anything refers to them.
const RECORDS: &str = concat!("SELECT id, ", is_used!(), " FROM records WHERE id > $1 ORDER BY id LIMIT $2");

/// Removes those of the records `$1` that nothing refers to.
const REMOVE_RECORDS: ByDialect = ByDialect {
    sqlite: concat!("DELETE FROM records WHERE id IN (SELECT value FROM json_each($1)) AND NOT ", is_used!()),
    postgres: concat!("DELETE FROM records WHERE id = ANY($1) AND NOT ", is_used!()),
};

impl Store {
    /// Sweeps what is older than `retention` allows, and records that nothing refers to, for ever.
    pub async fn sweep(&self, retention: Retention) -> Infallible {
        loop {
            sleep(INTERVAL).await;
            if let Err(error) = self.sweep_old(retention).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "what is old is left for later");
            }
        }
    }

    /// Sweeps once; ages are measured by the database's clock.
    pub async fn sweep_old(&self, retention: Retention) -> Result<(), db::Error> {
        let now = self.db.now().await?;
        self.forget_requests(now - retention.requests).await?;
        self.sweep_once(now - retention.deleted_history).await.map(drop)
    }

    /// Removes request ids used before `time`, whose retries become new requests; returns their number.
    pub async fn forget_requests(&self, time: DateTime<Utc>) -> Result<u64, db::Error> {
        let sql = "DELETE FROM create_requests WHERE (project_id, resource, request_id) IN (SELECT project_id, \
                   resource, request_id FROM create_requests WHERE create_time <= $1 ORDER BY create_time LIMIT $2)";
        self.remove_older(sql, time).await
    }

    /// Removes what a statement finds from before `time`, a step at a time; gives the number of rows.
    async fn remove_older(&self, sql: &'static str, time: DateTime<Utc>) -> Result<u64, db::Error> {
        let mut removed = 0;
        loop {
            let some =
                self.db.execute(|connection| connection.query(sql).bind(Micros(time)).bind(STEP)).await?;
            if some == 0 {
                return Ok(removed);
            }
            removed += some;
        }
    }

    /// Removes the history of volumes that were deleted before `time`, then the records that nothing refers to; returns
    /// the number of records. A volume may be created from such a record at the same moment: either it is committed
    /// first, and the foreign key protects the record, or the record is removed first, and because of the foreign key
    /// the volume is written again, together with the record.
    pub async fn sweep_once(&self, time: DateTime<Utc>) -> Result<u64, db::Error> {
        let sql = "DELETE FROM volume_history WHERE volume_id IN (SELECT volume_id FROM volume_history \
                   WHERE status IS NULL AND create_time <= $1 ORDER BY create_time LIMIT $2)";
        self.remove_older(sql, time).await?;
        let (mut removed, mut last) = (0, Id::from(NIL));
        loop {
            let looked_at = self.records_after(last).await?;
            let Some((id, _)) = looked_at.last() else { return Ok(removed) };
            last = *id;
            let unused: Vec<_> =
                looked_at.iter().filter(|(_, is_used)| !is_used).map(|(id, _)| *id).collect();
            if !unused.is_empty() {
                let unused = Many(unused);
                removed +=
                    self.db.execute(|connection| connection.query(REMOVE_RECORDS).bind(&unused)).await?;
            }
        }
    }

    /// The next records by id, and whether anything refers to them.
    async fn records_after(&self, last: Id) -> Result<Vec<(Id, bool)>, db::Error> {
        self.db.reader().await?.query_as(RECORDS).bind(last).bind(STEP).fetch_all().await
    }
}
