//! Nova's states and tasks as one table, and the transitions that it allows.

use std::sync::Arc;

use chassis::caller::Caller;
use chrono::{DateTime, Utc};
use common::{flavor::Flavor, id::Id};

use super::{Instance, Operation, Record, State, TaskState, transitions::is_shelved};
use crate::error::Error;

/// A task: what is being done with an instance, and its state and record before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The operation.
    pub operation: Operation,
    /// What is to be done; `None` while a resized instance waits to be confirmed or reverted.
    pub state: Option<TaskState>,
    /// The state before; for a resize and what ends it, the state before the resize.
    pub former_state: State,
    /// The record before the operation, likewise.
    pub former_record: Id,
    /// The record once the task is done, if it changes.
    pub target: Option<Arc<Record>>,
    /// The image that is made from the instance, or that it is unshelved from.
    pub image_id: Option<Id>,
    /// The caller that requested it.
    pub caller: Caller,
    /// When it was started.
    pub create_time: DateTime<Utc>,
}

impl Task {
    /// The record whose image the instance is to be rebuilt from.
    #[must_use]
    pub fn rebuilt_from(&self) -> Option<&Record> {
        self.target.as_deref().filter(|_| self.operation == Operation::Rebuild)
    }

    /// The flavor that the instance is to have after a resize, or after that is reverted.
    #[must_use]
    pub fn resized_to(&self) -> Option<&Flavor> {
        let is_resized = matches!(self.operation, Operation::Resize | Operation::RevertResize);
        self.target.as_ref().filter(|_| is_resized).map(|record| &record.flavor)
    }
}

/// How an operation changes the record of an instance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordChange {
    /// The record during the operation, if it differs.
    pub during: Option<Arc<Record>>,
    /// The record once the operation is done, if it differs.
    pub target: Option<Arc<Record>>,
    /// The image that is made from the instance, or that it is unshelved from.
    pub image_id: Option<Id>,
}

impl RecordChange {
    /// Whether the record stays as it is.
    #[must_use]
    pub fn changes_nothing(&self, instance: &Instance) -> bool {
        self.target.as_ref().is_none_or(|target| target.id == instance.record.id)
    }
}

/// A row of the table of states.
struct Rule {
    operation: Operation,
    /// The states in which it is allowed (Nova, `check_instance_state`).
    from: &'static [State],
    /// The task; `None` if the operation completes at once.
    task: Option<TaskState>,
    to: Arrival,
}

/// Where an operation leads.
enum Arrival {
    /// The state before; for what ends a resize, the state before the resize.
    Former,
    /// Like [`Arrival::Former`], but ACTIVE after ERROR.
    Recovered,
    To(State),
    /// The instance is no more.
    Deleted,
}

use State::{Active, Error as Failed, Paused, Resized, ShelvedOffloaded, Stopped, Suspended};

/// States of instances that exist on a host.
const ALIVE: &[State] = &[Active, Stopped, Paused, Suspended];

/// States in which disks can be attached and detached.
const ATTACHABLE: &[State] = &[Active, Stopped, Paused, Resized, ShelvedOffloaded];

const RULES: [Rule; 11] = [
    rule(Operation::Snapshot, ALIVE, Some(TaskState::ImageSnapshot), Arrival::Former),
    rule(Operation::Rebuild, &[Active, Stopped, Failed], Some(TaskState::Rebuilding), Arrival::Recovered),
    rule(Operation::Resize, &[Active, Stopped], Some(TaskState::ResizePrep), Arrival::To(Resized)),
    rule(Operation::ConfirmResize, &[Resized], Some(TaskState::ResizeConfirming), Arrival::Former),
    rule(Operation::RevertResize, &[Resized], Some(TaskState::ResizeReverting), Arrival::Former),
    rule(
        Operation::UpdateImageProperties,
        &[Active, Stopped, Paused, Suspended, ShelvedOffloaded, Failed],
        None,
        Arrival::Former,
    ),
    rule(Operation::Shelve, ALIVE, Some(TaskState::Shelving), Arrival::To(ShelvedOffloaded)),
    rule(Operation::Unshelve, &[ShelvedOffloaded], Some(TaskState::Unshelving), Arrival::To(Active)),
    rule(Operation::AttachVolume, ATTACHABLE, None, Arrival::Former),
    rule(Operation::DetachVolume, ATTACHABLE, None, Arrival::Former),
    rule(Operation::Delete, State::ALL, None, Arrival::Deleted),
];

const fn rule(operation: Operation, from: &'static [State], task: Option<TaskState>, to: Arrival) -> Rule {
    Rule { operation, from, task, to }
}

