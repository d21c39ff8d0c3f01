//! The file of an SQLite database. If somebody removes it, or puts another one in its place, our connections are left
//! with a file that no longer has a name: what is written to it is gone when the process ends.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::PathBuf,
    sync::OnceLock,
};

/// A file, and its identity when its database was opened.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// Its device and inode.
    opened: OnceLock<(u64, u64)>,
}

/// Why a file is not the one that was opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// There is none of that name, or nobody can tell.
    #[error(
        "the file of the database has gone; put it back, or restart the service to begin with an empty one"
    )]
    Gone(#[source] io::Error),
    /// There is another one.
    #[error(
        "another file is in the place of the database that was opened; restart the service to use that one"
    )]
    Replaced,
}

impl DatabaseFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, opened: OnceLock::new() }
    }

    /// Creates an empty file, which is an empty database, unless there is one. Connections create none: one that is
    /// opened later would create a second database in place of the first.
    pub(super) fn create(&self) -> io::Result<()> {
        fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(&self.path).map(drop)
    }

    /// Records which file was opened, once.
    pub(super) fn note(&self) {
        if let Ok(identity) = self.identity() {
            self.opened.get_or_init(|| identity);
        }
    }

    /// Whether the file is the one that was opened.
    pub(super) fn check(&self) -> Result<(), Lost> {
        let now = self.identity().map_err(Lost::Gone)?;
        if self.opened.get().is_none_or(|opened| *opened == now) { Ok(()) } else { Err(Lost::Replaced) }
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        let metadata = fs::metadata(&self.path)?;
        Ok((metadata.dev(), metadata.ino()))
    }
}
