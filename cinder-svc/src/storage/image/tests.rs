use std::fs;

use common::image::{DataHash, ImageMeta};
use futures_util::stream;
use sha2::{Digest as _, Sha512};
use tempfile::TempDir;

use super::*;
use crate::storage::{GIB, hash::hexadecimal, qcow2::tests::header};

const CLUSTER: usize = 512;

/// A cluster of a disk, in a qcow2 file.
#[derive(Clone, Copy)]
enum Cluster {
    Hole,
    Zeros,
    Plain(u8),
    Packed(u8),
}

use Cluster::{Hole, Packed, Plain, Zeros};

/// A qcow2 file with these clusters: the header, a table of one table, that table, the clusters.
fn qcow2(clusters: &[Cluster]) -> Vec<u8> {
    let mut file = header();
    file[24..32].copy_from_slice(&((clusters.len() * CLUSTER) as u64).to_be_bytes());
    file.resize(3 * CLUSTER, 0);
    file[CLUSTER..CLUSTER + 8].copy_from_slice(&((1 << 63) | (2 * CLUSTER as u64)).to_be_bytes());
    for (number, cluster) in clusters.iter().enumerate() {
        let at = file.len() as u64;
        let entry = match cluster {
            Hole => 0,
            Zeros => 1,
            Plain(byte) => {
                file.extend_from_slice(&[*byte; CLUSTER]);
                (1 << 63) | at
            }
            Packed(byte) => {
                // A stored block of Deflate, which takes a part of a second sector.
                file.extend_from_slice(&[1, 0x00, 0x02, 0xff, 0xfd]);
                file.extend_from_slice(&[*byte; CLUSTER]);
                file.resize(file.len().next_multiple_of(CLUSTER), 0);
                (1 << 62) | (1 << 61) | at
            }
        };
        let place = 2 * CLUSTER + number * 8;
        file[place..place + 8].copy_from_slice(&entry.to_be_bytes());
    }
    file
}

fn disk(clusters: &[Cluster]) -> Vec<u8> {
    let byte = |cluster: &Cluster| match cluster {
        Hole | Zeros => 0,
        Plain(byte) | Packed(byte) => *byte,
    };
    clusters.iter().flat_map(|cluster| [byte(cluster); CLUSTER]).collect()
}

const CLUSTERS: [Cluster; 7] = [Plain(1), Hole, Packed(2), Zeros, Plain(3), Plain(4), Packed(5)];

struct World {
    directory: Directory,
    _folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { directory: Directory::new(folder.path()).unwrap(), _folder: folder }
    }

    /// The data of a volume of `size` bytes from an image.
    async fn made_from(&self, disk_format: &str, bytes: &[u8], size: u64) -> Result<Vec<u8>, Error> {
        let hash = hexadecimal(&Sha512::digest(bytes));
        self.made_with(&image(disk_format, bytes, Some(("sha512", &hash)), None), bytes, size).await
    }

    async fn made_with(&self, image: &Image, bytes: &[u8], size: u64) -> Result<Vec<u8>, Error> {
        let data = Id::random();
        self.directory.create(data).await?;
        let parts: Vec<_> =
            bytes.chunks(1000).map(|part| Ok::<_, Error>(Bytes::copy_from_slice(part))).collect();
        self.directory.write_image(data, size, image, stream::iter(parts)).await?;
        assert_eq!(fs::read_dir(self.directory.folder().of(data)).unwrap().count(), 1);
        Ok(fs::read(self.directory.path(data)).unwrap())
    }

    async fn refused(&self, disk_format: &str, bytes: &[u8]) -> &'static str {
        match self.made_from(disk_format, bytes, 1 << 20).await.unwrap_err() {
            Error::Unusable(unusable) => unusable.reason(),
            other => panic!("{other}"),
        }
    }
}

/// An image of these bytes, with a hash and a checksum.
pub(in crate::storage) fn image(
    disk_format: &str,
    bytes: &[u8],
    hash: Option<(&str, &str)>,
    checksum: Option<&str>,
) -> Image {
    let text = |text: &str| Some(text.to_owned());
    Image {
        id: Id::random(),
        revision: 1,
        name: String::new(),
        status: "ACTIVE",
        size: i64::try_from(bytes.len()).ok(),
        virtual_size: None,
        checksum: checksum.and_then(text),
        hash: hash
            .map(|(algorithm, value)| DataHash { algorithm: algorithm.to_owned(), value: value.to_owned() }),
        meta: ImageMeta {
            disk_format: text(disk_format),
            container_format: text("bare"),
            ..ImageMeta::default()
        },
    }
}

fn padded(mut bytes: Vec<u8>, size: usize) -> Vec<u8> {
    bytes.resize(size, 0);
    bytes
}

#[tokio::test]
async fn zeros_at_the_end_of_a_qcow2_file_are_not_missing() {
    let clusters = [vec![Plain(1)], vec![Plain(0); 32]].concat();
    let data = World::new().made_from("qcow2", &qcow2(&clusters), 1 << 20).await.unwrap();
    assert!(data == padded(disk(&clusters), 1 << 20));
}

