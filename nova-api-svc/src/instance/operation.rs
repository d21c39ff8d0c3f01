//! What is done with instances that are there, by name.

use std::fmt;

use serde::Serialize;

/// What is done with an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the RPC with that name")]
pub enum Operation {
    Create,
    Snapshot,
    Rebuild,
    Resize,
    ConfirmResize,
    RevertResize,
    UpdateImageProperties,
    Shelve,
    Unshelve,
    ReportState,
    Delete,
}

/// How far an operation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It was begun.
    Started,
    /// It was done.
    Finished,
    /// It was not done.
    Failed,
}

/// What somebody has to do (Nova, `task_state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each is Nova's task state with that name")]
pub enum TaskState {
    ImageSnapshot,
    Rebuilding,
    ResizePrep,
    ResizeConfirming,
    ResizeReverting,
    Shelving,
    Unshelving,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 11] = [
        Self::Create,
        Self::Snapshot,
        Self::Rebuild,
        Self::Resize,
        Self::ConfirmResize,
        Self::RevertResize,
        Self::UpdateImageProperties,
        Self::Shelve,
        Self::Unshelve,
        Self::ReportState,
        Self::Delete,
    ];

    /// Its name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Snapshot => "snapshot",
            Self::Rebuild => "rebuild",
            Self::Resize => "resize",
            Self::ConfirmResize => "confirm_resize",
            Self::RevertResize => "revert_resize",
            Self::UpdateImageProperties => "update_image_properties",
            Self::Shelve => "shelve",
            Self::Unshelve => "unshelve",
            Self::ReportState => "report_state",
            Self::Delete => "delete",
        }
    }

    /// The operation of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == name)
    }

    /// The RPC.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "CreateInstance",
            Self::Snapshot => "SnapshotInstance",
            Self::Rebuild => "RebuildInstance",
            Self::Resize => "ResizeInstance",
            Self::ConfirmResize => "ConfirmResize",
            Self::RevertResize => "RevertResize",
            Self::UpdateImageProperties => "UpdateInstanceImageProperties",
            Self::Shelve => "ShelveInstance",
            Self::Unshelve => "UnshelveInstance",
            Self::ReportState => "ReportInstanceState",
            Self::Delete => "DeleteInstance",
        }
    }
}

impl Step {
    /// Its name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }

    /// The step of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Started, Self::Finished, Self::Failed].into_iter().find(|step| step.as_str() == name)
    }
}

impl TaskState {
    /// Every task state.
    pub const ALL: [Self; 7] = [
        Self::ImageSnapshot,
        Self::Rebuilding,
        Self::ResizePrep,
        Self::ResizeConfirming,
        Self::ResizeReverting,
        Self::Shelving,
        Self::Unshelving,
    ];

    /// Its name in the database, that of Nova's `task_state`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ImageSnapshot => "image_snapshot",
            Self::Rebuilding => "rebuilding",
            Self::ResizePrep => "resize_prep",
            Self::ResizeConfirming => "resize_confirming",
            Self::ResizeReverting => "resize_reverting",
            Self::Shelving => "shelving",
            Self::Unshelving => "unshelving",
        }
    }

    /// The task state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.as_str().to_uppercase())
    }
}
