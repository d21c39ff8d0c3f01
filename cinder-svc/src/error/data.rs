//! What can go wrong with the data of volumes.

use std::{io, sync::Arc};

use chassis::{
    data,
    status::{Code, Description, Detail, RETRY_AFTER},
};
use common::id::Id;

use super::{
    Error,
    describe::{id_of, volume},
};
use crate::{
    storage::{self, Unusable},
    volume::{Status, Storage},
};

/// Why a request failed that is about the data of volumes.
#[derive(Debug, Clone, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the values of the sentence")]
pub enum DataError {
    /// The data of an image cannot become that of a volume.
    #[error("the data of the image {0}")]
    Unusable(#[from] Unusable),
    /// There is no data that could be read or written here.
    #[error("cinder-svc does not keep the data of volume {id}: its storage is {}", .storage.as_str().to_uppercase())]
    NoData { id: Id, storage: Storage },
    /// Who keeps the data of the volume or snapshot is not who keeps data now.
    #[error(
        "the storage of {kind} {id} is {}, but that of cinder-svc is {} now, and nobody would do this; start cinder-svc          with the --storage it had before",
        .storage.as_str().to_uppercase(), .current.as_str().to_uppercase()
    )]
    OtherStorage { kind: &'static str, id: Id, storage: Storage, current: Storage },
    /// The data of the volume is not to be read now.
    #[error("volume {id} must be AVAILABLE for its data to be read, but is {status}")]
    NotReadable { id: Id, status: Status },
    /// The part of the data that is to be read is outside.
    #[error("the volume has {size} bytes: the offset must not be behind its end")]
    OutOfRange { size: u64 },
    /// The sender of data stopped in the middle.
    #[error("the data broke off; nothing was kept, write it again")]
    Broken,
    /// The data that arrived is not what the sender says.
    #[error("the data does not have the given sha512; nothing was kept, write it again")]
    WrongHash,
    /// More data than the volume has room for.
    #[error("the volume has {0} bytes, and there is more data than that; nothing was kept")]
    TooLarge(u64),
    /// There is no room for the data.
    #[error("the folder with the data of volumes is full; nothing was kept")]
    Full,
    /// The folder with the data cannot be used.
    #[error("the folder with the data of volumes cannot be used; nothing was kept, try again")]
    Folder(#[source] Arc<io::Error>),
    /// The folder with the data is missing, or another one is in its place.
    #[error(
        "the folder with the data of volumes is missing, or another one is in its place; nothing was done, try again"
    )]
    Away { expected: Option<Id> },
    /// The data is in the database but not in the folder.
    #[error("data {0} is missing from the folder with the data of volumes")]
    Missing(Id),
    /// The process that was doing something has died, or has lost its right to do it.
    #[error("the process that was doing this has died; nothing was changed, try again")]
    TaskLost,
}

impl From<data::Error> for Error {
    fn from(error: data::Error) -> Self {
        match error {
            data::Error::Away { expected } => DataError::Away { expected }.into(),
            data::Error::Folder(error) => DataError::Folder(Arc::new(error)).into(),
            data::Error::Database(error) => Self::Database(error),
        }
    }
}

impl From<storage::Error> for DataError {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::Full => Self::Full,
            storage::Error::Missing(data) => Self::Missing(data),
            storage::Error::TooLong(limit) => Self::TooLarge(limit),
            storage::Error::Unusable(problem) => Self::Unusable(problem),
            storage::Error::Folder(error) => Self::Folder(error),
        }
    }
}

impl From<Unusable> for Error {
    fn from(problem: Unusable) -> Self {
        Self::Data(problem.into())
    }
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        Self::Data(error.into())
    }
}

impl DataError {
    pub(super) fn describe(&self) -> Description {
        match self {
            Self::Unusable(problem) => Description::new(Code::FailedPrecondition, problem.reason()),
            Self::NoData { id, storage } => {
                volume("VOLUME_HAS_NO_DATA", id).with("storage", storage.as_str().to_uppercase())
            }
            Self::OtherStorage { kind, id, storage, current } => {
                Description::precondition("OTHER_STORAGE", "OTHER_STORAGE", id_of(kind), id)
                    .with("storage", storage.as_str().to_uppercase())
                    .with("current", current.as_str().to_uppercase())
            }
            Self::NotReadable { id, status } => volume("VOLUME_NOT_READABLE", id).with("status", status),
            Self::OutOfRange { size } => {
                Description::new(Code::OutOfRange, "RANGE_OUTSIDE_DATA").with("size", size)
            }
            Self::Broken => Description::new(Code::Aborted, "UPLOAD_BROKEN"),
            Self::WrongHash => Description::new(Code::InvalidArgument, "DATA_HASH_MISMATCH"),
            Self::TooLarge(limit) => Description::new(Code::ResourceExhausted, "DATA_TOO_LARGE")
                .with("limit_bytes", limit)
                .detail(Detail::Quota { subject: "bytes of data".to_owned() }),
            Self::Full => Description::new(Code::ResourceExhausted, "DATA_STORE_FULL"),
            Self::Folder(_) | Self::Away { .. } => {
                Description::retry(Code::Unavailable, "DATA_STORE_UNAVAILABLE", RETRY_AFTER)
            }
            Self::Missing(id) => Description::new(Code::DataLoss, "DATA_MISSING").with("data_id", id),
            Self::TaskLost => Description::retry(Code::Aborted, "TASK_LOST", RETRY_AFTER),
        }
    }
}
