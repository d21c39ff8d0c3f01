//! The folder with the data of volumes: a file for each, in a folder of its own that is named by the id of the data.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    ops::Range,
    path::{Path, PathBuf},
};

use chassis::data::Folder;
use common::id::Id;
use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use rustix::fs::statvfs;
use sha2::{Digest as _, Sha512};

use super::{
    Error, Piece, QemuImg, STEP,
    copy::Copy,
    hash::hexadecimal,
    on_thread,
    read::{pieces, with_zeros},
    writer::Writer,
};

/// The name of the file with the data.
pub(super) const DATA: &str = "data";

/// The folder with the data of volumes and snapshots.
#[derive(Debug, Clone)]
pub struct Directory {
    folder: Folder,
    /// What converts images in formats that are not known here.
    pub(super) qemu_img: Option<QemuImg>,
}

impl Directory {
    /// The folder at `path`, which need not exist.
    pub fn new(path: &Path) -> io::Result<Self> {
        Ok(Self { folder: Folder::new(path)?, qemu_img: None })
    }

    /// The same, where images in more formats can become the data of volumes.
    #[must_use]
    pub fn with_qemu_img(self, qemu_img: QemuImg) -> Self {
        Self { qemu_img: Some(qemu_img), ..self }
    }

    /// The folder.
    #[must_use]
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The file with this data.
    #[must_use]
    pub fn path(&self, data: Id) -> PathBuf {
        self.folder.of(data).join(DATA)
    }

    /// Makes room for new data. Everything else only writes where this has been called: what has been removed in the
    /// meantime does not come back.
    pub async fn create(&self, data: Id) -> Result<(), Error> {
        let folder = self.folder.of(data);
        on_thread(move || Ok(fs::create_dir(folder)?)).await
    }

    /// Gives new data `size` zeros.
    pub async fn write_zeros(&self, data: Id, size: u64) -> Result<(), Error> {
        let path = self.path(data);
        let writer = on_thread(move || Ok(Writer::create(&path, size)?)).await?;
        self.finish(writer, data, size).await
    }

    /// Gives new data `size` bytes: those that arrive, then zeros. Zeros take no space.
    pub async fn write<S, E>(&self, data: Id, size: u64, mut pieces: S) -> Result<(), E>
    where
        S: Stream<Item = Result<Piece, E>> + Unpin,
        E: From<Error>,
    {
        let path = self.path(data);
        let mut writer = on_thread(move || Ok(Writer::create(&path, size)?)).await?;
        while let Some(piece) = pieces.next().await.transpose()? {
            writer = on_thread(move || {
                match piece {
                    Piece::Data(bytes) => writer.write(&bytes)?,
                    Piece::Zeros(count) => writer.zeros(count)?,
                }
                Ok(writer)
            })
            .await?;
        }
        Ok(self.finish(writer, data, size).await?)
    }

    /// Gives new data `size` bytes: the first ones of other data, then zeros. The two share their blocks where the file
    /// system can do that.
    pub async fn copy(&self, from: Id, to: Id, size: u64) -> Result<(), Error> {
        let (source, target) = (self.path(from), self.path(to));
        let mut copy = on_thread(move || {
            let source = open(&source, from)?;
            let target = File::options().write(true).create_new(true).open(target)?;
            let mut copy = Copy::new(source, target, size);
            copy.share()?;
            Ok(copy)
        })
        .await?;
        loop {
            let (next, goes_on) =
                on_thread(move || Ok(copy.step(STEP).map(|goes_on| (copy, goes_on))?)).await?;
            copy = next;
            if !goes_on {
                break;
            }
        }
        on_thread(move || Ok(copy.finish(size)?)).await?;
        self.sync(to).await
    }

    /// Makes data larger: the bytes that are added are zeros.
    pub async fn extend(&self, data: Id, size: u64) -> Result<(), Error> {
        let path = self.path(data);
        on_thread(move || {
            let file = File::options().write(true).open(&path).map_err(|error| missing(error, data))?;
            if file.metadata()?.len() < size {
                file.set_len(size)?;
            }
            Ok(file.sync_all()?)
        })
        .await
    }

    /// Reads a part of data.
    pub async fn read(
        &self,
        data: Id,
        part: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Piece, Error>>, Error> {
        let path = self.path(data);
        let file = on_thread(move || open(&path, data)).await?;
        Ok(pieces(file, part))
    }

    /// Whether the first `length` bytes of data have this SHA-512, in hexadecimal.
    pub async fn has_sha512(&self, data: Id, length: u64, expected: &str) -> Result<bool, Error> {
        let (mut bytes, mut sha512) = (with_zeros(self.read(data, 0..length).await?), Sha512::default());
        while let Some(part) = bytes.next().await.transpose()? {
            sha512 = on_thread(move || Ok(sha512.chain_update(&part))).await?;
        }
        Ok(hexadecimal(&sha512.finalize()) == expected.to_ascii_lowercase())
    }

    /// Removes data, and whatever a write of it left behind; `false` if there was nothing.
    pub async fn remove(&self, data: Id) -> Result<bool, Error> {
        Ok(self.folder.remove(data).await?)
    }

    /// How many more bytes fit.
    pub async fn space_left(&self) -> Result<u64, Error> {
        let folder = self.folder.clone();
        on_thread(move || {
            let found = statvfs(folder.path()).map_err(io::Error::from)?;
            Ok(found.f_bavail.saturating_mul(found.f_frsize))
        })
        .await
    }

    /// Makes new data durable.
    pub(super) async fn finish(&self, writer: Writer, data: Id, size: u64) -> Result<(), Error> {
        on_thread(move || Ok(writer.finish(size)?)).await?;
        self.sync(data).await
    }

    /// Makes the names of new data durable.
    pub(super) async fn sync(&self, data: Id) -> Result<(), Error> {
        let folders = [self.folder.of(data), self.folder.path().to_owned()];
        on_thread(move || Ok(folders.iter().try_for_each(|folder| File::open(folder)?.sync_all())?)).await
    }
}

fn open(path: &Path, data: Id) -> Result<File, Error> {
    File::open(path).map_err(|error| missing(error, data))
}

/// What it means that existing data cannot be opened.
fn missing(error: io::Error, data: Id) -> Error {
    if error.kind() == ErrorKind::NotFound { Error::Missing(data) } else { error.into() }
}

#[cfg(test)]
mod tests;
