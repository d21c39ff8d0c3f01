//! The file of an SQLite database. Whoever removes it, or puts another one in its place, leaves our connections with a file
//! that has no name any more: what is written into it is gone when the process ends.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::PathBuf,
    sync::OnceLock,
};

/// A file, and which one it was when its database was opened.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// Its device and its number there.
    opened: OnceLock<(u64, u64)>,
}

/// Why a file is not the one that was opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// There is none with its name, or nobody can tell.
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

    /// Makes an empty file, which is an empty database, unless there is one. Connections make none: one that is opened
    /// later would make a second database where the first one was.
    pub(super) fn create(&self) -> io::Result<()> {
        fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(&self.path).map(drop)
    }

    /// Notes which file was opened, once.
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
