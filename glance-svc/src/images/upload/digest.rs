//! What is computed of data while they pass: their size, their hashes, and the size of the disk they describe.

use bytes::Bytes;
use md5::Md5;
use sha2::{Digest as _, Sha512};

use crate::image::Image;

/// Algorithm of `os_hash_value` (Glance, `hashing_algorithm`).
const ALGORITHM: &str = "sha512";

/// Bytes at the beginning of the data that say what they are.
const HEAD: usize = 32;

/// The hashes so far.
#[derive(Default)]
pub(super) struct Digests {
    size: u64,
    head: Vec<u8>,
    md5: Md5,
    sha512: Sha512,
}

/// What was computed.
pub(super) struct Digest {
    size: u64,
    head: Vec<u8>,
    checksum: String,
    hash: String,
}

impl Digests {
    /// Takes the next part; both hashes at once, each on a thread for such work.
    pub(super) async fn update(self, part: Bytes) -> Self {
        let Self { size, mut head, mut md5, mut sha512 } = self;
        let size = size + part.len() as u64;
        let missing = HEAD.saturating_sub(head.len()).min(part.len());
        head.extend_from_slice(&part[..missing]);
        let same = part.clone();
        let md5 = tokio::task::spawn_blocking(move || {
            md5.update(&same);
            md5
        });
        let sha512 = tokio::task::spawn_blocking(move || {
            sha512.update(&part);
            sha512
        });
        let (md5, sha512) = tokio::join!(md5, sha512);
        let no_panic = "hashing does not panic, and is not cancelled";
        Self { size, head, md5: md5.expect(no_panic), sha512: sha512.expect(no_panic) }
    }

    pub(super) fn finish(self) -> Digest {
        let (checksum, hash) = (hexadecimal(&self.md5.finalize()), hexadecimal(&self.sha512.finalize()));
        Digest { size: self.size, head: self.head, checksum, hash }
    }
}

impl Digest {
    /// Writes it into the image that the data are of.
    pub(super) fn describe(&self, image: &mut Image) {
        image.size = i64::try_from(self.size).ok();
        image.checksum.clone_from(&self.checksum);
        ALGORITHM.clone_into(&mut image.os_hash_algo);
        image.os_hash_value.clone_from(&self.hash);
        // Glance: what is in a container is not looked into.
        let is_bare = image.container_format == "bare";
        let virtual_size = self.virtual_size(&image.disk_format).filter(|_| is_bare);
        image.virtual_size = virtual_size.and_then(|size| i64::try_from(size).ok());
    }

    /// Size of the disk: that of the data, or what the head of a qcow2 says.
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
