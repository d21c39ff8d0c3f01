//! Creating volumes. Requests in flight share a transaction, and each is written as a whole or not at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chassis::{
    claims::{Claims, create_once},
    db::{self, Connection, Db, Dialect, Many, Transaction, all_or_each, as_micros, json},
    group::{BatchLimits, Group},
    records::{KnownRows, write_records},
    scope::Scope,
};
use chrono::{DateTime, Utc};
use common::id::Id;
use serde::Serialize;

use super::{
    Store,
    change::{write_metadata, write_task},
    claim::Claim,
    data::{Held, settle},
    quota::{Quotas, limits},
    record::RecordRow,
    sources::{check_source, lock_sources},
    volume_type::{check_type, lock_types},
};
use crate::{
    error::Error,
    quota::{Growth, Quota},
    volume::{Record, Volume},
};

/// As many requests as share a transaction, and how long the next transaction waits for the one before it: a
/// request id may be locked by another replica.
const LIMITS: BatchLimits =
    BatchLimits { name: "volume creates", batch: 128, patience: Duration::from_millis(20) };

/// Bytes of a batch, by [`Creation`]'s size: what is made of them on the way to the database takes a few times as many.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Rows for SQLite, which arrive as one JSON text, so that the statement stays prepared however many there are.
const FEW: &str = "INSERT INTO volumes (id, name, description, project_id, user_id, size_gib, volume_type_id, \
     availability_zone, status, record_id, bootable, multiattach, read_only, snapshot_id, source_volume_id, storage, \
     host, revision, create_time, update_time) \
     SELECT value ->> 'id', value ->> 'name', value ->> 'description', value ->> 'project_id', value ->> 'user_id', \
     value ->> 'size_gib', value ->> 'volume_type_id', value ->> 'availability_zone', value ->> 'status', \
     value ->> 'record_id', value ->> 'bootable', value ->> 'multiattach', FALSE, value ->> 'snapshot_id', \
     value ->> 'source_volume_id', value ->> 'storage', '', 1, value ->> 'create_time', value ->> 'create_time' \
     FROM json_each($1)";

/// Rows for PostgreSQL, a column at a time.
const COLUMNS: &str = "INSERT INTO volumes (id, name, description, project_id, user_id, size_gib, volume_type_id, \
     availability_zone, status, record_id, bootable, multiattach, read_only, snapshot_id, source_volume_id, storage, \
     host, revision, create_time, update_time) \
     SELECT id, name, description, project_id, user_id, size_gib, volume_type_id, availability_zone, status, record_id, \
     bootable, multiattach, FALSE, snapshot_id, source_volume_id, storage, '', 1, create_time, create_time \
     FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::uuid[], $8::text[], \
     $9::text[], $10::uuid[], $11::boolean[], $12::boolean[], $13::uuid[], $14::uuid[], $15::text[], \
     $16::timestamptz[]) AS volume (id, name, description, project_id, user_id, size_gib, volume_type_id, \
     availability_zone, status, record_id, bootable, multiattach, snapshot_id, source_volume_id, storage, create_time)";

/// A volume to be created.
#[derive(Debug)]
pub struct Creation {
    /// What it claims first.
    pub claim: Claim,
    /// What its caller can see of what it created before.
    pub scope: Scope,
    /// About how many bytes are to be written.
    pub size: usize,
    /// The volume.
    pub volume: Volume,
    /// The configured limits of its project.
    pub quota: Quota,
    /// What more its project will use.
    pub growth: Growth,
}

/// What became of a request: `None` if its request id is taken.
pub(super) type Outcome = Result<Option<()>, Error>;

/// The requests that wait to be written.
pub(super) type Creations = Group<Arc<Creation>, Outcome>;

/// A group that writes to `db`.
pub(super) fn creations(db: Db) -> Creations {
    let writer = Writer { db, known: Arc::default() };
    Group::sized(
        LIMITS,
        BATCH_BYTES,
        |creation| creation.size,
        move |batch: Vec<Arc<Creation>>| {
            let writer = writer.clone();
            async move { all_or_each(&batch, |batch| writer.create_all(batch)).await }
        },
    )
}

