//! Operations on volumes, their steps, and the states of their tasks.

use common::named;
use serde::{Deserialize, Serialize};

named! {
    /// What was done with a volume.
    #[expect(missing_docs, reason = "each is the RPC, or the service, with that name")]
    Operation {
        Create = "create",
        Update = "update",
        Extend = "extend",
        Retype = "retype",
        Reimage = "reimage",
        Revert = "revert",
        UpdateImageProperties = "update_image_properties",
        UploadToImage = "upload_to_image",
        WriteData = "write_data",
        Attachment = "attachment",
        Transfer = "transfer",
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
    /// What is being done with a volume.
    #[derive(Serialize, Deserialize)]
    #[expect(missing_docs, reason = "each is the operation with that name")]
    TaskState {
        Creating = "creating",
        Extending = "extending",
        Retyping = "retyping",
        Reimaging = "reimaging",
        Reverting = "reverting",
        Uploading = "uploading",
        Writing = "writing",
        Deleting = "deleting",
    }
}

impl Operation {
    /// The name of the RPC, or of the service.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "CreateVolume",
            Self::Update => "UpdateVolume",
            Self::Extend => "ExtendVolume",
            Self::Retype => "RetypeVolume",
            Self::Reimage => "ReimageVolume",
            Self::Revert => "RevertVolume",
            Self::UpdateImageProperties => "UpdateVolumeImageProperties",
            Self::UploadToImage => "UploadVolumeToImage",
            Self::WriteData => "WriteVolumeData",
            Self::Attachment => "AttachmentService",
            Self::Transfer => "TransferService",
            Self::ReportState => "ReportVolumeState",
            Self::Delete => "DeleteVolume",
        }
    }
}

impl TaskState {
    /// The operation that it is a task of.
    #[must_use]
    pub const fn operation(self) -> Operation {
        match self {
            Self::Creating => Operation::Create,
            Self::Extending => Operation::Extend,
            Self::Retyping => Operation::Retype,
            Self::Reimaging => Operation::Reimage,
            Self::Reverting => Operation::Revert,
            Self::Uploading => Operation::UploadToImage,
            Self::Writing => Operation::WriteData,
            Self::Deleting => Operation::Delete,
        }
    }
}
