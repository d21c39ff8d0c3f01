//! Writing a change of an instance: the instance itself, its task, its history and its image job, all in one transaction,
//! and only if nobody else was faster.

use std::collections::BTreeMap;

use chassis::{
    caller::Actor,
    db::{self, Micros, Transaction, retrying},
    quota::lock_projects,
    records::write_records,
    turns::{self, Request},
};
use chrono::{DateTime, Utc};
use common::id::Id;
use peers::glance::jobs::Job;

use super::{
    Store,
    history::{NewEntry, insert_history},
    quota::usage,
    registration::{Registration, end_job},
    rows::RecordRow,
    volume_job::VolumeJob,
    volume_jobs::replace_volume_job,
    write_devices::replace_devices,
};
use crate::{
    error::Error,
    instance::{Instance, Operation, Record, Scope, Step, Task, TaskState},
    quota::Quota,
};

/// What was decided about an instance that is to be changed.
pub type Decided<T> = turns::Decided<Change, T>;

/// One change of an instance.
#[derive(Debug, Clone)]
pub struct Change {
    /// The instance before.
    pub before: Instance,
    /// The instance after, still with the revision of before; `None` if it is deleted.
    pub after: Option<Instance>,
    /// Its entry in the history.
    pub entry: Entry,
    /// What glance-svc has to do for it.
    pub job: Option<Job>,
    /// The job that is done with it, and its outcome.
    pub done: Option<(Job, Registration)>,
    /// The project's quota, if the instance will use more.
    pub quota: Option<Quota>,
    /// What cinder-svc has to do for it.
    pub volumes: Option<VolumeJob>,
}

/// What history records of a change, besides the difference.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What was done.
    pub operation: Operation,
    /// How far it has come.
    pub step: Step,
    /// Who did it.
    pub actor: Actor,
    /// When.
    pub time: DateTime<Utc>,
    /// The image made from the instance, or the one that it is unshelved from.
    pub image_id: Option<Id>,
    /// The volume that was attached or detached.
    pub volume_id: Option<Id>,
    /// The message of a report or an error.
    pub message: String,
    /// The request that makes a retry safe.
    pub request: Option<Request>,
}

impl Change {
    /// What history gets.
    fn entry(&self) -> NewEntry<'_> {
        let (before, after) = (&self.before, self.after.as_ref());
        NewEntry {
            instance_id: before.id,
            revision: before.revision + 1,
            entry: &self.entry,
            states: (Some(before.state), after.map(|after| after.state)),
            records: (Some(before.record.id), after.map(|after| after.record.id)),
        }
    }

    /// The records that the instance will refer to.
    fn records(&self) -> BTreeMap<Id, &Record> {
        let after = self.after.iter();
        let targets = after.clone().filter_map(|after| after.task.as_ref()?.target.as_ref());
        let records = after.map(|after| &after.record).chain(targets);
        records.map(|record| (record.id, &**record)).collect()
    }

    /// The instance, if it has other disks than before.
    fn with_other_devices(&self) -> Option<&Instance> {
        self.after.as_ref().filter(|after| after.block_devices != self.before.block_devices)
    }

    /// The new task, if it differs from the one before.
    fn task(&self) -> Option<&Option<Task>> {
        self.after.as_ref().map(|after| &after.task).filter(|task| **task != self.before.task)
    }
}

/// The history entry of an instance's creation, which is written only together with the next one.
pub(super) fn creation(instance: &Instance) -> Entry {
    Entry {
        operation: Operation::Create,
        step: Step::Finished,
        actor: Actor { user_id: instance.user_id.to_string(), project_id: instance.project_id.to_string() },
        time: instance.create_time,
        image_id: None,
        volume_id: None,
        message: String::new(),
        request: None,
    }
}

