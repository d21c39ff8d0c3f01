//! Instances in the database.

use std::{collections::HashMap, sync::Arc};

use chassis::{caller::Caller, db::Micros};
use chrono::{DateTime, Utc};
use common::id::Id;

use super::{Store, shared::Shared};
use crate::{
    error::Error,
    instance::{Compute, Instance, Operation, PowerState, Record, Scope, State, Task, TaskState},
};

/// An instance and its task, in one row. What it shares with others is read once for all of them
/// ([`shared`](super::shared)): a page of instances with large metadata must not carry it a thousand times.
pub(super) const ROWS: &str = "SELECT id, name, hostname, launch_index, reservation_id, project_id, user_id, state, create_time, update_time, \
     record_id, revision, host, power_state, compute, task_operation, task_state, former_state, former_record_id, \
     target_record_id, task_image_id, task_user_id, task_project_id, task_roles, task_create_time, has_devices \
     FROM (SELECT i.*, t.operation AS task_operation, t.task_state, t.former_state, t.former_record_id, \
     t.target_record_id, t.image_id AS task_image_id, t.user_id AS task_user_id, t.project_id AS task_project_id, \
     t.roles AS task_roles, t.create_time AS task_create_time, b.instance_id IS NOT NULL AS has_devices \
     FROM instances i LEFT JOIN instance_tasks t ON t.instance_id = i.id \
     LEFT JOIN block_devices b ON b.instance_id = i.id) AS whole WHERE ";

/// An instance as [`ROWS`] returns it.
#[derive(sqlx::FromRow)]
pub(super) struct InstanceRow {
    pub(super) id: Id,
    name: String,
    hostname: String,
    launch_index: i32,
    pub(super) reservation_id: String,
    project_id: String,
    user_id: String,
    state: String,
    #[sqlx(try_from = "Micros")]
    create_time: DateTime<Utc>,
    #[sqlx(try_from = "Micros")]
    update_time: DateTime<Utc>,
    revision: i64,
    host: String,
    power_state: String,
    compute: String,
    record_id: Id,
    #[sqlx(flatten)]
    task: TaskRow,
    pub(super) has_devices: bool,
}

/// The row of `instance_tasks`, if there is one.
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

impl InstanceRow {
    /// The records that it refers to.
    pub(super) fn records(&self) -> impl Iterator<Item = Id> + use<> {
        [Some(self.record_id), self.task.target_record_id].into_iter().flatten()
    }

    /// The instance; `None` if its record does not exist any more, and so neither does the instance.
    pub(super) fn instance(self, shared: &Shared) -> Result<Option<Instance>, Error> {
        let Some(record) = shared.records.get(&self.record_id).map(Arc::clone) else { return Ok(None) };
        let metadata = shared.metadata.get(&self.reservation_id);
        let metadata = metadata.or_else(|| shared.metadata.get(&self.id.to_string())).map(Arc::clone);
        let corrupt = || Error::Corrupt(self.id);
        let state = State::from_name(&self.state).ok_or_else(corrupt)?;
        let power_state = PowerState::from_name(&self.power_state).ok_or_else(corrupt)?;
        let compute = Compute::from_name(&self.compute).ok_or_else(corrupt)?;
        let task = match self.task.task_operation {
            Some(_) => Some(self.task.task(&shared.records).ok_or_else(corrupt)?),
            None => None,
        };
        let block_devices = shared.devices.get(&self.id).cloned().unwrap_or_default();
        Ok(Some(Instance {
            id: self.id,
            name: self.name,
            hostname: self.hostname,
            launch_index: self.launch_index,
            reservation_id: self.reservation_id.into(),
            project_id: self.project_id.into(),
            user_id: self.user_id.into(),
            state,
            metadata: metadata.unwrap_or_default(),
            record,
            create_time: self.create_time,
            update_time: self.update_time,
            revision: self.revision,
            host: self.host,
            power_state,
            compute,
            task,
            block_devices,
        }))
    }
}

impl TaskRow {
    fn task(&self, targets: &HashMap<Id, Arc<Record>>) -> Option<Task> {
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
            caller: Caller::stored(
                self.task_user_id.clone()?,
                self.task_project_id.clone()?,
                self.task_roles.as_deref()?,
            ),
            create_time: self.task_create_time?,
        })
    }
}

impl Store {
    /// The instance with that id, if it is within `scope`; an error if the caller may not do with it what it requests.
    pub async fn instance(&self, id: Id, scope: &Scope) -> Result<Option<Instance>, Error> {
        let mut query = self.db.builder(ROWS);
        query.push("id = ").push_bind(id);
        scope.push(&mut query);
        let row: Option<InstanceRow> = self.db.reader().await?.query_as(query).fetch_optional().await?;
        let instance = self.complete(row.into_iter().collect()).await?.pop();
        instance.as_ref().map_or(Ok(()), |instance| scope.check(instance.id, &instance.project_id))?;
        Ok(instance)
    }

    /// Whether the instance exists, and may be changed within `scope`.
    pub(super) async fn may_change(&self, id: Id, scope: &Scope) -> Result<bool, Error> {
        let Some(allowed) = scope.allowed() else { return Ok(false) };
        let mut query = self.db.builder("SELECT 1 FROM instances WHERE id = ");
        query.push_bind(id);
        allowed.push(&mut query);
        let found: Option<i32> = self.db.reader().await?.query_scalar(query).fetch_optional().await?;
        Ok(found.is_some())
    }
}
