//! The states and tasks of volumes as one table, and the transitions that it allows (docs/decisions/0010).

use std::sync::Arc;

use chassis::caller::Caller;
use chrono::{DateTime, Utc};
use common::id::Id;

use super::{Operation, Record, Status, TaskState, Volume, VolumeFailure};
use crate::error::Error;

/// A task: what is being done with a volume, and what the volume will be.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What is to be done.
    pub state: TaskState,
    /// The status before.
    pub former_status: Status,
    /// What changes once it is done.
    pub target: Target,
    /// The image to copy, or to upload to, and its revision.
    pub image: Option<(Id, i64)>,
    /// The snapshot to copy.
    pub snapshot_id: Option<Id>,
    /// The volume to copy.
    pub source_volume_id: Option<Id>,
    /// The caller that requested it.
    pub caller: Caller,
    /// When it was started.
    pub create_time: DateTime<Utc>,
}

/// What of a volume changes once a task is done; `None` for what stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Target {
    /// What it remembers of its image.
    pub record: Option<Arc<Record>>,
    /// Whether instances can boot from it.
    pub bootable: Option<bool>,
    /// Size in GiB.
    pub size_gib: Option<i32>,
    /// Its volume type, with its name.
    pub volume_type: Option<(Id, Arc<str>)>,
    /// Whether several instances may use it at a time.
    pub multiattach: Option<bool>,
    /// Its data.
    pub data_id: Option<Id>,
}

/// A row of the table of states.
struct Rule {
    operation: Operation,
    /// In which it is allowed.
    from: &'static [Status],
    /// Whether it is allowed while another task is in progress.
    during_task: bool,
    /// Its task; `None` if it completes at once.
    task: Option<TaskState>,
}

use Status::{Available, AwaitingTransfer, Creating, Deleting, Error as Failed, InUse, Reserved};

const RULES: [Rule; 11] = [
    rule(Operation::Update, &[Creating, Available, Reserved, InUse, AwaitingTransfer, Failed], true, None),
    rule(
        Operation::UpdateImageProperties,
        &[Available, Reserved, InUse, AwaitingTransfer, Failed],
        false,
        None,
    ),
    rule(Operation::Extend, &[Available, InUse], false, Some(TaskState::Extending)),
    rule(Operation::Retype, &[Available, InUse], false, Some(TaskState::Retyping)),
    rule(Operation::Reimage, &[Available, Failed], false, Some(TaskState::Reimaging)),
    rule(Operation::Revert, &[Available], false, Some(TaskState::Reverting)),
    rule(Operation::WriteData, &[Available], false, Some(TaskState::Writing)),
    rule(Operation::UploadToImage, &[Available], false, Some(TaskState::Uploading)),
    rule(Operation::Attachment, &[Available, Reserved, InUse], false, None),
    rule(Operation::Transfer, &[Available], false, None),
    rule(Operation::Delete, &[Available, Failed], false, Some(TaskState::Deleting)),
];

const fn rule(
    operation: Operation,
    from: &'static [Status],
    during_task: bool,
    task: Option<TaskState>,
) -> Rule {
    Rule { operation, from, during_task, task }
}

impl Rule {
    fn allows(&self, volume: &Volume) -> bool {
        (self.during_task || volume.task.is_none()) && self.from.contains(&volume.status)
    }
}

impl Operation {
    fn rule(self) -> Option<&'static Rule> {
        RULES.iter().find(|rule| rule.operation == self)
    }

    /// The task that it begins, unless it completes at once.
    #[must_use]
    pub fn task(self) -> Option<TaskState> {
        self.rule().and_then(|rule| rule.task)
    }

    /// Refuses a volume whose status does not allow the operation, or which has a task in progress. `also` is a status
    /// that the request allows in addition.
    pub fn check(self, volume: &Volume, also: Option<Status>) -> Result<(), Error> {
        let Some(rule) = self.rule() else { return Ok(()) };
        let is_also = also == Some(volume.status) && volume.task.is_none();
        if is_also || rule.allows(volume) {
            return Ok(());
        }
        Err(self.refusal(volume, rule.from))
    }

    /// The error of an operation that needs another status than the volume has, or no task.
    pub(super) fn refusal(self, volume: &Volume, needed: &'static [Status]) -> Error {
        Error::WrongState {
            id: volume.id,
            operation: self,
            status: volume.status,
            task_state: volume.task_state(),
            needed,
            allowed: RULES.iter().filter(|rule| rule.allows(volume)).map(|rule| rule.operation).collect(),
        }
    }
}

impl Volume {
    /// The volume once `task` has been started.
    #[must_use]
    pub fn begin(&self, task: Task) -> Self {
        let status = if task.state == TaskState::Deleting { Deleting } else { self.status };
        Self { status, task: Some(task), ..self.clone() }
    }

    /// The volume once what `target` says has come true. The last failure is over.
    #[must_use]
    pub fn with(&self, target: Target) -> Self {
        let (volume_type_id, volume_type) =
            target.volume_type.unwrap_or_else(|| (self.volume_type_id, Arc::clone(&self.volume_type)));
        Self {
            record: target.record.unwrap_or_else(|| Arc::clone(&self.record)),
            bootable: target.bootable.unwrap_or(self.bootable),
            size_gib: target.size_gib.unwrap_or(self.size_gib),
            multiattach: target.multiattach.unwrap_or(self.multiattach),
            data_id: target.data_id.or(self.data_id),
            volume_type_id,
            volume_type,
            last_failure: None,
            ..self.clone()
        }
    }

    /// The volume once its task has succeeded; `None` if nothing is left of it.
    #[must_use]
    pub fn finish(&self) -> Option<Self> {
        let Some(task) = &self.task else { return Some(self.clone()) };
        let status = match task.state {
            TaskState::Deleting => return None,
            TaskState::Creating => Available,
            TaskState::Reimaging if self.status == Failed => self.status_by_attachments(),
            _ => self.status,
        };
        Some(Self { status, task: None, ..self.with(task.target.clone()) })
    }

    /// The volume once its task has failed: as it was before. One that was being created is in ERROR, and so is one
    /// whose data may be removed in part.
    #[must_use]
    pub fn fail(&self, failure: VolumeFailure) -> Self {
        let status = match self.task_state() {
            Some(TaskState::Creating | TaskState::Deleting) => Failed,
            _ => self.status,
        };
        Self { status, task: None, last_failure: Some(failure), ..self.clone() }
    }
}