/// What writes batches.
#[derive(Clone)]
struct Writer {
    db: Db,
    known: Arc<KnownRows>,
}

impl Store {
    /// Writes the volume of a request. If another request with the same id came first, the answer is what that one
    /// created, as it is now.
    pub async fn create(&self, creation: Creation) -> Result<Volume, Error> {
        let creation = Arc::new(creation);
        let create = async || {
            let outcome = self.creations.submit(Arc::clone(&creation)).await.map_err(db::Error::from)?;
            Ok(outcome?.map(|()| creation.volume.clone()))
        };
        let find = || self.created(&creation.claim, &creation.scope);
        let volume = create_once(create, find).await?;
        volume.ok_or_else(|| creation.claim.contended())
    }

    /// The volume that an earlier request with the same id created, as it is now.
    pub async fn created(&self, claim: &Claim, scope: &Scope) -> Result<Option<Volume>, Error> {
        let Some(id) = self.claimed(claim).await? else { return Ok(None) };
        self.volume(id, scope).await?.map(Some).ok_or(Error::VolumeNotFound(id))
    }
}

impl Writer {
    /// Writes all of a batch, in one transaction unless a single statement does it.
    async fn create_all(&self, batch: &[Arc<Creation>]) -> Result<Vec<Outcome>, db::Error> {
        let volumes: Vec<_> = batch.iter().map(|creation| &creation.volume).collect();
        let is_plain = |creation: &Arc<Creation>| {
            let Volume { metadata, task, .. } = &creation.volume;
            metadata.is_empty() && task.is_none()
        };
        let projects: BTreeSet<_> = volumes.iter().map(|volume| volume.project_id.as_str()).collect();
        let Some(quota) = batch.first().map(|creation| creation.quota) else { return Ok(Vec::new()) };
        let limits = limits(&mut self.db.reader().await?, &quota, &projects).await?;
        let mut claims = Claims::of(batch, |creation| &creation.claim);
        let is_one_statement = claims.is_empty() && limits.is_empty() && batch.iter().all(is_plain);
        let is_known = self.known.hold(&needed(&volumes));
        if is_one_statement && is_known {
            // If that fails, one of the records may just have been swept, or one of the volume types deleted.
            let mut connection = self.db.writer().await?;
            write_rows(&mut connection, &volumes).await.inspect_err(|_| self.known.clear())?;
            return Ok(batch.iter().map(|_| Ok(Some(()))).collect());
        }
        let mut tx = self.db.begin().await?;
        claims.take(&mut tx).await?;
        let mut quotas = Quotas::lock(&mut tx, limits).await?;
        let types = volumes.iter().filter(|_| !is_known).map(|volume| volume.volume_type_id).collect();
        let deleted = lock_types(&mut tx, &types).await?;
        let unusable = lock_sources(&mut tx, &volumes).await?;
        let outcomes = claims.decide(|creation| {
            check_type(&creation.volume, &deleted)?;
            check_source(&creation.volume, &unusable)?;
            quotas.grow(&creation.volume.project_id, &creation.growth)
        });
        claims.settle(&mut tx).await?;
        let created = batch.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, Ok(Some(()))));
        let volumes: Vec<_> = created.map(|(creation, _)| &creation.volume).collect();
        write(&mut tx, &volumes).await.inspect_err(|_| self.known.clear())?;
        tx.commit().await?;
        self.known.add(&needed(&volumes));
        Ok(outcomes)
    }
}

/// Writes volumes with all that belongs to them.
async fn write(tx: &mut Transaction, volumes: &[&Volume]) -> Result<(), db::Error> {
    write_records(tx, records_of(volumes), RecordRow::from).await?;
    write_rows(tx, volumes).await?;
    let metadata: Vec<_> = volumes.iter().map(|volume| (volume.id, &volume.metadata)).collect();
    write_metadata(tx, &metadata).await?;
    for volume in volumes.iter().filter(|volume| volume.task.is_some()) {
        settle(tx, volume.id, Held::default(), Held::by(Some(volume))).await?;
        write_task(tx, volume.id, volume.task.as_ref()).await?;
    }
    Ok(())
}

