//! Writing a change of a volume: the volume itself, its task, its metadata and its history, all in one transaction, and
//! only if nobody else was faster.

use std::collections::BTreeMap;

use chassis::{
    caller::Actor,
    claims::{Claim as _, claim},
    db::{self, ByDialect, Micros, Transaction, json, retrying},
    records::write_records,
    scope::Scope,
    turns::{Decided, Request},
};
use chrono::{DateTime, Utc};
use common::id::Id;
use peers::glance::jobs::Job;
use serde::Serialize;

use super::{
    Store,
    attachment::{write_attachments, write_connection},
    claim::Claim,
    data::{Held, settle},
    history::insert_history,
    quota::Quotas,
    record::RecordRow,
    sources::{check_not_copied, is_latest_snapshot},
    transfer::{TransferChange, write_transfer},
    volume_type::lock_types,
};
use crate::{
    error::{Error, VolumeTypeError},
    quota::{Growth, Quota},
    volume::{Connection, Operation, Record, Step, Task, TaskState, Volume},
};

const UPDATE: ByDialect = ByDialect {
    sqlite: "UPDATE volumes SET revision = revision + 1, name = $3, description = $4, project_id = $5, user_id = $6, \
         size_gib = $7, volume_type_id = $8, status = $9, record_id = $10, bootable = $11, multiattach = $12, \
         read_only = $13, host = $14, data_id = $15, failure = $16, update_time = $17 \
         WHERE id = $1 AND revision = $2",
    postgres: "UPDATE volumes SET revision = revision + 1, name = $3, description = $4, project_id = $5, user_id = $6, \
         size_gib = $7, volume_type_id = $8, status = $9, record_id = $10, bootable = $11, multiattach = $12, \
         read_only = $13, host = $14, data_id = $15, failure = $16::json, update_time = $17 \
         WHERE id = $1 AND revision = $2",
};

/// Whether the volume `$1`, or a snapshot of it, is being copied.
const IS_COPIED: &str = "SELECT EXISTS (SELECT 1 FROM volume_tasks WHERE source_volume_id = $1) \
     OR EXISTS (SELECT 1 FROM snapshots WHERE volume_id = $1 AND status = 'creating') \
     OR EXISTS (SELECT 1 FROM volume_tasks t JOIN snapshots s ON s.id = t.snapshot_id WHERE s.volume_id = $1)";

const INSERT_TASK: &str = "INSERT INTO volume_tasks (volume_id, task_state, former_status, target_record_id, \
     target_bootable, target_size_gib, target_type_id, target_multiattach, target_data_id, image_id, image_revision, \
     snapshot_id, source_volume_id, user_id, project_id, roles, owner, create_time) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, '', $17)";

/// One change of a volume.
#[derive(Debug, Clone)]
pub struct Change {
    /// The volume before.
    pub before: Volume,
    /// The volume after, still with the revision of before; `None` if it is gone.
    pub after: Option<Volume>,
    /// Its entry in the history.
    pub entry: Entry,
    /// On which conditions it is being deleted, if that begins.
    pub deletion: Option<Deletion>,
    /// What more its project will use, and the configured limits.
    pub growth: Option<(Quota, Growth)>,
    /// The snapshot that the volume is being reverted to: it must still be usable, and the latest one.
    pub reverted_to: Option<Id>,
    /// What the request claims, if it creates something and has an id.
    pub claim: Option<Claim>,
    /// How the host of an attachment and the data are connected now.
    pub connection: Option<(Id, Connection)>,
    /// What becomes of its offer to other projects.
    pub transfer: Option<TransferChange>,
    /// What glance-svc has to do for it.
    pub job: Option<Job>,
    /// The job that is done with it, and the problem, if there was one.
    pub done: Option<(Job, Option<String>)>,
}

/// On which conditions a volume is deleted; it never is while it is being copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// Whether its snapshots go as well.
    pub cascade: bool,
}

