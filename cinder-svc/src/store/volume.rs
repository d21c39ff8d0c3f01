//! Volumes in the database.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use chassis::{
    caller::Caller,
    db::{ByDialect, Many, Micros},
    page::{MAX_BYTES, Read},
    scope::Scope,
};
use chrono::{DateTime, Utc};
use common::id::Id;
use sqlx::types::Json;

use super::{Store, attachment::AttachmentRow};
use crate::{
    error::Error,
    volume::{Attachment, Record, Status, Storage, Target, Task, TaskState, Volume, VolumeFailure},
};

/// A volume and its task, in one row. What it shares with others, and its lists, are read for many at once.
pub(super) const ROWS: &str = "SELECT id, name, description, project_id, user_id, size_gib, volume_type_id, volume_type, \
     availability_zone, status, record_id, bootable, multiattach, read_only, snapshot_id, source_volume_id, storage, \
     host, data_id, failure, revision, create_time, update_time, task_state, former_status, target_record_id, \
     target_bootable, target_size_gib, target_type_id, target_type, target_multiattach, target_data_id, task_image_id, \
     task_image_revision, task_snapshot_id, task_source_volume_id, task_user_id, task_project_id, task_roles, \
     task_create_time FROM (SELECT v.*, y.name AS volume_type, t.task_state, t.former_status, t.target_record_id, \
     t.target_bootable, t.target_size_gib, t.target_type_id, n.name AS target_type, t.target_multiattach, \
     t.target_data_id, t.image_id AS task_image_id, t.image_revision AS task_image_revision, \
     t.snapshot_id AS task_snapshot_id, t.source_volume_id AS task_source_volume_id, t.user_id AS task_user_id, \
     t.project_id AS task_project_id, t.roles AS task_roles, t.create_time AS task_create_time \
     FROM volumes v JOIN volume_types y ON y.id = v.volume_type_id LEFT JOIN volume_tasks t ON t.volume_id = v.id \
     LEFT JOIN volume_types n ON n.id = t.target_type_id) AS whole WHERE ";

/// The metadata of the volumes `$1`.
const METADATA: ByDialect = ByDialect {
    sqlite: "SELECT volume_id, key, value FROM volume_metadata \
         WHERE volume_id IN (SELECT value FROM json_each($1))",
    postgres: "SELECT volume_id, key, value FROM volume_metadata WHERE volume_id = ANY($1)",
};

/// Number of volumes for which records, metadata and attachments are read at once: each may have a different record, of
/// some 1.5 MB.
const STEP: usize = 8;

/// A volume as [`ROWS`] returns it.
#[derive(sqlx::FromRow)]
pub(super) struct VolumeRow {
    id: Id,
    name: String,
    description: String,
    project_id: String,
    user_id: String,
    size_gib: i32,
    volume_type_id: Id,
    volume_type: String,
    availability_zone: String,
    status: String,
    record_id: Id,
    bootable: bool,
    multiattach: bool,
    read_only: bool,
    snapshot_id: Option<Id>,
    source_volume_id: Option<Id>,
    storage: String,
    host: String,
    data_id: Option<Id>,
    failure: Option<Json<VolumeFailure>>,
    revision: i64,
    #[sqlx(try_from = "Micros")]
    create_time: DateTime<Utc>,
    #[sqlx(try_from = "Micros")]
    update_time: DateTime<Utc>,
    #[sqlx(flatten)]
    task: TaskRow,
}

/// The row of `volume_tasks`, if there is one.
#[derive(sqlx::FromRow)]
struct TaskRow {
    task_state: Option<String>,
    former_status: Option<String>,
    target_record_id: Option<Id>,
    target_bootable: Option<bool>,
    target_size_gib: Option<i32>,
    target_type_id: Option<Id>,
    target_type: Option<String>,
    target_multiattach: Option<bool>,
    target_data_id: Option<Id>,
    task_image_id: Option<Id>,
    task_image_revision: Option<i64>,
    task_snapshot_id: Option<Id>,
    task_source_volume_id: Option<Id>,
    task_user_id: Option<String>,
    task_project_id: Option<String>,
    task_roles: Option<String>,
    task_create_time: Option<Micros>,
}

/// What belongs to volumes, read for many at once.
#[derive(Default)]
struct Parts {
    records: HashMap<Id, Arc<Record>>,
    metadata: HashMap<Id, BTreeMap<String, String>>,
    attachments: HashMap<Id, Vec<Attachment>>,
}

impl VolumeRow {
    /// The volume; `None` if its record does not exist any more, and so neither does the volume.
    fn volume(self, parts: &mut Parts) -> Result<Option<Volume>, Error> {
        let Some(record) = parts.records.get(&self.record_id).map(Arc::clone) else { return Ok(None) };
        let corrupt = || Error::Corrupt(self.id);
        let status = Status::from_name(&self.status).ok_or_else(corrupt)?;
        let storage = Storage::from_name(&self.storage).ok_or_else(corrupt)?;
        let task = match self.task.task_state {
            Some(_) => Some(self.task.task(&parts.records).ok_or_else(corrupt)?),
            None => None,
        };
        Ok(Some(Volume {
            id: self.id,
            name: self.name,
            description: self.description,
            project_id: self.project_id,
            user_id: self.user_id,
            size_gib: self.size_gib,
            volume_type_id: self.volume_type_id,
            volume_type: self.volume_type.into(),
            availability_zone: self.availability_zone,
            metadata: parts.metadata.remove(&self.id).unwrap_or_default(),
            status,
            task,
            last_failure: self.failure.map(|failure| failure.0),
            record,
            bootable: self.bootable,
            snapshot_id: self.snapshot_id,
            source_volume_id: self.source_volume_id,
            attachments: parts.attachments.remove(&self.id).unwrap_or_default(),
            multiattach: self.multiattach,
            read_only: self.read_only,
            storage,
            host: self.host,
            data_id: self.data_id,
            revision: self.revision,
            create_time: self.create_time,
            update_time: self.update_time,
        }))
    }
}

