//! Sweeps records that nothing refers to any more, and whatever is older than the retention allows, without blocking the
//! creation of instances.

use std::convert::Infallible;

use chassis::{
    db::{self, ByDialect},
    sweep::{Retention, keep_sweeping, remove_older, remove_unused},
};
use chrono::{DateTime, Utc};
use common::id::{Id, NIL};

use super::Store;

/// Whether an instance, a task or the history refers to a record.
macro_rules! is_used {
    () => {
        "(EXISTS (SELECT 1 FROM instances WHERE record_id = records.id) \
         OR EXISTS (SELECT 1 FROM instance_tasks WHERE former_record_id = records.id) \
         OR EXISTS (SELECT 1 FROM instance_tasks WHERE target_record_id = records.id) \
         OR EXISTS (SELECT 1 FROM instance_history WHERE old_record_id = records.id) \
         OR EXISTS (SELECT 1 FROM instance_history WHERE new_record_id = records.id))"
    };
}

/// Records by id, and whether anything refers to them.
const RECORDS: &str = concat!("SELECT id, ", is_used!(), " FROM records WHERE id > $1 ORDER BY id LIMIT $2");

/// Removes those of the records `$1` that nothing refers to.
const REMOVE_RECORDS: ByDialect = ByDialect {
    sqlite: concat!("DELETE FROM records WHERE id IN (SELECT value FROM json_each($1)) AND NOT ", is_used!()),
    postgres: concat!("DELETE FROM records WHERE id = ANY($1) AND NOT ", is_used!()),
};

/// Reservations with metadata, by id, and whether they have instances; none ever gets new ones.
const METADATA: &str = "SELECT reservation_id, EXISTS (SELECT 1 FROM instances i WHERE i.reservation_id = m.reservation_id) \
     FROM reservation_metadata m WHERE reservation_id > $1 ORDER BY reservation_id LIMIT $2";

/// Removes the metadata of the reservations `$1`.
const REMOVE_METADATA: ByDialect = ByDialect {
    sqlite: "DELETE FROM reservation_metadata WHERE reservation_id IN (SELECT value FROM json_each($1))",
    postgres: "DELETE FROM reservation_metadata WHERE reservation_id = ANY($1)",
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
        let sql = "DELETE FROM create_requests WHERE (project_id, request_id) IN (SELECT project_id, request_id \
                   FROM create_requests WHERE create_time <= $1 ORDER BY create_time LIMIT $2)";
        remove_older(&self.db, sql, time).await
    }

    /// Removes the history of instances that were deleted before `time`, then metadata of reservations whose instances
    /// are all gone, then the records that nothing refers to; returns the number of records.
    ///
    /// An instance may be created from such a record at the same moment. Either it is committed first, and the foreign key
    /// protects the record, or the record is removed first, and because of the foreign key the instance is written again,
    /// together with the record.
    pub async fn sweep_once(&self, time: DateTime<Utc>) -> Result<u64, db::Error> {
        self.forget_deleted(time).await?;
        remove_unused(&self.db, String::new(), METADATA, REMOVE_METADATA).await?;
        remove_unused(&self.db, Id::from(NIL), RECORDS, REMOVE_RECORDS).await
    }

    /// Removes the history of instances that were deleted before `time`.
    async fn forget_deleted(&self, time: DateTime<Utc>) -> Result<u64, db::Error> {
        let sql = "DELETE FROM instance_history WHERE instance_id IN (SELECT instance_id FROM instance_history \
                   WHERE operation = 'delete' AND create_time <= $1 ORDER BY create_time LIMIT $2)";
        remove_older(&self.db, sql, time).await
    }
}