/// What history records of a change, besides the difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was done.
    pub operation: Operation,
    /// How far it has come.
    pub step: Step,
    /// Who did it.
    pub actor: Actor,
    /// When.
    pub time: DateTime<Utc>,
    /// The image made from the volume.
    pub image_id: Option<Id>,
    /// Why glance-svc refused that image.
    pub image_problem: Option<String>,
    /// Names of the properties which that image does not have.
    pub left_out: Vec<String>,
    /// The message of a report or an error.
    pub message: String,
    /// The request that makes a retry safe.
    pub request: Option<Request>,
}

impl Entry {
    /// An entry without an image and a message.
    #[must_use]
    pub const fn new(operation: Operation, step: Step, actor: Actor, time: DateTime<Utc>) -> Self {
        Self {
            operation,
            step,
            actor,
            time,
            image_id: None,
            image_problem: None,
            left_out: Vec::new(),
            message: String::new(),
            request: None,
        }
    }

    /// The entry of a volume's creation, which is written only together with the next one.
    #[must_use]
    pub fn creation(volume: &Volume) -> Self {
        let actor = Actor { user_id: volume.user_id.clone(), project_id: volume.project_id.clone() };
        let step = if volume.task.is_some() { Step::Started } else { Step::Finished };
        Self::new(Operation::Create, step, actor, volume.create_time)
    }
}

impl Change {
    /// A change of the volume alone.
    #[must_use]
    pub const fn new(before: Volume, after: Option<Volume>, entry: Entry) -> Self {
        Self {
            before,
            after,
            entry,
            deletion: None,
            growth: None,
            reverted_to: None,
            claim: None,
            connection: None,
            transfer: None,
            job: None,
            done: None,
        }
    }

    /// The records that the volume will refer to.
    fn records(&self) -> BTreeMap<Id, &Record> {
        let after = self.after.iter();
        let targets = after.clone().filter_map(|after| after.task.as_ref()?.target.record.as_ref());
        let records = after.map(|after| &after.record).chain(targets);
        records.map(|record| (record.id, &**record)).collect()
    }

    /// The new task, if it differs from the one before.
    fn task(&self) -> Option<&Option<Task>> {
        self.after.as_ref().map(|after| &after.task).filter(|task| **task != self.before.task)
    }

    /// The volume type that the volume gets, at once or with a task that begins.
    fn new_type(&self) -> Option<(Id, &str)> {
        let after = self.after.as_ref()?;
        let begun = self.task().and_then(|task| task.as_ref()?.target.volume_type.as_ref());
        let now = (after.volume_type_id, &*after.volume_type);
        let changed = Some(now).filter(|(id, _)| *id != self.before.volume_type_id);
        begun.map(|(id, name)| (*id, &**name)).or(changed)
    }

    /// Whether it begins a task that gives the volume other data.
    fn replaces_data(&self) -> bool {
        use TaskState::{Reimaging, Reverting, Writing};
        let begun = self.task().and_then(Option::as_ref);
        begun.is_some_and(|task| matches!(task.state, Reimaging | Reverting | Writing))
    }

    /// The new metadata, if they differ from those before.
    fn metadata(&self) -> Option<&BTreeMap<String, String>> {
        let metadata = self.after.as_ref().map(|after| &after.metadata);
        metadata.filter(|metadata| **metadata != self.before.metadata)
    }
}

impl Store {
    /// Changes a volume as decided by `decide`, which reads it ([`chassis::turns`]). A change that is returned has been
    /// written.
    pub async fn change<T, F>(
        &self,
        id: Id,
        scope: &Scope,
        decide: impl Fn() -> F,
    ) -> Result<Decided<Change, T>, Error>
    where
        F: Future<Output = Result<Decided<Change, T>, Error>>,
    {
        let attempt = async || match decide().await? {
            Decided::Change(change) if !self.apply(&change).await? => Ok(None),
            decided => Ok::<_, Error>(Some(decided)),
        };
        let decided = self.turns.change(id, || self.may_change(id, scope), attempt).await?;
        decided.ok_or(Error::Contended { kind: "volume", id })
    }

    /// Writes a change; `false`, and nothing is written, if the volume has changed in the meantime, or an earlier
    /// attempt of the request has claimed its id.
    async fn apply(&self, change: &Change) -> Result<bool, Error> {
        retrying(|| self.try_apply(change)).await
    }

