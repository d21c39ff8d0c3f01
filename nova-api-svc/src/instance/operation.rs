//! What is done with instances that are there, by name.

use common::named;
use serde::Serialize;

named! {
    /// What is done with an instance.
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
        ReportState = "report_state",
        Delete = "delete",
    }
}

named! {
    /// How far an operation came.
    Step {
        /// It was begun.
        Started = "started",
        /// It was done.
        Finished = "finished",
        /// It was not done.
        Failed = "failed",
    }
}

named! {
    /// What somebody has to do (Nova, `task_state`).
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