impl Store {
    /// Changes an instance as decided by `decide`, which reads it. Any number of changes queue up here, and each is decided
    /// on top of the one before; `decide` must not wait for anything slow, such as glance-svc. Callers who may not change
    /// the instance within `scope`, or change one that does not exist, neither wait nor make others wait. A change that is
    /// returned has been written.
    pub async fn change<T, F>(
        &self,
        id: Id,
        scope: &Scope,
        decide: impl Fn() -> F,
    ) -> Result<Decided<T>, Error>
    where
        F: Future<Output = Result<Decided<T>, Error>>,
    {
        let may_change = || self.may_change(id, scope);
        let attempt = || async {
            match decide().await? {
                Decided::Change(change) if !self.apply(&change).await? => Ok(None),
                decided => Ok(Some(decided)),
            }
        };
        self.turns.change(id, may_change, attempt).await?.ok_or(Error::Contended(id))
    }

    /// Writes a change; `false`, and nothing is written, if the instance has changed in the meantime.
    async fn apply(&self, change: &Change) -> Result<bool, Error> {
        retrying(|| self.try_apply(change)).await
    }

    async fn try_apply(&self, change: &Change) -> Result<bool, Error> {
        let before = &change.before;
        let mut tx = self.db.begin().await?;
        if let Some(quota) = &change.quota {
            lock_projects(&mut tx, &[&*before.project_id].into()).await?;
            let usage = usage(&mut tx, &before.project_id).await?;
            quota.check_growth(&usage, before, change.after.as_ref())?;
        }
        write_records(&mut tx, change.records(), RecordRow::from).await?;
        if !write_instance(&mut tx, change).await? {
            return Ok(false);
        }
        if before.revision == 1 {
            insert_history(&mut tx, &NewEntry::creation(before, &creation(before))).await?;
        }
        insert_history(&mut tx, &change.entry()).await?;
        if let Some(task) = change.task() {
            write_task(&mut tx, before.id, task.as_ref()).await?;
        }
        if let Some(after) = change.with_other_devices() {
            replace_devices(&mut tx, after).await?;
        }
        if let Some(job) = &change.volumes {
            replace_volume_job(&mut tx, job).await?;
        }
        if let Some((job, registration)) = &change.done {
            end_job(&self.jobs, &mut tx, job, registration).await?;
        }
        if let Some(job) = &change.job {
            self.jobs.insert(&mut tx, job, before.revision + 1).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// Writes the instance as it is after a change; `false` if it has changed in the meantime.
async fn write_instance(tx: &mut Transaction, change: &Change) -> Result<bool, db::Error> {
    let Change { before, after, entry, .. } = change;
    let query = match after {
        None => tx
            .query("DELETE FROM instances WHERE id = $1 AND revision = $2")
            .bind(before.id)
            .bind(before.revision),
        Some(after) => tx
            .query(
                "UPDATE instances SET revision = revision + 1, record_id = $3, state = $4, host = $5, \
             power_state = $6, compute = $7, update_time = $8 WHERE id = $1 AND revision = $2",
            )
            .bind(before.id)
            .bind(before.revision)
            .bind(after.record.id)
            .bind(after.state.as_str())
            .bind(&after.host)
            .bind(after.power_state.as_str())
            .bind(after.compute.as_str())
            .bind(Micros(entry.time)),
    };
    Ok(query.execute().await? == 1)
}

/// Writes the task of an instance.
async fn write_task(tx: &mut Transaction, instance_id: Id, task: Option<&Task>) -> Result<(), db::Error> {
    tx.query("DELETE FROM instance_tasks WHERE instance_id = $1").bind(instance_id).execute().await?;
    let Some(task) = task else { return Ok(()) };
    tx.query(
        "INSERT INTO instance_tasks (instance_id, operation, task_state, former_state, former_record_id, \
         target_record_id, image_id, user_id, project_id, roles, create_time) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(instance_id)
    .bind(task.operation.as_str())
    .bind(task.state.map(TaskState::as_str))
    .bind(task.former_state.as_str())
    .bind(task.former_record)
    .bind(task.target.as_ref().map(|record| record.id))
    .bind(task.image_id)
    .bind(&task.caller.actor.user_id)
    .bind(&task.caller.actor.project_id)
    .bind(task.caller.roles.join(","))
    .bind(task.create_time)
    .execute()
    .await?;
    Ok(())
}