    async fn try_apply(&self, change: &Change) -> Result<bool, Error> {
        let Change { before, after, entry, growth, .. } = change;
        let mut tx = self.db.begin().await?;
        if let Some(wanted) = change.claim.as_ref().filter(|wanted| wanted.key().is_some())
            && claim(&mut tx, [wanted].into_iter()).await?.is_empty()
        {
            return Ok(false);
        }
        let shown = after.as_ref().unwrap_or(before);
        if let Some((quota, growth)) = growth {
            Quotas::check(&mut tx, quota, &shown.project_id, growth).await?;
        }
        check_new_type(&mut tx, change).await?;
        write_records(&mut tx, change.records(), RecordRow::from).await?;
        if !update_volume(&mut tx, change).await? {
            return Ok(false);
        }
        if before.revision == 1 {
            insert_history(&mut tx, before, (1, Some(before.status)), &Entry::creation(before)).await?;
        }
        settle(&mut tx, before.id, Held::by(Some(before)), Held::by(after.as_ref())).await?;
        if !check(&mut tx, change).await? {
            return Ok(false);
        }
        if after.is_none() {
            delete_volume(&mut tx, before.id).await?;
        }
        let status = after.as_ref().map(|after| after.status);
        insert_history(&mut tx, shown, (before.revision + 1, status), entry).await?;
        write_parts(&mut tx, change).await?;
        self.write_jobs(&mut tx, change).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Refuses to give a volume a type that has just been deleted.
async fn check_new_type(tx: &mut Transaction, change: &Change) -> Result<(), Error> {
    if let Some((id, name)) = change.new_type()
        && !lock_types(tx, &[id].into()).await?.is_empty()
    {
        return Err(VolumeTypeError::NoSuch(name.to_owned()).into());
    }
    Ok(())
}

/// Checks what a change depends on besides the volume, whose row is locked; `false` if it must be decided again.
async fn check(tx: &mut Transaction, change: &Change) -> Result<bool, Error> {
    let id = change.before.id;
    if let Some(deletion) = change.deletion {
        check_deletion(tx, id, deletion).await?;
    }
    if change.replaces_data() {
        check_not_copied(tx, id).await?;
    }
    if let Some(snapshot_id) = change.reverted_to
        && !is_latest_snapshot(tx, snapshot_id, id).await?
    {
        return Ok(false);
    }
    match &change.transfer {
        Some(transfer) => write_transfer(tx, transfer, change.after.as_ref()).await,
        None => Ok(true),
    }
}

/// Writes what belongs to a volume and is not in its row.
async fn write_parts(tx: &mut Transaction, change: &Change) -> Result<(), db::Error> {
    let Change { before, after, .. } = change;
    if let Some(after) = after {
        write_attachments(tx, &before.attachments, &after.attachments).await?;
    }
    if let Some((id, connection)) = &change.connection {
        write_connection(tx, *id, connection).await?;
    }
    if let Some(task) = change.task() {
        write_task(tx, before.id, task.as_ref()).await?;
    }
    if let Some(metadata) = change.metadata() {
        tx.query("DELETE FROM volume_metadata WHERE volume_id = $1").bind(before.id).execute().await?;
        write_metadata(tx, &[(before.id, metadata)]).await?;
    }
    Ok(())
}

/// Updates the row of a volume as it is after a change, or as it was before it goes; `false` if it has changed in the
/// meantime. Whoever is about to take a snapshot of it or to copy it locks the row as well.
async fn update_volume(tx: &mut Transaction, change: &Change) -> Result<bool, db::Error> {
    let Change { before, after, entry, .. } = change;
    let written = after.as_ref().unwrap_or(before);
    let updated = tx
        .query(UPDATE)
        .bind(before.id)
        .bind(before.revision)
        .bind(&written.name)
        .bind(&written.description)
        .bind(&written.project_id)
        .bind(&written.user_id)
        .bind(written.size_gib)
        .bind(written.volume_type_id)
        .bind(written.status.as_str())
        .bind(written.record.id)
        .bind(written.bootable)
        .bind(written.multiattach)
        .bind(written.read_only)
        .bind(&written.host)
        .bind(written.data_id)
        .bind(written.last_failure.as_ref().map(json))
        .bind(Micros(entry.time))
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Refuses to delete a volume that has snapshots, unless they go as well, or that is being copied.
async fn check_deletion(tx: &mut Transaction, id: Id, deletion: Deletion) -> Result<(), Error> {
    let is_copied: bool = tx.query_scalar(IS_COPIED).bind(id).fetch_one().await?;
    if is_copied {
        return Err(Error::VolumeBeingCopied(id));
    }
    let sql = "SELECT COUNT(*) FROM snapshots WHERE volume_id = $1";
    let count: i64 = tx.query_scalar(sql).bind(id).fetch_one().await?;
    if count > 0 && !deletion.cascade {
        return Err(Error::VolumeHasSnapshots { id, count });
    }
    Ok(())
}

/// Removes a volume with its attachments, and with those snapshots that were to go with it.
async fn delete_volume(tx: &mut Transaction, id: Id) -> Result<(), db::Error> {
    for sql in [
        "DELETE FROM attachments WHERE volume_id = $1",
        "UPDATE volume_data SET state = 'deleting' WHERE id IN (SELECT data_id FROM snapshots WHERE volume_id = $1)",
        "DELETE FROM snapshots WHERE volume_id = $1",
        "DELETE FROM volumes WHERE id = $1",
    ] {
        tx.query(sql).bind(id).execute().await?;
    }
    Ok(())
}

/// Writes the task of a volume.
pub(super) async fn write_task(
    tx: &mut Transaction,
    volume_id: Id,
    task: Option<&Task>,
) -> Result<(), db::Error> {
    tx.query("DELETE FROM volume_tasks WHERE volume_id = $1").bind(volume_id).execute().await?;
    let Some(task) = task else { return Ok(()) };
    tx.query(INSERT_TASK)
        .bind(volume_id)
        .bind(task.state.as_str())
        .bind(task.former_status.as_str())
        .bind(task.target.record.as_ref().map(|record| record.id))
        .bind(task.target.bootable)
        .bind(task.target.size_gib)
        .bind(task.target.volume_type.as_ref().map(|(id, _)| *id))
        .bind(task.target.multiattach)
        .bind(task.target.data_id)
        .bind(task.image.map(|(id, _)| id))
        .bind(task.image.map(|(_, revision)| revision))
        .bind(task.snapshot_id)
        .bind(task.source_volume_id)
        .bind(&task.caller.actor.user_id)
        .bind(&task.caller.actor.project_id)
        .bind(task.caller.roles.join(","))
        .bind(Micros(task.create_time))
        .execute()
        .await?;
    Ok(())
}

/// Writes the metadata of volumes.
const METADATA: ByDialect = ByDialect {
    sqlite: "INSERT INTO volume_metadata (volume_id, key, value) \
         SELECT value ->> 'volume_id', value ->> 'key', value ->> 'value' FROM json_each($1)",
    postgres: "INSERT INTO volume_metadata (volume_id, key, value) \
         SELECT volume_id, key, value FROM json_to_recordset($1::json) \
         AS entry (volume_id uuid, key text, value text)",
};

/// A row of `volume_metadata`.
#[derive(Debug, Serialize)]
struct MetadataRow<'a> {
    volume_id: Id,
    key: &'a str,
    value: &'a str,
}

impl<'a> MetadataRow<'a> {
    /// The metadata of a volume, one row for each item.
    fn of(volume_id: Id, metadata: &'a BTreeMap<String, String>) -> impl Iterator<Item = Self> {
        metadata.iter().map(move |(key, value)| Self { volume_id, key, value })
    }
}

/// Writes the metadata of volumes, which have none yet.
pub(super) async fn write_metadata(
    tx: &mut Transaction,
    volumes: &[(Id, &BTreeMap<String, String>)],
) -> Result<(), db::Error> {
    let rows: Vec<_> = volumes.iter().flat_map(|(id, metadata)| MetadataRow::of(*id, metadata)).collect();
    if !rows.is_empty() {
        tx.query(METADATA).bind(json(&rows)).execute().await?;
    }
    Ok(())
}