impl TaskRow {
    fn task(&self, records: &HashMap<Id, Arc<Record>>) -> Option<Task> {
        let record = match &self.target_record_id {
            Some(id) => Some(Arc::clone(records.get(id)?)),
            None => None,
        };
        let volume_type = self.target_type_id.zip(self.target_type.as_deref().map(Arc::from));
        let target = Target {
            record,
            bootable: self.target_bootable,
            size_gib: self.target_size_gib,
            volume_type,
            multiattach: self.target_multiattach,
            data_id: self.target_data_id,
        };
        Some(Task {
            state: TaskState::from_name(self.task_state.as_deref()?)?,
            former_status: Status::from_name(self.former_status.as_deref()?)?,
            target,
            image: self.task_image_id.map(|id| (id, self.task_image_revision.unwrap_or(0))),
            snapshot_id: self.task_snapshot_id,
            source_volume_id: self.task_source_volume_id,
            caller: Caller::stored(
                self.task_user_id.clone()?,
                self.task_project_id.clone()?,
                self.task_roles.as_deref()?,
            ),
            create_time: self.task_create_time?.0,
        })
    }
}

impl Store {
    /// The volume with that id, if it is within `scope`; an error if the caller may not do with it what it requests.
    pub async fn volume(&self, id: Id, scope: &Scope) -> Result<Option<Volume>, Error> {
        let mut query = self.db.builder(ROWS);
        query.push("id = ").push_bind(id);
        scope.push(&mut query);
        let row: Option<VolumeRow> = self.db.reader().await?.query_as(query).fetch_optional().await?;
        let volume = self.complete(row.into_iter().collect(), usize::MAX).await?.items.pop();
        volume.as_ref().map_or(Ok(()), |volume| scope.check(volume.id, &volume.project_id))?;
        Ok(volume)
    }

    /// Whether the volume exists, and may be changed within `scope`.
    pub(super) async fn may_change(&self, id: Id, scope: &Scope) -> Result<bool, Error> {
        let Some(allowed) = scope.allowed() else { return Ok(false) };
        let mut query = self.db.builder("SELECT 1 FROM volumes WHERE id = ");
        query.push_bind(id);
        allowed.push(&mut query);
        let found: Option<i32> = self.db.reader().await?.query_scalar(query).fetch_optional().await?;
        Ok(found.is_some())
    }

    /// The first volumes of these rows, as far as they fit into an answer, except those that were deleted in the
    /// meantime.
    pub(super) async fn complete_page(&self, rows: Vec<VolumeRow>) -> Result<Read<Volume>, Error> {
        self.complete(rows, MAX_BYTES).await
    }

    async fn complete(&self, rows: Vec<VolumeRow>, most: usize) -> Result<Read<Volume>, Error> {
        let (mut parts, mut volumes, mut bytes) = (Parts::default(), Vec::with_capacity(rows.len()), 0);
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let step: Vec<_> = rows.by_ref().take(STEP).collect();
            self.load(&step, &mut parts).await?;
            for row in step {
                let Some(volume) = row.volume(&mut parts)? else { continue };
                bytes += size(&volume);
                volumes.push(volume);
                if bytes > most {
                    return Ok(Read { items: volumes, is_cut: true });
                }
            }
        }
        Ok(volumes.into())
    }

    /// Reads what belongs to these rows and was not read yet.
    async fn load(&self, rows: &[VolumeRow], parts: &mut Parts) -> Result<(), Error> {
        let named = rows.iter().flat_map(|row| [Some(row.record_id), row.task.target_record_id]).flatten();
        let records: BTreeSet<_> = named.filter(|id| !parts.records.contains_key(id)).collect();
        parts.records.extend(self.records(records.into_iter().collect()).await?);
        let ids: Vec<Id> = rows.iter().map(|row| row.id).collect();
        let mut connection = self.db.reader().await?;
        let metadata: Vec<(Id, String, String)> =
            connection.query_as(METADATA).bind(Many(ids.clone())).fetch_all().await?;
        for (id, key, value) in metadata {
            parts.metadata.entry(id).or_default().insert(key, value);
        }
        for attachment in AttachmentRow::of_volumes(&mut connection, ids).await? {
            parts.attachments.entry(attachment.volume_id).or_default().push(attachment);
        }
        Ok(())
    }
}

/// About how many bytes a volume takes in an answer.
fn size(volume: &Volume) -> usize {
    let task = volume.task.as_ref().and_then(|task| task.target.record.as_ref());
    let metadata: usize = volume.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    metadata + volume.record.bytes() + task.map_or(0, |record| record.bytes())
}
