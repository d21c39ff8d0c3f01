//! Who makes the data of snapshots that cinder-svc keeps itself. Times are by the database's clock, which all replicas
//! share.

use chassis::db::Micros;
use chrono::TimeDelta;
use common::id::Id;

use super::Store;
use crate::error::Error;

/// A snapshot whose data nobody is making.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DueSnapshot {
    /// Its id.
    pub id: Id,
    /// The process that began to make it, and has died since; empty if none has.
    pub owner: String,
}

impl Store {
    /// Snapshots whose data nobody is making, oldest first.
    pub async fn due_snapshots(&self, limit: i64) -> Result<Vec<DueSnapshot>, Error> {
        let now = self.db.now().await?;
        let sql = "SELECT id, owner FROM snapshots WHERE status = 'creating' AND storage = 'directory' \
                   AND (lease_time IS NULL OR lease_time <= $1) ORDER BY create_time LIMIT $2";
        Ok(self.db.reader().await?.query_as(sql).bind(Micros(now)).bind(limit).fetch_all().await?)
    }

    /// Takes a snapshot for a process, for as long as `lease`; `false` if somebody else was faster.
    pub async fn claim_snapshot(
        &self,
        due: &DueSnapshot,
        owner: &str,
        lease: TimeDelta,
    ) -> Result<bool, Error> {
        let now = self.db.now().await?;
        let sql = "UPDATE snapshots SET owner = $3, lease_time = $4 WHERE id = $1 AND owner = $2 \
                   AND status = 'creating' AND (lease_time IS NULL OR lease_time <= $5)";
        let claimed = self.db.execute(|connection| {
            let query = connection.query(sql).bind(due.id).bind(&due.owner).bind(owner);
            query.bind(Micros(now + lease)).bind(Micros(now))
        });
        Ok(claimed.await? > 0)
    }

    /// Renews the lease of a snapshot; `false` if it is lost.
    pub async fn renew_snapshot(&self, id: Id, owner: &str, lease: TimeDelta) -> Result<bool, Error> {
        let end = self.db.now().await? + lease;
        let sql = "UPDATE snapshots SET lease_time = $3 WHERE id = $1 AND owner = $2 AND status = 'creating'";
        let renewed = self
            .db
            .execute(|connection| connection.query(sql).bind(id).bind(owner).bind(Micros(end)))
            .await?;
        Ok(renewed > 0)
    }
}
