//! Collects records that no instance is made of any more, without stopping whoever creates instances.

use std::{convert::Infallible, time::Duration};

use common::{
    db::{Dialect as _, Error as DbError, Many, retrying},
    id::{Id, NIL},
    in_transaction, on_db,
};
use tokio::time::sleep;

use super::Store;

/// How often records are looked through.
const INTERVAL: Duration = Duration::from_mins(1);

/// As many records as are looked at in one statement, and removed in one transaction.
const STEP: usize = 500;

impl Store {
    /// Removes records that nothing refers to, again and again.
    pub async fn sweep(&self) -> Infallible {
        loop {
            sleep(INTERVAL).await;
            if let Err(error) = self.sweep_once().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "unused records are left for later");
            }
        }
    }

    /// Removes the records that nothing refers to; gives their number.
    ///
    /// An instance may be made of such a record at the same moment: either it is committed first, and the foreign key
    /// keeps the record, or the record goes first, and the foreign key has the instance written again, record and
    /// all.
    pub async fn sweep_once(&self) -> Result<usize, DbError> {
        let (mut removed, mut last) = (0, Id::from(NIL));
        loop {
            let looked_at = self.records_after(last).await?;
            let Some((id, _)) = looked_at.last() else { return Ok(removed) };
            last = *id;
            let unused: Vec<_> =
                looked_at.iter().filter(|(_, is_used)| !is_used).map(|(id, _)| *id).collect();
            if !unused.is_empty() {
                removed += retrying(|| self.remove_records(&unused)).await?;
            }
        }
    }

    /// The next records by id, and whether an instance is made of them.
    async fn records_after(&self, last: Id) -> Result<Vec<(Id, bool)>, DbError> {
        Ok(on_db!(self.db, |connection| {
            sqlx::query_as(
                "SELECT id, EXISTS (SELECT 1 FROM instances WHERE record_id = records.id) \
                 FROM records WHERE id > $1 ORDER BY id LIMIT $2",
            )
            .bind(last)
            .bind(i64::try_from(STEP).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await?
        }))
    }

    /// Removes those of these records that still nothing refers to.
    async fn remove_records(&self, ids: &[Id]) -> Result<usize, DbError> {
        let removed = in_transaction!(self.db, |tx| {
            sqlx::query(tx.pick(
                "DELETE FROM records WHERE id IN (SELECT value FROM json_each($1)) \
                 AND NOT EXISTS (SELECT 1 FROM instances WHERE record_id = records.id)",
                "DELETE FROM records WHERE id = ANY($1) \
                 AND NOT EXISTS (SELECT 1 FROM instances WHERE record_id = records.id)",
            ))
            .bind(Many(ids.to_vec()))
            .execute(&mut *tx)
            .await?
            .rows_affected()
        });
        Ok(usize::try_from(removed).unwrap_or(usize::MAX))
    }
}
