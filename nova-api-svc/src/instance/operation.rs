//! Operations on instances, their steps, and the states of their tasks.

use common::named;
use serde::Serialize;

named! {
    /// An operation on an instance.
    #[derive(PartialOrd, Ord)]
    #[expect(missing_docs, reason = "each is the RPC with that name")]
    Operation {
        Create = "create",
        Snapshot = "snapshot",
        Rebuild = "rebuild",
        Resize = "resize",
        ConfirmResize = "confirm_resize",
        RevertResize = "revert_resize",
        UpdateImageProperties = "update_image_properties",
        Shelve = "shelve",
        Unshelve = "unshelve",
        AttachVolume = "attach_volume",
        DetachVolume = "detach_volume",
        ReportState = "report_state",
        Delete = "delete",
    }
}

named! {
    /// The progress of an operation, as recorded in history.
    Step {
        /// It has been started.
        Started = "started",
        /// It has completed.
        Finished = "finished",
        /// It has failed.
        Failed = "failed",
    }
}

named! {
    /// What is to be done with an instance (Nova, `task_state`).
    #[derive(Serialize)]
    #[expect(missing_docs, reason = "each is Nova's task state with that name")]
    TaskState {
        ImageSnapshot = "image_snapshot",
        Rebuilding = "rebuilding",
        ResizePrep = "resize_prep",
        ResizeConfirming = "resize_confirming",
        ResizeReverting = "resize_reverting",
        Shelving = "shelving",
        Unshelving = "unshelving",
    }
}

impl Operation {
    /// The name of the RPC.
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
            Self::AttachVolume => "AttachVolume",
            Self::DetachVolume => "DetachVolume",
            Self::ReportState => "ReportInstanceState",
            Self::Delete => "DeleteInstance",
        }
    }
}
