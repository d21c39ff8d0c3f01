//! A folder with data.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use common::id::Id;
use tokio::fs;

use super::marker;

/// A folder with data, each in a folder of its own that is named by the id of the data: so nothing of a write that
/// broke off is overlooked.
#[derive(Debug, Clone)]
pub struct Folder(Arc<Path>);

impl Folder {
    /// The folder at `path`, which need not exist.
    pub fn new(path: &Path) -> io::Result<Self> {
        Ok(Self(std::path::absolute(path)?.into()))
    }

    /// Its absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of this data.
    #[must_use]
    pub fn of(&self, data: Id) -> PathBuf {
        self.0.join(data.to_string())
    }

    /// The id in its marker; `None` if it has none or does not exist.
    pub async fn marker(&self) -> io::Result<Option<Id>> {
        marker::read(&self.0).await
    }

    /// Marks the folder, which is created if it is missing; a marked one keeps its id.
    pub async fn mark(&self, id: Id) -> io::Result<()> {
        marker::write(&self.0, id).await
    }

    /// Whether it has this data.
    pub async fn holds(&self, data: Id) -> bool {
        fs::metadata(self.of(data)).await.is_ok()
    }

    /// Removes data, and whatever a write of it left behind; `false` if there was nothing.
    pub async fn remove(&self, data: Id) -> io::Result<bool> {
        match fs::remove_dir_all(self.of(data)).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
