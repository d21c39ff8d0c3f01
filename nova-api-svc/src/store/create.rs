//! Creating instances. Requests in flight share a transaction, and each is written as a whole or not at all.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use chassis::{
    claims::{Claims, create_once},
    db::{self, Db, Transaction, all_or_each},
    group::{BatchLimits, Group},
    quota::lock_projects,
    records::{KnownRows, write_records},
};
use common::id::Id;

use super::{
    Store,
    claim::Claim,
    quota::usage,
    rows::{InstanceRow, MetadataRow, RecordRow},
    volume_job::VolumeJob,
    volume_jobs::{put_volume_jobs, take_volume_jobs},
    write_devices::write_devices,
    write_instances::{is_one_statement, write_instances, write_metadata},
};
use crate::{
    error::{Error, VolumeError},
    instance::{Instance, Record, Reservation, Scope},
    quota::{Quota, Usage},
};

/// As many requests as share a transaction, and how long the next transaction waits for the one before it: a
/// request id or a quota may be locked by another replica.
const LIMITS: BatchLimits = BatchLimits { name: "creates", batch: 128, patience: Duration::from_millis(20) };

/// Bytes of a batch, by [`Creation`]'s size: what is made of them on the way to the database takes a few times as many.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Provisions the instances of a request for a project with that usage, or refuses.
pub type Provision = Box<dyn Fn(&Usage) -> Result<Reservation, Error> + Send + Sync>;

/// A request to create instances, all of them or none.
pub struct Creation {
    /// What it claims first.
    pub claim: Claim,
    /// What its caller can see of what it created before.
    pub scope: Scope,
    /// The project's quota.
    pub quota: Quota,
    /// About how many bytes are to be written.
    pub size: usize,
    /// Provisions the instances.
    pub provision: Provision,
    /// The jobs that take back what was prepared for its instances, unless they come to be.
    pub jobs: Vec<VolumeJob>,
}

impl fmt::Debug for Creation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Creation").field("claim", &self.claim).finish_non_exhaustive()
    }
}

/// What became of a request: `None` if its request id is taken.
pub(super) type Outcome = Result<Option<Reservation>, Error>;

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
    /// Writes what a request creates. If another request with the same id came first, the answer is what that one
    /// created. If that one was refused, or is so old that it was swept, this one is tried in its own right.
    pub async fn create(&self, creation: Creation) -> Result<Reservation, Error> {
        let creation = Arc::new(creation);
        let create =
            || async { self.creations.submit(Arc::clone(&creation)).await.map_err(db::Error::from)? };
        let find = || self.find_reservation(&creation.claim, &creation.scope);
        let reservation = create_once(create, find).await?;
        reservation
            .ok_or_else(|| Error::RequestContended(creation.claim.request_id.clone().unwrap_or_default()))
    }
}

impl Writer {
    /// Writes all of a batch in one transaction.
    async fn create_all(&self, batch: &[Arc<Creation>]) -> Result<Vec<Outcome>, db::Error> {
        let mut claims = Claims::of(batch, |creation| &creation.claim);
        let limited: BTreeSet<&str> = batch
            .iter()
            .filter(|creation| creation.quota.is_limited())
            .map(|creation| creation.claim.project_id.as_str())
            .collect();
        let jobs: Vec<_> = batch.iter().flat_map(|creation| &creation.jobs).map(|job| job.id).collect();
        if claims.is_empty() && limited.is_empty() && jobs.is_empty() {
            let none = &mut BTreeMap::new();
            let outcomes = claims.decide(|creation| provision(creation, &HashSet::new(), none));
            self.write_all(&outcomes).await?;
            return Ok(outcomes);
        }
        let mut tx = self.db.begin().await?;
        claims.take(&mut tx).await?;
        let taken = take_volume_jobs(&mut tx, jobs).await?;
        let mut usages = BTreeMap::new();
        if !limited.is_empty() {
            lock_projects(&mut tx, &limited).await?;
        }
        for project_id in &limited {
            usages.insert(*project_id, usage(&mut tx, project_id).await?);
        }
        let outcomes = claims.decide(|creation| provision(creation, &taken, &mut usages));
        if !outcomes.iter().any(|outcome| matches!(outcome, Ok(Some(_)))) {
            // Nothing is created: what was claimed and locked for it is rolled back.
            return Ok(outcomes);
        }
        claims.settle(&mut tx).await?;
        let instances = instances_of(&outcomes);
        write(&mut tx, &instances, &metadata_of(&outcomes), records_of(&instances)).await?;
        put_volume_jobs(&mut tx, batch.iter().map(|creation| &**creation).zip(&outcomes), &taken).await?;
        tx.commit().await?;
        Ok(outcomes)
    }