impl Operation {
    fn rule(self) -> Option<&'static Rule> {
        RULES.iter().find(|rule| rule.operation == self)
    }

    /// Whether it completes at once, without a task.
    #[must_use]
    pub fn is_immediate(self) -> bool {
        self.rule().is_none_or(|rule| rule.task.is_none())
    }

    /// Refuses an instance whose state does not allow the operation, or which has a task in progress.
    pub fn check(self, instance: &Instance) -> Result<(), Error> {
        let Some(rule) = self.rule() else { return Ok(()) };
        if rule.allows(instance) {
            return Ok(());
        }
        Err(Error::WrongState {
            id: instance.id,
            operation: self,
            state: instance.state,
            task_state: instance.task_state(),
            needed: rule.from,
            allowed: RULES.iter().filter(|rule| rule.allows(instance)).map(|rule| rule.operation).collect(),
        })
    }

    /// Whether nothing is left of the instance but its history.
    #[must_use]
    pub fn deletes(self) -> bool {
        self.rule().is_some_and(|rule| matches!(rule.to, Arrival::Deleted))
    }
}

impl Rule {
    /// Whether the operation is allowed: with a task in progress, only a deletion is.
    fn allows(&self, instance: &Instance) -> bool {
        let is_free = instance.task_state().is_none() || matches!(self.to, Arrival::Deleted);
        is_free && self.from.contains(&instance.state)
    }
}

impl Instance {
    /// The instance once `operation`, which must be allowed, has been started.
    #[must_use]
    pub fn begin(
        &self,
        operation: Operation,
        record_change: RecordChange,
        caller: &Caller,
        now: DateTime<Utc>,
    ) -> Self {
        let RecordChange { during, target, image_id } = record_change;
        let (former_state, former_record) = match &self.task {
            Some(resize) => (resize.former_state, resize.former_record),
            None => (self.state, self.record.id),
        };
        let state = operation.rule().and_then(|rule| rule.task);
        let task = Task {
            operation,
            state,
            former_state,
            former_record,
            target,
            image_id,
            caller: caller.clone(),
            create_time: now,
        };
        Self { record: during.unwrap_or_else(|| Arc::clone(&self.record)), task: Some(task), ..self.clone() }
    }

    /// The instance after an operation that completes at once; a resize that waits to be confirmed keeps waiting.
    #[must_use]
    pub fn with(&self, record_change: RecordChange) -> Self {
        Self { record: record_change.target.unwrap_or_else(|| Arc::clone(&self.record)), ..self.clone() }
    }

    /// The state to which an instance in ERROR can only return: `RESIZED` or `SHELVED_OFFLOADED`, whose former record or image it
    /// keeps.
    #[must_use]
    pub fn former_state_in_error(&self) -> Option<State> {
        if self.state != Failed {
            return None;
        }
        let was_resized = self.task.as_ref().is_some_and(|task| self.is_resized(task));
        let was_shelved = || is_shelved(&self.record).then_some(ShelvedOffloaded);
        was_resized.then_some(Resized).or_else(was_shelved)
    }

    /// Whether its resize is waiting, or was waiting when `task` began, to be confirmed or reverted.
    fn is_resized(&self, task: &Task) -> bool {
        // In ERROR, a task began either in ERROR or, if a resize is kept, in another state.
        self.state == Resized || self.state == Failed && task.former_state != Failed
    }

    /// The instance once its task has succeeded.
    #[must_use]
    pub fn finish(&self) -> Self {
        let Some(task) = &self.task else { return self.clone() };
        let state = match task.operation.rule().map(|rule| &rule.to) {
            Some(Arrival::To(state)) => *state,
            Some(Arrival::Recovered) if self.state == Failed => Active,
            _ => task.former_state,
        };
        let record = task.target.as_ref().unwrap_or(&self.record);
        let waits = task.operation == Operation::Resize;
        let task = waits.then(|| Task { state: None, target: None, ..task.clone() });
        Self { state, record: Arc::clone(record), task, ..self.clone() }
    }

    /// The instance once its task has failed: as it was before, with `former` being its former record.
    #[must_use]
    pub fn fail(&self, former: Arc<Record>) -> Self {
        match &self.task {
            Some(task) if self.is_resized(task) => {
                let operation = Operation::Resize;
                let task = Task { operation, state: None, target: None, ..task.clone() };
                Self { task: Some(task), ..self.clone() }
            }
            _ => Self { record: former, task: None, ..self.clone() },
        }
    }
}
