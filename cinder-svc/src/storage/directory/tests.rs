use std::{os::unix::fs::MetadataExt as _, sync::Arc};

use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream};
use tempfile::TempDir;

use super::*;
use crate::storage::{GIB, with_zeros};

const MIB: u64 = 1 << 20;

fn directory() -> (Directory, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Directory::new(folder.path()).unwrap(), folder)
}

/// New data: a MiB of ones in the middle of 1 GiB.
async fn written(directory: &Directory) -> Id {
    let data = Id::random();
    directory.create(data).await.unwrap();
    let ones = Bytes::from(vec![1; usize::try_from(MIB).unwrap()]);
    let pieces = [Piece::Zeros(GIB / 2), Piece::Data(ones)].map(Ok::<_, Error>);
    directory.write(data, GIB, stream::iter(pieces)).await.unwrap();
    data
}

async fn pieces_of(directory: &Directory, data: Id, part: Range<u64>) -> Vec<Piece> {
    directory.read(data, part).await.unwrap().try_collect().await.unwrap()
}

/// How many zeros come first, then how many bytes, then how many zeros.
fn shape(pieces: &[Piece]) -> [u64; 3] {
    let mut shape = [0; 3];
    for piece in pieces {
        match piece {
            Piece::Zeros(count) if shape[1] == 0 => shape[0] += count,
            Piece::Zeros(count) => shape[2] += count,
            Piece::Data(bytes) => {
                assert!(bytes.iter().all(|byte| *byte == 1) && bytes.len() <= super::super::CHUNK);
                shape[1] += bytes.len() as u64;
            }
        }
    }
    shape
}

fn taken(directory: &Directory, data: Id) -> u64 {
    fs::metadata(directory.path(data)).unwrap().blocks() * 512
}

#[tokio::test]
async fn data_comes_back_as_it_went_in_and_zeros_take_no_space() {
    let (directory, _folder) = directory();
    let data = written(&directory).await;
    assert_eq!(shape(&pieces_of(&directory, data, 0..GIB).await), [GIB / 2, MIB, GIB / 2 - MIB]);
    assert_eq!(shape(&pieces_of(&directory, data, GIB / 2 - 5..GIB / 2 + 5).await), [5, 5, 0]);
    assert_eq!(pieces_of(&directory, data, 7..7).await, []);
    assert!(taken(&directory, data) < 2 * MIB);
    let bytes: Vec<Bytes> =
        with_zeros(directory.read(data, 0..2 * MIB).await.unwrap()).try_collect().await.unwrap();
    assert_eq!(bytes.iter().map(Bytes::len).sum::<usize>() as u64, 2 * MIB);
}

#[tokio::test]
async fn a_copy_has_the_data_and_the_size_that_was_asked_for() {
    let (directory, _folder) = directory();
    let (from, to) = (written(&directory).await, Id::random());
    directory.create(to).await.unwrap();
    directory.copy(from, to, 2 * GIB).await.unwrap();
    assert_eq!(fs::metadata(directory.path(to)).unwrap().len(), 2 * GIB);
    assert_eq!(shape(&pieces_of(&directory, to, 0..2 * GIB).await), [GIB / 2, MIB, 3 * GIB / 2 - MIB]);
    assert!(taken(&directory, to) < 2 * MIB);
}

#[tokio::test]
async fn more_data_than_the_volume_has_is_refused() {
    let (directory, _folder) = directory();
    for pieces in [vec![Piece::Zeros(11)], vec![Piece::Zeros(9), Piece::Data(Bytes::from_static(b"12"))]] {
        let data = Id::random();
        directory.create(data).await.unwrap();
        let refused = directory.write(data, 10, stream::iter(pieces.into_iter().map(Ok::<_, Error>))).await;
        assert!(matches!(refused, Err(Error::TooLong(10))));
    }
}

#[tokio::test]
async fn data_becomes_larger_but_never_smaller() {
    let (directory, _folder) = directory();
    let data = Id::random();
    directory.create(data).await.unwrap();
    directory.write_zeros(data, GIB).await.unwrap();
    for size in [2 * GIB, 2 * GIB, GIB] {
        directory.extend(data, size).await.unwrap();
        assert_eq!(fs::metadata(directory.path(data)).unwrap().len(), 2 * GIB);
    }
    assert_eq!(taken(&directory, data), 0);
}

#[tokio::test]
async fn data_that_is_missing_is_an_error_of_its_own() {
    let (directory, _folder) = directory();
    let (missing, to) = (Id::random(), Id::random());
    directory.create(to).await.unwrap();
    let is_missing = |error: Error| matches!(error, Error::Missing(id) if id == missing);
    assert!(is_missing(directory.read(missing, 0..1).await.err().unwrap()));
    assert!(is_missing(directory.copy(missing, to, GIB).await.unwrap_err()));
    assert!(is_missing(directory.extend(missing, GIB).await.unwrap_err()));
    assert!(!directory.remove(missing).await.unwrap());
}

#[tokio::test]
async fn space_is_given_back() {
    let (directory, _folder) = directory();
    let data = written(&directory).await;
    assert!(directory.space_left().await.unwrap() > 0);
    assert!(directory.remove(data).await.unwrap());
    assert!(!directory.folder().of(data).exists());
}

#[test]
fn a_full_disk_is_an_error_of_its_own() {
    for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge] {
        assert!(matches!(Error::from(io::Error::from(kind)), Error::Full));
    }
    let other = Error::from(io::Error::from(ErrorKind::PermissionDenied));
    assert!(matches!(other, Error::Folder(error) if Arc::strong_count(&error) == 1));
}
