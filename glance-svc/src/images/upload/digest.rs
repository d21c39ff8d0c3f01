//! What is computed from data as it passes: its size, its hashes, and the size of the virtual disk.

use std::{sync::Arc, thread::available_parallelism};

use bytes::Bytes;
use md5::Md5;
use sha2::{Digest as _, Sha512};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, spawn_blocking},
};

use crate::image::Image;

/// Algorithm of `os_hash_value` (Glance, `hashing_algorithm`).
const ALGORITHM: &str = "sha512";

/// How many bytes at the beginning of the data tell its format.
const HEAD: usize = 32;

/// How many bytes to feed to one hash and then the other while they are in the processor's cache.
const CACHED: usize = 32 * 1024;

/// The processors, on which uploads compute hashes in turn: more threads than that would take memory without being faster.
#[derive(Debug, Clone)]
pub struct Processors(Arc<Semaphore>);

impl Default for Processors {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))))
    }
}

impl Processors {
    /// One of them, when it is this upload's turn.
    async fn one(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.0).acquire_owned().await.expect("it is never closed")
    }

    /// Another one, if nobody needs it.
    fn spare(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// The hashes so far.
#[derive(Default)]
pub(super) struct Digests {
    size: u64,
    head: Vec<u8>,
    md5: Md5,
    sha512: Sha512,
}

/// The result.
pub(super) struct Digest {
    size: u64,
    head: Vec<u8>,
    checksum: String,
    hash: String,
}

impl Digests {
    /// Takes the next part: both hashes at once if there is a processor for each, else one after the other.
    pub(super) async fn update(mut self, part: Bytes, processors: &Processors) -> Self {
        self.size += part.len() as u64;
        let missing = HEAD.saturating_sub(self.head.len()).min(part.len());
        self.head.extend_from_slice(&part[..missing]);
        let one = processors.one().await;
        let hashed = match processors.spare() {
            Some(spare) => self.at_once(part, (one, spare)).await,
            None => spawn_blocking(move || self.in_turn(&part, one)).await,
        };
        hashed.expect("hashing does not panic, and is not cancelled")
    }

    async fn at_once(
        self,
        part: Bytes,
        processors: (OwnedSemaphorePermit, OwnedSemaphorePermit),
    ) -> Result<Self, JoinError> {
        let Self { size, head, mut md5, mut sha512 } = self;
        let same = part.clone();
        let md5 = spawn_blocking(move || {
            md5.update(&same);
            drop(processors.0);
            md5
        });
        let sha512 = spawn_blocking(move || {
            sha512.update(&part);
            drop(processors.1);
            sha512
        });
        let (md5, sha512) = tokio::try_join!(md5, sha512)?;
        Ok(Self { size, head, md5, sha512 })
    }

    fn in_turn(mut self, part: &[u8], processor: OwnedSemaphorePermit) -> Self {
        for cached in part.chunks(CACHED) {
            self.md5.update(cached);
            self.sha512.update(cached);
        }
        drop(processor);
        self
    }

    pub(super) fn finish(self) -> Digest {
        let (checksum, hash) = (hexadecimal(&self.md5.finalize()), hexadecimal(&self.sha512.finalize()));
        Digest { size: self.size, head: self.head, checksum, hash }
    }
}

impl Digest {
    /// Writes the result into the image.
    pub(super) fn describe(&self, image: &mut Image) {
        image.size = i64::try_from(self.size).ok();
        image.checksum.clone_from(&self.checksum);
        ALGORITHM.clone_into(&mut image.os_hash_algo);
        image.os_hash_value.clone_from(&self.hash);
        // Glance does not look into containers.
        let is_bare = image.container_format == "bare";
        let virtual_size = self.virtual_size(&image.disk_format).filter(|_| is_bare);
        image.virtual_size = virtual_size.and_then(|size| i64::try_from(size).ok());
    }

    /// Size of the virtual disk: that of the data, or what the header of a qcow2 says.
    fn virtual_size(&self, disk_format: &str) -> Option<u64> {
        match disk_format {
            "raw" | "iso" => Some(self.size),
            "qcow2" if self.head.starts_with(b"QFI\xfb") => {
                self.head.get(24..32)?.try_into().ok().map(u64::from_be_bytes)
            }
            _ => None,
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
