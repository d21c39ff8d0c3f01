//! Snapshots in the database. Each refers to the record that its volume had at that moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chassis::{
    claims::claim,
    db::{self, ByDialect, Micros, QueryBuilder, Transaction, json, retrying},
    page::{MAX_BYTES, Page, Read},
    scope::Scope,
    turns::Decided,
};
use chrono::{DateTime, Utc};
use common::id::Id;
use sqlx::types::Json;

use super::{
    Store,
    claim::Claim,
    data::{Held, settle},
    list::VOLUMES,
    quota::Quotas,
};
use crate::{
    error::Error,
    list::{SnapshotFilter, SnapshotOrder},
    quota::{Growth, Quota},
    volume::{Record, Snapshot, SnapshotStatus, Storage, Volume, VolumeFailure},
};

const ROWS: &str = "SELECT id, volume_id, name, description, project_id, user_id, size_gib, volume_type_id, status, record_id, \
     bootable, metadata, storage, data_id, failure, revision, create_time, update_time FROM snapshots WHERE ";

const INSERT: ByDialect = ByDialect {
    sqlite: "INSERT INTO snapshots (id, volume_id, name, description, project_id, user_id, size_gib, volume_type_id, status, \
         record_id, bootable, metadata, storage, data_id, owner, revision, create_time, update_time) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, '', 1, $15, $15)",
    postgres: "INSERT INTO snapshots (id, volume_id, name, description, project_id, user_id, size_gib, volume_type_id, \
         status, record_id, bootable, metadata, storage, data_id, owner, revision, create_time, update_time) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::json, $13, $14, '', 1, $15, $15)",
};

const UPDATE: ByDialect = ByDialect {
    sqlite: "UPDATE snapshots SET revision = revision + 1, name = $3, description = $4, metadata = $5, status = $6, \
         failure = $7, data_id = $8, update_time = $9, \
         lease_time = CASE WHEN $6 = 'creating' THEN lease_time END WHERE id = $1 AND revision = $2",
    postgres: "UPDATE snapshots SET revision = revision + 1, name = $3, description = $4, metadata = $5::json, status = $6, \
         failure = $7::json, data_id = $8, update_time = $9, \
         lease_time = CASE WHEN $6 = 'creating' THEN lease_time END WHERE id = $1 AND revision = $2",
};

/// Whether the volume `$1` still has the revision `$2`, which it then keeps until the end of the transaction. SQLite has
/// one writer.
const LOCK_VOLUME: ByDialect = ByDialect {
    sqlite: "SELECT id FROM volumes WHERE id = $1 AND revision = $2",
    postgres: "SELECT id FROM volumes WHERE id = $1 AND revision = $2 FOR SHARE",
};

/// Whether the snapshot `$1` is being copied.
const IS_COPIED: &str = "SELECT EXISTS (SELECT 1 FROM volume_tasks WHERE snapshot_id = $1)";

/// An item of metadata, whose key and value follow.
const METADATA: ByDialect = ByDialect {
    sqlite: " AND EXISTS (SELECT 1 FROM json_each(metadata) item WHERE item.key = ",
    postgres: " AND EXISTS (SELECT 1 FROM json_each_text(metadata) AS item (key, value) WHERE item.key = ",
};

/// Number of snapshots for which records are read at once: each may have a different record, of some 1.5 MB.
const STEP: usize = 8;

/// A snapshot to be taken.
#[derive(Debug, Clone)]
pub struct SnapshotCreation {
    /// What its request claims.
    pub claim: Claim,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Its volume, which must still be like this.
    pub volume: Volume,
    /// The configured limits of its project.
    pub quota: Quota,
    /// What more its project will use.
    pub growth: Growth,
}

/// One change of a snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotChange {
    /// The snapshot before.
    pub before: Snapshot,
    /// The snapshot after, still with the revision of before; `None` if it is gone.
    pub after: Option<Snapshot>,
    /// What the request claims, if it is the request to delete it.
    pub deletion: Option<Claim>,
    /// When.
    pub time: DateTime<Utc>,
}

/// A row of `snapshots`.
#[derive(sqlx::FromRow)]
struct SnapshotRow {
    id: Id,
    volume_id: Id,
    name: String,
    description: String,
    project_id: String,
    user_id: String,
    size_gib: i32,
    volume_type_id: Id,
    status: String,
    record_id: Id,
    bootable: bool,
    metadata: Json<BTreeMap<String, String>>,
    storage: String,
    data_id: Option<Id>,
    failure: Option<Json<VolumeFailure>>,
    revision: i64,
    #[sqlx(try_from = "Micros")]
    create_time: DateTime<Utc>,
    #[sqlx(try_from = "Micros")]
    update_time: DateTime<Utc>,
}

