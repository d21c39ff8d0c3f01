//! The data store: a folder or an S3-compatible bucket with the data of images. It identifies data by id; only the database
//! knows which image it belongs to.

use std::{
    io::{ErrorKind, SeekFrom},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use chassis::data::Folder;
use common::id::Id;
use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{
    BackoffConfig, Error, GetOptions, GetResultPayload, MultipartId, MultipartUpload, ObjectStore as _,
    ObjectStoreExt as _, PutPayload, Result, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    local::LocalFileSystem,
    multipart::{MultipartStore as _, PartId},
    path::Path,
};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

mod resumed;
mod url;

pub use url::{BadUrl, DataUrl};

/// How many bytes of a file are written at a time, and read at a time. Each upload has two parts in memory: with parts of
/// twice the size, 32 uploads would not fit into 80 MiB.
const FILE_PART: usize = 128 * 1024;
const FILE_CHUNK: usize = 256 * 1024;

/// Numbers and sizes of the parts of an object: S3 accepts 10,000 of at least 5 MiB each. They grow, so that 1 TiB fits
/// while most images need little memory.
const OBJECT_PARTS: [(usize, usize); 3] =
    [(1_000, 5 * 1024 * 1024), (4_000, 16 * 1024 * 1024), (usize::MAX, 256 * 1024 * 1024)];

/// The data store.
#[derive(Debug, Clone)]
pub struct DataStore(Arc<Backend>);

#[derive(Debug)]
enum Backend {
    /// Each image's data in a folder of its own, so that nothing of an upload that broke off is overlooked.
    Folder { files: LocalFileSystem, folder: Folder, prefix: Path },
    /// Each image's data in an object.
    Bucket { objects: AmazonS3, prefix: Path },
}

/// Data that is being written.
pub struct Writer(Target);

enum Target {
    File(Box<dyn MultipartUpload>),
    Object { store: DataStore, path: Path, id: MultipartId, parts: Vec<PartId> },
}

impl DataStore {
    /// Opens the store; a missing folder is created when it is marked. Keys, region and endpoint of a bucket come from the
    /// `AWS_` environment variables.
    pub fn open(url: &DataUrl) -> anyhow::Result<Self> {
        let backend = match url {
            DataUrl::Folder(path) => {
                let folder = Folder::new(path)?;
                let prefix = Path::from_absolute_path(folder.path())?;
                Backend::Folder { files: LocalFileSystem::new().with_fsync(true), folder, prefix }
            }
            DataUrl::Bucket { bucket, prefix } => {
                // Fails if there is one already, which will do as well.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let objects =
                    AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retries()).build()?;
                Backend::Bucket { objects, prefix: Path::parse(prefix)? }
            }
        };
        Ok(Self(Arc::new(backend)))
    }

    /// The folder; `None` for a bucket.
    #[must_use]
    pub fn folder(&self) -> Option<&Folder> {
        match &*self.0 {
            Backend::Folder { folder, .. } => Some(folder),
            Backend::Bucket { .. } => None,
        }
    }

    /// Starts writing data; also returns the store's own id of the upload, by which [`DataStore::remove`] finds what an aborted
    /// upload left behind.
    pub async fn write(&self, data: Id) -> Result<(Writer, MultipartId)> {
        let path = self.path(data);
        match &*self.0 {
            Backend::Folder { files, .. } => {
                Ok((Writer(Target::File(files.put_multipart(&path).await?)), MultipartId::new()))
            }
            Backend::Bucket { objects, .. } => {
                let id = objects.create_multipart(&path).await?;
                let target = Target::Object { store: self.clone(), path, id: id.clone(), parts: Vec::new() };
                Ok((Writer(target), id))
            }
        }
    }

    /// Reads a part of the data, which must not be empty.
    pub async fn read(&self, data: Id, part: Range<u64>) -> Result<BoxStream<'static, Result<Bytes>>> {
        let path = self.path(data);
        let files = match &*self.0 {
            Backend::Folder { files, .. } => files,
            Backend::Bucket { objects, .. } => return resumed::read(objects.clone(), path, part).await,
        };
        let length = part.end - part.start;
        let options = GetOptions { range: Some(part.clone().into()), ..GetOptions::default() };
        match files.get_opts(&path, options).await?.payload {
            GetResultPayload::Stream(stream) => Ok(stream),
            GetResultPayload::File(file, _) => {
                let mut file = tokio::fs::File::from_std(file);
                file.set_max_buf_size(FILE_CHUNK);
                file.seek(SeekFrom::Start(part.start)).await.map_err(generic)?;
                Ok(ReaderStream::with_capacity(file.take(length), FILE_CHUNK).map_err(generic).boxed())
            }
        }
    }

    /// Removes data, and what an aborted upload of it left behind. Missing data is not an error: for a folder, it is `false`,
    /// since the data may be elsewhere.
    pub async fn remove(&self, data: Id, upload_id: &MultipartId) -> Result<bool> {
        match &*self.0 {
            Backend::Folder { folder, .. } => folder.remove(data).await.map_err(generic),
            Backend::Bucket { objects, .. } => {
                let path = self.path(data);
                if !upload_id.is_empty() {
                    missing_is_fine(objects.abort_multipart(&path, upload_id).await)?;
                }
                let paths = stream::once(async { Ok(path) }).boxed();
                let removed: Vec<_> = objects.delete_stream(paths).collect().await;
                removed.into_iter().try_for_each(|removed| missing_is_fine(removed.map(drop)))?;
                Ok(true)
            }
        }
    }

    fn path(&self, data: Id) -> Path {
        match &*self.0 {
            Backend::Folder { prefix, .. } => prefix.clone().join(data.to_string()).join("data"),
            Backend::Bucket { prefix, .. } => prefix.clone().join(data.to_string()),
        }
    }
}

