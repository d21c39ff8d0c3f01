//! Instances in the database.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use common::{db::Micros, id::Id, on_db};
use sqlx::{Database, Encode, QueryBuilder, Type, types::Json};

use super::{Store, job::caller, record::StoredRecord};
use crate::{
    error::Error,
    instance::{Compute, Instance, Operation, PowerState, Record, Scope, State, Task, TaskState},
};

/// An instance with its metadata, in one row.
pub(super) const RECORD: &str = "SELECT id, name, hostname, launch_index, reservation_id, project_id, user_id, state, create_time, update_time, \
     metadata, record_id, image_id, image_revision, kernel_id, ramdisk_id, os_type, architecture, vm_mode, \
     root_device_name, auto_disk_config, system_metadata, truncated_keys, \
     (SELECT r.image_min_disk FROM records r WHERE r.id = record_id) AS image_min_disk, \
     (SELECT r.image_size FROM records r WHERE r.id = record_id) AS image_size, revision, host, power_state, compute, \
     task_operation, task_state, former_state, former_record_id, target_record_id, task_image_id, task_user_id, \
     task_project_id, task_roles, task_create_time \
     FROM instance_records WHERE ";

/// A row of `instance_records`.
#[derive(sqlx::FromRow)]
pub(super) struct InstanceRow {
    id: Id,
    name: String,
    hostname: String,
    launch_index: i32,
    reservation_id: String,
    project_id: String,
    user_id: String,
    state: String,
    #[sqlx(try_from = "Micros")]
    create_time: DateTime<Utc>,
    #[sqlx(try_from = "Micros")]
    update_time: DateTime<Utc>,
    metadata: Json<BTreeMap<String, String>>,
    revision: i64,
    host: String,
    power_state: String,
    compute: String,
    #[sqlx(flatten)]
    record: StoredRecord,
    #[sqlx(flatten)]
    task: TaskRow,
}

/// What stands in `instance_tasks`, if anything does.
#[derive(sqlx::FromRow)]
struct TaskRow {
    task_operation: Option<String>,
    task_state: Option<String>,
    former_state: Option<String>,
    former_record_id: Option<Id>,
    target_record_id: Option<Id>,
    task_image_id: Option<Id>,
    task_user_id: Option<String>,
    task_project_id: Option<String>,
    task_roles: Option<String>,
    task_create_time: Option<DateTime<Utc>>,
}

/// Records by their ids.
type Records = HashMap<Id, Arc<Record>>;

impl InstanceRow {
    /// The instance. `known` are the records of other rows, `targets` those that instances are to have.
    fn instance(self, known: &mut Records, targets: &Records) -> Result<Instance, Error> {
        let corrupt = || Error::Corrupt(self.id);
        let state = State::from_name(&self.state).ok_or_else(corrupt)?;
        let power_state = PowerState::from_name(&self.power_state).ok_or_else(corrupt)?;
        let compute = Compute::from_name(&self.compute).ok_or_else(corrupt)?;
        let task = match self.task.task_operation {
            Some(_) => Some(self.task.task(targets).ok_or_else(corrupt)?),
            None => None,
        };
        let record = match known.entry(self.record.id()) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => {
                let record = self.record.read().map_err(|_| Error::Corrupt(self.id))?;
                Arc::clone(new.insert(record))
            }
        };
        Ok(Instance {
            id: self.id,
            name: self.name,
            hostname: self.hostname,
            launch_index: self.launch_index,
            reservation_id: self.reservation_id.into(),
            project_id: self.project_id.into(),
            user_id: self.user_id.into(),
            state,
            metadata: Arc::new(self.metadata.0),
            record,
            create_time: self.create_time,
            update_time: self.update_time,
            revision: self.revision,
            host: self.host,
            power_state,
            compute,
            task,
        })
    }
}

impl TaskRow {
    fn task(&self, targets: &Records) -> Option<Task> {
        let state = match &self.task_state {
            Some(state) => Some(TaskState::from_name(state)?),
            None => None,
        };
        let target = match &self.target_record_id {
            Some(id) => Some(Arc::clone(targets.get(id)?)),
            None => None,
        };
        Some(Task {
            operation: Operation::from_name(self.task_operation.as_deref()?)?,
            state,
            former_state: State::from_name(self.former_state.as_deref()?)?,
            former_record: self.former_record_id?,
            target,
            image_id: self.task_image_id,
            caller: caller(
                self.task_user_id.clone()?,
                self.task_project_id.clone()?,
                self.task_roles.as_deref()?,
            ),
            create_time: self.task_create_time?,
        })
    }
}

/// Adds the condition that an instance is within `scope`.
pub(super) fn push_scope<DB: Database>(query: &mut QueryBuilder<DB>, scope: &Scope)
where
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    if let Some(project) = scope.project() {
        query.push(" AND project_id = ").push_bind(project.to_owned());
    }
}

impl Store {
    /// The instance with that id, if it is within `scope`; an error if nothing may be done with it there.
    pub async fn instance(&self, id: Id, scope: &Scope) -> Result<Option<Instance>, Error> {
        let row: Option<InstanceRow> = on_db!(self.db, |connection| {
            let mut query = QueryBuilder::new(RECORD);
            query.push("id = ").push_bind(id);
            push_scope(&mut query, scope);
            query.build_query_as().fetch_optional(connection).await?
        });
        let instance = self.complete(row.into_iter().collect()).await?.pop();
        instance.as_ref().map_or(Ok(()), |instance| scope.check(instance))?;
        Ok(instance)
    }

    /// The instances of these rows, with the records that they are to have.
    pub(super) async fn complete(&self, rows: Vec<InstanceRow>) -> Result<Vec<Instance>, Error> {
        let wanted: BTreeSet<Id> = rows.iter().filter_map(|row| row.task.target_record_id).collect();
        let targets = self.records(wanted.into_iter().collect()).await?;
        let mut known = Records::new();
        rows.into_iter().map(|row| row.instance(&mut known, &targets)).collect()
    }
}