/// The rows that volumes refer to: their records and volume types.
fn needed(volumes: &[&Volume]) -> BTreeSet<Id> {
    let types = volumes.iter().map(|volume| volume.volume_type_id);
    records_of(volumes).into_keys().chain(types).collect()
}

/// The records of volumes and their tasks, each once.
fn records_of<'a>(volumes: &[&'a Volume]) -> BTreeMap<Id, &'a Record> {
    let targets = volumes.iter().filter_map(|volume| volume.task.as_ref()?.target.record.as_ref());
    let records = volumes.iter().map(|volume| &volume.record).chain(targets);
    records.map(|record| (record.id, &**record)).collect()
}

/// A row of `volumes`, in JSON as SQLite takes it.
#[derive(Debug, Serialize)]
struct NewRow<'a> {
    id: Id,
    name: &'a str,
    description: &'a str,
    project_id: &'a str,
    user_id: &'a str,
    size_gib: i32,
    volume_type_id: Id,
    availability_zone: &'a str,
    status: &'static str,
    record_id: Id,
    bootable: bool,
    multiattach: bool,
    snapshot_id: Option<Id>,
    source_volume_id: Option<Id>,
    storage: &'static str,
    #[serde(serialize_with = "as_micros")]
    create_time: DateTime<Utc>,
}

impl<'a> From<&'a Volume> for NewRow<'a> {
    fn from(volume: &'a Volume) -> Self {
        Self {
            id: volume.id,
            name: &volume.name,
            description: &volume.description,
            project_id: &volume.project_id,
            user_id: &volume.user_id,
            size_gib: volume.size_gib,
            volume_type_id: volume.volume_type_id,
            availability_zone: &volume.availability_zone,
            status: volume.status.as_str(),
            record_id: volume.record.id,
            bootable: volume.bootable,
            multiattach: volume.multiattach,
            snapshot_id: volume.snapshot_id,
            source_volume_id: volume.source_volume_id,
            storage: volume.storage.as_str(),
            create_time: volume.create_time,
        }
    }
}

/// Writes the rows of volumes in one statement.
async fn write_rows(connection: &mut Connection, volumes: &[&Volume]) -> Result<(), db::Error> {
    if volumes.is_empty() {
        return Ok(());
    }
    if connection.dialect() == Dialect::Sqlite {
        let rows: Vec<_> = volumes.iter().copied().map(NewRow::from).collect();
        connection.query(FEW).bind(json(&rows)).execute().await?;
        return Ok(());
    }
    connection
        .query(COLUMNS)
        .bind(column(volumes, |volume| volume.id))
        .bind(column(volumes, |volume| volume.name.as_str()))
        .bind(column(volumes, |volume| volume.description.as_str()))
        .bind(column(volumes, |volume| volume.project_id.as_str()))
        .bind(column(volumes, |volume| volume.user_id.as_str()))
        .bind(column(volumes, |volume| volume.size_gib))
        .bind(column(volumes, |volume| volume.volume_type_id))
        .bind(column(volumes, |volume| volume.availability_zone.as_str()))
        .bind(column(volumes, |volume| volume.status.as_str()))
        .bind(column(volumes, |volume| volume.record.id))
        .bind(column(volumes, |volume| volume.bootable))
        .bind(column(volumes, |volume| volume.multiattach))
        .bind(column(volumes, |volume| volume.snapshot_id))
        .bind(column(volumes, |volume| volume.source_volume_id))
        .bind(column(volumes, |volume| volume.storage.as_str()))
        .bind(column(volumes, |volume| volume.create_time))
        .execute()
        .await?;
    Ok(())
}

/// The values of a column.
fn column<'a, T>(volumes: &[&'a Volume], value: impl Fn(&'a Volume) -> T) -> Many<T> {
    Many(volumes.iter().copied().map(value).collect())
}
