//! Transfers in the database. They are written as part of a change of their volume.

use chassis::{
    db::{self, Micros, Transaction},
    page::Page,
    scope::Scope,
};
use chrono::{DateTime, Utc};
use common::id::Id;

use super::Store;
use crate::{
    error::Error,
    list::TransferOrder,
    quota::Growth,
    volume::{Transfer, Volume},
};

const ROWS: &str = "SELECT id, volume_id, name, project_id, without_snapshots, salt, key_hash, create_time FROM volume_transfers WHERE ";

/// What becomes of the offer of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferChange {
    /// It is offered.
    Offered(Transfer),
    /// It is taken, with its snapshots, by the project that it belongs to afterwards.
    Taken(Id),
    /// The offer is withdrawn.
    Withdrawn(Id),
}

#[derive(sqlx::FromRow)]
struct TransferRow {
    id: Id,
    volume_id: Id,
    name: String,
    project_id: String,
    without_snapshots: bool,
    salt: String,
    key_hash: String,
    #[sqlx(try_from = "Micros")]
    create_time: DateTime<Utc>,
}

impl From<TransferRow> for Transfer {
    fn from(row: TransferRow) -> Self {
        Self {
            id: row.id,
            volume_id: row.volume_id,
            name: row.name,
            project_id: row.project_id,
            without_snapshots: row.without_snapshots,
            salt: row.salt,
            key_hash: row.key_hash,
            create_time: row.create_time,
        }
    }
}

impl Store {
    /// The transfer with that id, if it is within `scope`; an error if the caller may not do with it what it requests.
    pub async fn transfer(&self, id: Id, scope: &Scope) -> Result<Option<Transfer>, Error> {
        let mut query = self.db.builder(ROWS);
        query.push("id = ").push_bind(id);
        scope.push(&mut query);
        let row: Option<TransferRow> = self.db.reader().await?.query_as(query).fetch_optional().await?;
        let transfer = row.map(Transfer::from);
        transfer.as_ref().map_or(Ok(()), |transfer| scope.check(id, &transfer.project_id))?;
        Ok(transfer)
    }

    /// A page of transfers within `scope`, oldest first.
    pub async fn list_transfers(
        &self,
        page: &Page<TransferOrder>,
        scope: &Scope,
    ) -> Result<Vec<Transfer>, Error> {
        let mut query = self.db.builder(ROWS);
        page.push_after(&mut query);
        scope.push(&mut query);
        page.push_end(&mut query);
        let rows: Vec<TransferRow> = self.db.reader().await?.query_as(query).fetch_all().await?;
        Ok(rows.into_iter().map(Transfer::from).collect())
    }

    /// What a project will use that takes a volume with its snapshots.
    pub async fn growth_of(&self, volume: &Volume) -> Result<Growth, Error> {
        let sql = "SELECT s.size_gib, y.name FROM snapshots s JOIN volume_types y ON y.id = s.volume_type_id \
                   WHERE s.volume_id = $1";
        let snapshots: Vec<(i32, String)> =
            self.db.reader().await?.query_as(sql).bind(volume.id).fetch_all().await?;
        let growth = Growth::volume(volume.size_gib, &volume.volume_type);
        Ok(snapshots.iter().fold(growth, |all, (size, name)| all.and(&Growth::snapshot(*size, name))))
    }
}

/// Writes what becomes of an offer, and of the snapshots of a volume that is taken, whose row is locked; `false` if the
/// offer is gone.
pub(super) async fn write_transfer(
    tx: &mut Transaction,
    change: &TransferChange,
    after: Option<&Volume>,
) -> Result<bool, Error> {
    let id = match change {
        TransferChange::Offered(offer) => {
            check_snapshots(tx, offer).await?;
            insert(tx, offer).await?;
            return Ok(true);
        }
        TransferChange::Taken(id) | TransferChange::Withdrawn(id) => *id,
    };
    let sql = "DELETE FROM volume_transfers WHERE id = $1";
    if tx.query(sql).bind(id).execute().await? == 0 {
        return Ok(false);
    }
    if let (TransferChange::Taken(_), Some(after)) = (change, after) {
        let sql = "UPDATE snapshots SET project_id = $2, user_id = $3, revision = revision + 1 WHERE volume_id = $1";
        tx.query(sql).bind(after.id).bind(&after.project_id).bind(&after.user_id).execute().await?;
    }
    Ok(true)
}

/// Refuses to offer a volume without its snapshots while it has some. While it is offered, it gets none.
async fn check_snapshots(tx: &mut Transaction, offer: &Transfer) -> Result<(), Error> {
    if !offer.without_snapshots {
        return Ok(());
    }
    let sql = "SELECT COUNT(*) FROM snapshots WHERE volume_id = $1";
    match tx.query_scalar(sql).bind(offer.volume_id).fetch_one().await? {
        0_i64 => Ok(()),
        count => Err(Error::OfferedWithoutSnapshots { id: offer.volume_id, count }),
    }
}

async fn insert(tx: &mut Transaction, offer: &Transfer) -> Result<(), db::Error> {
    tx.query(
        "INSERT INTO volume_transfers (id, volume_id, name, project_id, without_snapshots, salt, key_hash, create_time) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(offer.id)
    .bind(offer.volume_id)
    .bind(&offer.name)
    .bind(&offer.project_id)
    .bind(offer.without_snapshots)
    .bind(&offer.salt)
    .bind(&offer.key_hash)
    .bind(Micros(offer.create_time))
    .execute()
    .await?;
    Ok(())
}