impl Writer {
    /// The size of the next part, in bytes, unless it is the last one.
    #[must_use]
    pub fn part_size(&self) -> usize {
        match &self.0 {
            Target::File(_) => FILE_PART,
            Target::Object { parts, .. } => object_part(parts.len()),
        }
    }

    /// Writes the next part.
    pub async fn write(&mut self, part: Bytes) -> Result<()> {
        match &mut self.0 {
            Target::File(upload) => upload.put_part(PutPayload::from_bytes(part)).await,
            Target::Object { store, path, id, parts } => {
                if let Backend::Bucket { objects, .. } = &*store.0 {
                    let part = PutPayload::from_bytes(part);
                    parts.push(objects.put_part(path, id, parts.len(), part).await?);
                }
                Ok(())
            }
        }
    }

    /// Makes what was written readable and durable.
    pub async fn finish(mut self) -> Result<()> {
        if matches!(&self.0, Target::Object { parts, .. } if parts.is_empty()) {
            // S3 does not complete an upload without parts.
            self.write(Bytes::new()).await?;
        }
        match self.0 {
            Target::File(mut upload) => upload.complete().await.map(drop),
            Target::Object { store, path, id, parts } => {
                if let Backend::Bucket { objects, .. } = &*store.0 {
                    objects.complete_multipart(&path, &id, parts).await?;
                }
                Ok(())
            }
        }
    }
}

/// Whether the store refused because it is full.
#[must_use]
pub fn is_full(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    std::iter::successors(source, |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

/// How the client of a bucket retries: up to ten times, for up to 180 s.
fn retries() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() };
    RetryConfig { backoff, ..RetryConfig::default() }
}

fn object_part(number: usize) -> usize {
    let sizes = OBJECT_PARTS.iter();
    sizes.into_iter().find(|(below, _)| number < *below).map_or(FILE_PART, |(_, size)| *size)
}

fn missing_is_fine(done: Result<()>) -> Result<()> {
    match done {
        Err(Error::NotFound { .. }) => Ok(()),
        done => done,
    }
}

pub(crate) fn generic(error: std::io::Error) -> Error {
    Error::Generic { store: "data", source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_image_has_a_place_in_a_bucket() {
        let bytes: usize = (0..10_000).map(object_part).sum();
        assert!(bytes >= 1 << 40, "{bytes}");
        assert_eq!(object_part(0), 5 * 1024 * 1024);
    }
}