impl SnapshotRow {
    fn snapshot(self, record: Arc<Record>) -> Result<Snapshot, Error> {
        let corrupt = || Error::Corrupt(self.id);
        Ok(Snapshot {
            status: SnapshotStatus::from_name(&self.status).ok_or_else(corrupt)?,
            storage: Storage::from_name(&self.storage).ok_or_else(corrupt)?,
            id: self.id,
            volume_id: self.volume_id,
            name: self.name,
            description: self.description,
            project_id: self.project_id,
            user_id: self.user_id,
            size_gib: self.size_gib,
            volume_type_id: self.volume_type_id,
            metadata: self.metadata.0,
            last_failure: self.failure.map(|failure| failure.0),
            record,
            bootable: self.bootable,
            data_id: self.data_id,
            revision: self.revision,
            create_time: self.create_time,
            update_time: self.update_time,
        })
    }
}

impl Held {
    /// The data of a snapshot; none if there is no snapshot.
    fn by_snapshot(snapshot: Option<&Snapshot>) -> Self {
        let data_id = snapshot.and_then(|snapshot| snapshot.data_id);
        match snapshot.map(|snapshot| snapshot.status) {
            Some(SnapshotStatus::Creating) => Self { stored: None, written: data_id },
            _ => Self { stored: data_id, written: None },
        }
    }
}

impl Store {
    /// The snapshot with that id, if it is within `scope`; an error if the caller may not do with it what it requests.
    pub async fn snapshot(&self, id: Id, scope: &Scope) -> Result<Option<Snapshot>, Error> {
        let mut query = self.db.builder(ROWS);
        query.push("id = ").push_bind(id);
        scope.push(&mut query);
        let row: Option<SnapshotRow> = self.db.reader().await?.query_as(query).fetch_optional().await?;
        let snapshot = self.complete_snapshots(row.into_iter().collect()).await?.items.pop();
        snapshot.as_ref().map_or(Ok(()), |snapshot| scope.check(id, &snapshot.project_id))?;
        Ok(snapshot)
    }

    /// The latest snapshot of a volume.
    pub async fn latest_snapshot(&self, volume_id: Id) -> Result<Option<Snapshot>, Error> {
        let mut query = self.db.builder(ROWS);
        query.push("volume_id = ").push_bind(volume_id).push(" ORDER BY create_time DESC, id DESC LIMIT 1");
        let row: Option<SnapshotRow> = self.db.reader().await?.query_as(query).fetch_optional().await?;
        Ok(self.complete_snapshots(row.into_iter().collect()).await?.items.pop())
    }

    /// A page of snapshots within `scope`, as far as it fits into an answer.
    pub async fn list_snapshots(
        &self,
        filter: &SnapshotFilter,
        page: &Page<SnapshotOrder>,
        scope: &Scope,
    ) -> Result<Read<Snapshot>, Error> {
        let mut query = self.db.builder(ROWS);
        page.push_after(&mut query);
        push_conditions(&mut query, filter);
        scope.push(&mut query);
        page.push_end(&mut query);
        let rows: Vec<SnapshotRow> = self.db.reader().await?.query_as(query).fetch_all().await?;
        self.complete_snapshots(rows).await
    }

