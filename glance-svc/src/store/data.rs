//! What lies in the data store, as the database knows it: nothing is written there that is not noted here
//! first, and nothing is forgotten here that is not removed there first.

use chassis::db::{self, Transaction, retrying};
use chrono::{DateTime, TimeDelta, Utc};
use common::id::Id;

use super::Store;
use crate::error::Error;

/// What becomes of the data of an image, together with a change of the image.
#[derive(Debug, Clone, Copy)]
pub enum DataStep {
    /// Nothing.
    None,
    /// An upload begins; it is lost unless its lease is renewed.
    Begin {
        /// Id of the data.
        data: Id,
        /// When the lease ends.
        lease: DateTime<Utc>,
    },
    /// The upload with this id is complete.
    Finish(Id),
    /// The upload with this id is given up; what it wrote is to be removed.
    Abandon(Id),
}

/// Data that are no image's: of an upload that nobody goes on with, or to be removed.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OrphanedData {
    /// Id of the data.
    pub id: Id,
    /// The image they are or were of, which may be gone.
    pub image_id: Id,
    /// Whether they are still noted as being uploaded.
    pub is_upload: bool,
    /// The data store's id of the upload, or empty.
    pub upload_id: String,
    /// How often it was tried in vain to remove them.
    pub attempts: i64,
}

/// Takes `step` in the transaction that changes the image `id`; `false` if there is no such upload to finish.
pub(super) async fn take_step(tx: &mut Transaction, id: Id, step: DataStep) -> Result<bool, db::Error> {
    match step {
        DataStep::None => Ok(true),
        DataStep::Begin { data, lease } => {
            tx.query(
                "INSERT INTO image_data (id, image_id, state, lease_time) VALUES ($1, $2, 'uploading', $3)",
            )
            .bind(data)
            .bind(id)
            .bind(lease)
            .execute()
            .await?;
            Ok(true)
        }
        DataStep::Finish(data) => {
            let finished = tx
                .query("UPDATE image_data SET state = 'stored' WHERE id = $1 AND state = 'uploading'")
                .bind(data)
                .execute()
                .await?;
            Ok(finished > 0)
        }
        DataStep::Abandon(data) => {
            discard(tx, data).await?;
            Ok(true)
        }
    }
}

/// Notes that what an upload wrote is to be removed, unless it is complete.
async fn discard(tx: &mut Transaction, data: Id) -> Result<(), db::Error> {
    tx.query("UPDATE image_data SET state = 'deleting' WHERE id = $1 AND state = 'uploading'")
        .bind(data)
        .execute()
        .await?;
    Ok(())
}

impl Store {
    /// Notes the data store's own id of an upload, by which it can be given up; `false` if it is lost.
    pub async fn record_upload(&self, data: Id, upload_id: &str) -> Result<bool, Error> {
        let sql = "UPDATE image_data SET upload_id = $2 WHERE id = $1";
        let noted = self.db.execute(|connection| connection.query(sql).bind(data).bind(upload_id)).await?;
        Ok(noted > 0)
    }

    /// When a lease of this length ends that begins now, by the clock of the database: another process compares it.
    pub async fn end_of_lease(&self, length: TimeDelta) -> Result<DateTime<Utc>, Error> {
        Ok(self.db.now().await? + length)
    }

    /// Renews the lease of an upload; `false` if it is lost.
    pub async fn renew_lease(&self, data: Id, lease: DateTime<Utc>) -> Result<bool, Error> {
        let sql = "UPDATE image_data SET lease_time = $2 WHERE id = $1 AND state = 'uploading'";
        let renewed = self.db.execute(|connection| connection.query(sql).bind(data).bind(lease)).await?;
        Ok(renewed > 0)
    }

    /// Some of the data that are to be removed, and of the uploads whose lease has ended; not those that are to be tried
    /// later.
    pub async fn orphaned_data(&self) -> Result<Vec<OrphanedData>, Error> {
        let now = self.db.now().await?;
        let sql = "SELECT id, image_id, state = 'uploading' AS is_upload, upload_id, attempts FROM image_data \
                   WHERE state <> 'stored' AND (state = 'deleting' OR lease_time < $1) AND next_time <= $1 \
                   ORDER BY next_time LIMIT 100";
        Ok(self.db.reader().await?.query_as(sql).bind(now).fetch_all().await?)
    }

    /// The data of an image that are to be removed.
    pub async fn removable_of(&self, image: Id) -> Result<Vec<OrphanedData>, Error> {
        let sql = "SELECT id, image_id, FALSE AS is_upload, upload_id, attempts FROM image_data \
                   WHERE image_id = $1 AND state = 'deleting' LIMIT 100";
        Ok(self.db.reader().await?.query_as(sql).bind(image).fetch_all().await?)
    }

    /// Notes that data could not be removed, and are not to be tried again before this long from now.
    pub async fn postpone(&self, data: Id, wait: TimeDelta) -> Result<(), Error> {
        let next = self.db.now().await? + wait;
        let sql = "UPDATE image_data SET next_time = $2, attempts = attempts + 1 \
                   WHERE id = $1 AND state = 'deleting'";
        self.db.execute(|connection| connection.query(sql).bind(data).bind(next)).await?;
        Ok(())
    }

    /// Notes that what an upload wrote is to be removed; `false` if it is complete, and belongs to its image.
    pub async fn discard(&self, data: Id) -> Result<bool, Error> {
        Ok(retrying(|| self.try_discard(data)).await?)
    }

    async fn try_discard(&self, data: Id) -> Result<bool, db::Error> {
        let mut tx = self.db.begin().await?;
        discard(&mut tx, data).await?;
        let is_stored: bool = tx
            .query_scalar("SELECT EXISTS (SELECT 1 FROM image_data WHERE id = $1 AND state = 'stored')")
            .bind(data)
            .fetch_one()
            .await?;
        tx.commit().await?;
        Ok(!is_stored)
    }

    /// Forgets data that have been removed.
    pub async fn forget_data(&self, data: Id) -> Result<(), Error> {
        let sql = "DELETE FROM image_data WHERE id = $1 AND state = 'deleting'";
        self.db.execute(|connection| connection.query(sql).bind(data)).await?;
        Ok(())
    }
}
