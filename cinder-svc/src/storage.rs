//! The data of volumes and snapshots: raw files in a folder, each under the id of its data. Only the database knows whose
//! data it is. New data is written beside the old, and belongs to nobody until a transaction says so.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use bytes::Bytes;
use common::id::Id;

mod arg;
mod convert;
mod copy;
mod directory;
mod foreign;
mod format;
mod hash;
mod image;
mod qcow2;
mod qemu_img;
mod read;
mod unusable;
mod writer;

pub use arg::{BadStorage, StorageArg};
pub use directory::Directory;
pub use qemu_img::QemuImg;
pub use read::with_zeros;
pub use unusable::Unusable;

/// Bytes of a GiB.
pub const GIB: u64 = 1 << 30;

/// How many bytes are read or written at a time.
const CHUNK: usize = 256 * 1024;

/// How many bytes are copied or converted at most before somebody else may stop it.
const STEP: u64 = 64 * 1024 * 1024;

/// Why data cannot be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no room for it.
    #[error("the folder with the data of volumes is full")]
    Full,
    /// It is in the database but not in the folder.
    #[error("data {0} is missing")]
    Missing(Id),
    /// There are more bytes than the volume has.
    #[error("more than {0} bytes")]
    TooLong(u64),
    /// The data of an image cannot become that of a volume.
    #[error("the data of the image {0}")]
    Unusable(#[from] Unusable),
    /// The folder cannot be read or written.
    #[error("the folder with the data of volumes cannot be used")]
    Folder(#[source] Arc<io::Error>),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full,
            _ => Self::Folder(Arc::new(error)),
        }
    }
}

/// A part of data that is read or written in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes.
    Data(Bytes),
    /// So many zeros.
    Zeros(u64),
}

impl Piece {
    /// How many bytes it stands for.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Data(bytes) => bytes.len() as u64,
            Self::Zeros(count) => *count,
        }
    }

    /// Whether it stands for none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Does blocking work on a thread for such work. It goes on if nobody waits for it any more, and is therefore short.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panicked| Err(io::Error::other(panicked).into()))
}