    /// The first snapshots of these rows, as far as they fit into an answer, except those that were deleted in the
    /// meantime.
    async fn complete_snapshots(&self, rows: Vec<SnapshotRow>) -> Result<Read<Snapshot>, Error> {
        let (mut snapshots, mut bytes) = (Vec::with_capacity(rows.len()), 0);
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let step: Vec<_> = rows.by_ref().take(STEP).collect();
            let ids: BTreeSet<_> = step.iter().map(|row| row.record_id).collect();
            let records = self.records(ids.into_iter().collect()).await?;
            for row in step {
                let Some(record) = records.get(&row.record_id) else { continue };
                let snapshot = row.snapshot(Arc::clone(record))?;
                let metadata = snapshot.metadata.iter().map(|(key, value)| key.len() + value.len());
                bytes += snapshot.record.bytes() + metadata.sum::<usize>();
                snapshots.push(snapshot);
                if bytes > MAX_BYTES {
                    return Ok(Read { items: snapshots, is_cut: true });
                }
            }
        }
        Ok(snapshots.into())
    }

    /// Takes a snapshot of a volume as decided by `decide`, which reads the volume; it takes turns with changes of the
    /// volume. A snapshot that is returned has been written.
    pub async fn create_snapshot<F>(
        &self,
        volume_id: Id,
        scope: &Scope,
        decide: impl Fn() -> F,
    ) -> Result<Decided<SnapshotCreation, Snapshot>, Error>
    where
        F: Future<Output = Result<Decided<SnapshotCreation, Snapshot>, Error>>,
    {
        let attempt = async || match decide().await? {
            Decided::Change(new) if !retrying(|| self.try_create_snapshot(&new)).await? => Ok(None),
            decided => Ok::<_, Error>(Some(decided)),
        };
        let decided = self.turns.change(volume_id, || self.may_change(volume_id, scope), attempt).await?;
        decided.ok_or(Error::Contended { kind: "volume", id: volume_id })
    }

    /// Writes a snapshot; `false`, and nothing is written, if its volume has changed in the meantime, or an earlier
    /// attempt of the request has claimed its id.
    async fn try_create_snapshot(&self, new: &SnapshotCreation) -> Result<bool, Error> {
        let SnapshotCreation { snapshot, volume, quota, growth, .. } = new;
        let mut tx = self.db.begin().await?;
        if !is_claimed(&mut tx, &new.claim).await? {
            return Ok(false);
        }
        Quotas::check(&mut tx, quota, &snapshot.project_id, growth).await?;
        let locked: Option<Id> =
            tx.query_scalar(LOCK_VOLUME).bind(volume.id).bind(volume.revision).fetch_optional().await?;
        if locked.is_none() {
            return Ok(false);
        }
        settle(&mut tx, snapshot.id, Held::default(), Held::by_snapshot(Some(snapshot))).await?;
        insert(&mut tx, snapshot).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Changes a snapshot as decided by `decide`, which reads it. A change that is returned has been written.
    pub async fn change_snapshot<T, F>(
        &self,
        id: Id,
        scope: &Scope,
        decide: impl Fn() -> F,
    ) -> Result<Decided<SnapshotChange, T>, Error>
    where
        F: Future<Output = Result<Decided<SnapshotChange, T>, Error>>,
    {
        let attempt = async || match decide().await? {
            Decided::Change(change) if !retrying(|| self.try_change_snapshot(&change)).await? => Ok(None),
            decided => Ok::<_, Error>(Some(decided)),
        };
        let decided = self.turns.change(id, || self.may_change_snapshot(id, scope), attempt).await?;
        decided.ok_or(Error::Contended { kind: "snapshot", id })
    }

    async fn try_change_snapshot(&self, change: &SnapshotChange) -> Result<bool, Error> {
        let SnapshotChange { before, after, deletion, time } = change;
        let mut tx = self.db.begin().await?;
        if let Some(wanted) = deletion
            && !is_claimed(&mut tx, wanted).await?
        {
            return Ok(false);
        }
        if !update(&mut tx, before, after.as_ref().unwrap_or(before), *time).await? {
            return Ok(false);
        }
        if deletion.is_some() {
            let is_copied: bool = tx.query_scalar(IS_COPIED).bind(before.id).fetch_one().await?;
            if is_copied {
                return Err(Error::SnapshotBeingCopied(before.id));
            }
        }
        if after.is_none() {
            tx.query("DELETE FROM snapshots WHERE id = $1").bind(before.id).execute().await?;
        }
        let held = (Held::by_snapshot(Some(before)), Held::by_snapshot(after.as_ref()));
        settle(&mut tx, before.id, held.0, held.1).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Whether the snapshot exists, and may be changed within `scope`.
    async fn may_change_snapshot(&self, id: Id, scope: &Scope) -> Result<bool, Error> {
        let Some(allowed) = scope.allowed() else { return Ok(false) };
        let mut query = self.db.builder("SELECT 1 FROM snapshots WHERE id = ");
        query.push_bind(id);
        allowed.push(&mut query);
        let found: Option<i32> = self.db.reader().await?.query_scalar(query).fetch_optional().await?;
        Ok(found.is_some())
    }
}

/// Claims the id of a request, if it has one; `false` if it is taken.
async fn is_claimed(tx: &mut Transaction, wanted: &Claim) -> Result<bool, db::Error> {
    Ok(wanted.request_id.is_none() || !claim(tx, [wanted].into_iter()).await?.is_empty())
}

/// Adds the conditions of a filter.
fn push_conditions(query: &mut QueryBuilder, filter: &SnapshotFilter) {
    for (condition, value) in &filter.columns {
        value.push_bind(query.push(" AND ").push(condition));
    }
    for (key, value) in &filter.metadata {
        query.push_by_dialect(METADATA).push_bind(key);
        query.push(" AND item.value = ").push_bind(value).push(")");
    }
    if !filter.records.is_empty() {
        query.push(" AND record_id IN (");
        filter.records.push_ids(query, VOLUMES.values);
        query.push(")");
    }
}

async fn insert(tx: &mut Transaction, new: &Snapshot) -> Result<(), db::Error> {
    tx.query(INSERT)
        .bind(new.id)
        .bind(new.volume_id)
        .bind(&new.name)
        .bind(&new.description)
        .bind(&new.project_id)
        .bind(&new.user_id)
        .bind(new.size_gib)
        .bind(new.volume_type_id)
        .bind(new.status.as_str())
        .bind(new.record.id)
        .bind(new.bootable)
        .bind(json(&new.metadata))
        .bind(new.storage.as_str())
        .bind(new.data_id)
        .bind(Micros(new.create_time))
        .execute()
        .await?;
    Ok(())
}

/// Updates a snapshot as it is after a change, or as it was before it goes; `false` if it has changed in the meantime.
async fn update(
    tx: &mut Transaction,
    before: &Snapshot,
    written: &Snapshot,
    time: DateTime<Utc>,
) -> Result<bool, db::Error> {
    let updated = tx
        .query(UPDATE)
        .bind(before.id)
        .bind(before.revision)
        .bind(&written.name)
        .bind(&written.description)
        .bind(json(&written.metadata))
        .bind(written.status.as_str())
        .bind(written.last_failure.as_ref().map(json))
        .bind(written.data_id)
        .bind(Micros(time))
        .execute()
        .await?;
    Ok(updated == 1)
}
