//! The data that cinder-svc keeps itself: nothing is in the folder that is not recorded here first, and nothing is
//! forgotten here that is not removed there first.

use chassis::db::{self, Micros, Transaction};
use chrono::TimeDelta;
use common::id::Id;

use super::Store;
use crate::{error::Error, volume::Volume};

/// Data that nobody needs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct RemovableData {
    /// Its id.
    pub id: Id,
    /// How often it was tried in vain to remove it.
    pub attempts: i64,
}

/// The data of a volume or snapshot: what it has, and what is being written for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) stored: Option<Id>,
    pub(super) written: Option<Id>,
}

impl Held {
    /// The data of a volume; none if there is no volume.
    pub(super) fn by(volume: Option<&Volume>) -> Self {
        let stored = volume.and_then(|volume| volume.data_id);
        let written = volume.and_then(|volume| volume.task.as_ref()?.target.data_id);
        Self { stored, written }
    }

    fn ids(self) -> impl Iterator<Item = Id> {
        self.stored.into_iter().chain(self.written)
    }
}

/// Records what becomes of data when its owner changes: what it no longer has is to be removed.
pub(super) async fn settle(
    tx: &mut Transaction,
    owner: Id,
    before: Held,
    after: Held,
) -> Result<(), db::Error> {
    if let Some(id) = after.written.filter(|id| !before.ids().any(|known| known == *id)) {
        let sql = "INSERT INTO volume_data (id, owner_id, state) VALUES ($1, $2, 'writing')";
        tx.query(sql).bind(id).bind(owner).execute().await?;
    }
    if let Some(id) = after.stored.filter(|id| before.stored != Some(*id)) {
        let sql = "UPDATE volume_data SET state = 'stored' WHERE id = $1 AND state = 'writing'";
        tx.query(sql).bind(id).execute().await?;
    }
    for id in before.ids().filter(|id| !after.ids().any(|kept| kept == *id)) {
        tx.query("UPDATE volume_data SET state = 'deleting' WHERE id = $1").bind(id).execute().await?;
    }
    Ok(())
}

impl Store {
    /// Whether data is recorded, whatever is to become of it.
    pub async fn has_data(&self, id: Id) -> Result<bool, Error> {
        let sql = "SELECT EXISTS (SELECT 1 FROM volume_data WHERE id = $1)";
        Ok(self.db.reader().await?.query_scalar(sql).bind(id).fetch_one().await?)
    }

    /// Some of the data that is to be removed, without what is to be tried later.
    pub async fn removable_data(&self) -> Result<Vec<RemovableData>, Error> {
        let now = self.db.now().await?;
        let sql = "SELECT id, attempts FROM volume_data WHERE state = 'deleting' AND next_time <= $1 \
                   ORDER BY next_time LIMIT 100";
        Ok(self.db.reader().await?.query_as(sql).bind(Micros(now)).fetch_all().await?)
    }

    /// Data that was of a volume or snapshot, and is to be removed.
    pub async fn removable_data_of(&self, owner: Id) -> Result<Vec<RemovableData>, Error> {
        let sql = "SELECT id, attempts FROM volume_data WHERE owner_id = $1 AND state = 'deleting' LIMIT 100";
        Ok(self.db.reader().await?.query_as(sql).bind(owner).fetch_all().await?)
    }

    /// Records that data could not be removed, and is not to be tried again before this long from now.
    pub async fn postpone_data(&self, id: Id, pause: TimeDelta) -> Result<(), Error> {
        let next = self.db.now().await? + pause;
        let sql = "UPDATE volume_data SET next_time = $2, attempts = attempts + 1 \
                   WHERE id = $1 AND state = 'deleting'";
        self.db.execute(|connection| connection.query(sql).bind(id).bind(Micros(next))).await?;
        Ok(())
    }

    /// Forgets data that has been removed.
    pub async fn forget_data(&self, id: Id) -> Result<(), Error> {
        let sql = "DELETE FROM volume_data WHERE id = $1 AND state = 'deleting'";
        self.db.execute(|connection| connection.query(sql).bind(id)).await?;
        Ok(())
    }
}
