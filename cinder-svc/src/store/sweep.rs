//! Sweeps records that nothing refers to any more, and whatever is older than the retention allows, without blocking the
//! creation of volumes.

use std::convert::Infallible;

use chassis::{
    db::{self, ByDialect, Micros},
    sweep::{Retention, keep_sweeping, remove_older, remove_unused},
};
use chrono::{DateTime, Utc};
use common::id::{Id, NIL};

use super::Store;

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
        keep_sweeping(|| self.sweep_old(retention)).await
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
        remove_older(&self.db, sql, Micros(time)).await
    }

    /// Removes the history of volumes that were deleted before `time`, then the records that nothing refers to; returns
    /// the number of records. A volume may be created from such a record at the same moment: either it is committed
    /// first, and the foreign key protects the record, or the record is removed first, and because of the foreign key
    /// the volume is written again, together with the record.
    pub async fn sweep_once(&self, time: DateTime<Utc>) -> Result<u64, db::Error> {
        let sql = "DELETE FROM volume_history WHERE volume_id IN (SELECT volume_id FROM volume_history \
                   WHERE status IS NULL AND create_time <= $1 ORDER BY create_time LIMIT $2)";
        remove_older(&self.db, sql, Micros(time)).await?;
        remove_unused(&self.db, Id::from(NIL), RECORDS, REMOVE_RECORDS).await
    }
}