#[tokio::test]
async fn a_raw_image_is_the_beginning_of_the_volume() {
    let world = World::new();
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(|number| (number % 7).to_le_bytes()).collect();
    for format in ["raw", "iso"] {
        let made = world.made_from(format, &bytes, 1 << 20).await.unwrap();
        assert!(made == padded(bytes.clone(), 1 << 20));
    }
    assert_eq!(world.made_from("raw", b"tiny", 8).await.unwrap(), b"tiny\0\0\0\0");
    assert_eq!(world.made_from("raw", b"", 2).await.unwrap(), b"\0\0");
}

#[tokio::test]
async fn a_qcow2_image_is_unpacked() {
    let world = World::new();
    let made = world.made_from("qcow2", &qcow2(&CLUSTERS), 1 << 20).await.unwrap();
    assert!(made == padded(disk(&CLUSTERS), 1 << 20));
}

#[tokio::test]
async fn data_with_another_hash_is_refused() {
    let world = World::new();
    for (format, bytes) in [("raw", b"some data".to_vec()), ("qcow2", qcow2(&CLUSTERS))] {
        let image = image(format, &bytes, Some(("sha512", &"0".repeat(128))), None);
        let refused = world.made_with(&image, &bytes, 1 << 20).await.unwrap_err();
        assert!(matches!(refused, Error::Unusable(Unusable::Hash(ref algorithm)) if algorithm == "sha512"));
    }
}

#[tokio::test]
async fn data_of_another_size_is_refused() {
    let world = World::new();
    let stated = image("raw", b"12345", None, None);
    let short = world.made_with(&stated, b"1234", 10).await.unwrap_err();
    assert!(matches!(short, Error::Unusable(Unusable::Truncated { needed: 5, size: 4 })));
    let long = world.made_with(&stated, b"123456", 10).await.unwrap_err();
    assert!(matches!(long, Error::TooLong(5)));
}

#[tokio::test]
async fn an_image_in_another_format_than_it_says_is_refused() {
    let world = World::new();
    assert_eq!(world.refused("raw", &qcow2(&CLUSTERS)).await, "IMAGE_FORMAT_MISMATCH");
    assert_eq!(world.refused("qcow2", &[7; 4096]).await, "IMAGE_FORMAT_MISMATCH");
    assert_eq!(world.refused("raw", b"KDMV").await, "IMAGE_FORMAT_MISMATCH");
    assert_eq!(world.refused("vmdk", b"KDMV").await, "IMAGE_FORMAT_UNSUPPORTED");
}

#[tokio::test]
async fn images_that_are_not_all_of_the_disk_are_refused() {
    let world = World::new();
    let with = |at: usize, byte: u8| {
        let mut file = qcow2(&CLUSTERS);
        file[at] = byte;
        file
    };
    assert_eq!(world.refused("qcow2", &with(15, 200)).await, "IMAGE_HAS_BACKING_FILE");
    assert_eq!(world.refused("qcow2", &with(35, 2)).await, "IMAGE_ENCRYPTED");
    assert_eq!(world.refused("qcow2", &with(79, 4)).await, "IMAGE_HAS_DATA_FILE");
    assert_eq!(world.refused("raw", b"LUKS\xba\xbe").await, "IMAGE_ENCRYPTED");
}

/// Wherever its end is missing.
#[tokio::test]
async fn a_truncated_image_is_refused() {
    let (world, whole) = (World::new(), qcow2(&CLUSTERS));
    for length in
        [30, CLUSTER, CLUSTER + 7, 2 * CLUSTER, 3 * CLUSTER - 1, 3 * CLUSTER, whole.len() - 2 * CLUSTER]
    {
        let reason = world.refused("qcow2", &whole[..length]).await;
        assert!(["IMAGE_TRUNCATED", "IMAGE_DAMAGED"].contains(&reason), "{length}: {reason}");
    }
}

#[tokio::test]
async fn a_disk_that_does_not_fit_is_refused() {
    let world = World::new();
    let size = disk(&CLUSTERS).len() as u64 - 1;
    let refused = world.made_from("qcow2", &qcow2(&CLUSTERS), size).await.unwrap_err();
    assert!(matches!(refused, Error::Unusable(Unusable::TooLarge { .. })), "{refused}");
    assert!(matches!(world.made_from("raw", b"12345", 4).await.unwrap_err(), Error::TooLong(4)));
}

#[tokio::test]
async fn nothing_is_written_where_data_has_been_removed() {
    let (world, data) = (World::new(), Id::random());
    world.directory.create(data).await.unwrap();
    assert!(world.directory.remove(data).await.unwrap());
    let written = world.directory.write_zeros(data, GIB).await;
    assert!(matches!(written, Err(Error::Folder(_))));
    assert!(!world.directory.remove(data).await.unwrap());
}