    /// Writes what needs no claim and no lock: in one statement, where that is enough.
    async fn write_all(&self, outcomes: &[Outcome]) -> Result<(), db::Error> {
        let instances = instances_of(outcomes);
        let (metadata, records) = (metadata_of(outcomes), records_of(&instances));
        let has_no_devices = instances.iter().all(|instance| instance.block_devices.is_empty());
        let is_one_statement = has_no_devices && is_one_statement(self.db.dialect(), instances.len());
        if is_one_statement && metadata.is_empty() && self.known.hold(records.keys()) {
            let rows: Vec<_> = instances.iter().copied().map(InstanceRow::from).collect();
            // If that fails, one of the records may just have been swept.
            self.write_rows(&rows).await.inspect_err(|_| self.known.clear())?;
        } else {
            let mut tx = self.db.begin().await?;
            write(&mut tx, &instances, &metadata, records.clone()).await?;
            tx.commit().await?;
        }
        self.known.add(records.keys());
        Ok(())
    }

    async fn write_rows(&self, rows: &[InstanceRow<'_>]) -> Result<(), db::Error> {
        write_instances(&mut self.db.writer().await?, rows).await
    }
}

/// Writes instances, the metadata of their reservations, and those of their records that do not exist yet.
async fn write(
    tx: &mut Transaction,
    instances: &[&Instance],
    metadata: &[MetadataRow<'_>],
    records: BTreeMap<Id, &Record>,
) -> Result<(), db::Error> {
    write_records(tx, records, RecordRow::from).await?;
    write_metadata(tx, metadata).await?;
    let rows: Vec<_> = instances.iter().copied().map(InstanceRow::from).collect();
    write_instances(tx, &rows).await?;
    write_devices(tx, instances.iter().copied()).await
}

/// Provisions a request, on top of what the ones before it use, unless the volumes that were prepared for it are being taken
/// back: those jobs of it that nobody else has begun were `taken`.
fn provision(
    creation: &Creation,
    taken: &HashSet<Id>,
    usages: &mut BTreeMap<&str, Usage>,
) -> Result<Reservation, Error> {
    if !creation.jobs.iter().all(|job| taken.contains(&job.id)) {
        return Err(VolumeError::GivenUp.into());
    }
    let project_id = creation.claim.project_id.as_str();
    let usage = usages.get_mut(project_id).filter(|_| creation.quota.is_limited());
    let reservation = (creation.provision)(usage.as_deref().unwrap_or(&Usage::default()))?;
    if let Some(usage) = usage {
        usage.add(&reservation.instances);
    }
    Ok(reservation)
}

/// The reservations that are to be written.
fn reservations(outcomes: &[Outcome]) -> impl Iterator<Item = &Reservation> {
    outcomes.iter().flatten().flatten()
}

fn instances_of(outcomes: &[Outcome]) -> Vec<&Instance> {
    reservations(outcomes).flat_map(|reservation| &reservation.instances).collect()
}

fn metadata_of(outcomes: &[Outcome]) -> Vec<MetadataRow<'_>> {
    reservations(outcomes).filter_map(MetadataRow::of).collect()
}

/// The records of instances, each once.
fn records_of<'a>(instances: &[&'a Instance]) -> BTreeMap<Id, &'a Record> {
    instances.iter().map(|instance| (instance.record.id, &*instance.record)).collect()
}
