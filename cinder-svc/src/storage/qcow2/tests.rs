use std::fs;

use super::*;

/// A header of version 3: a disk of 32 KiB in clusters of 512 bytes, which one table of clusters covers.
pub(in crate::storage) fn header() -> Vec<u8> {
    let mut head = vec![0; 512];
    for (at, value) in [(4, 3), (20, 9), (36, 1), (96, 4), (100, 104)] {
        head[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
    }
    for (at, value) in [(24, 32 * 1024), (40, 512), (48, 1024)] {
        head[at..at + 8].copy_from_slice(&u64::to_be_bytes(value));
    }
    head[..4].copy_from_slice(b"QFI\xfb");
    head
}

fn parse_with(at: usize, value: &[u8]) -> Result<Header, Unusable> {
    let mut head = header();
    head[at..at + value.len()].copy_from_slice(value);
    Header::parse(&head, 4096)
}

#[test]
fn a_plain_header_is_accepted() {
    let header = Header { virtual_size: 32 * 1024, cluster_bits: 9, l1_entries: 1, l1_offset: 512 };
    assert_eq!(parse_with(4, &[0, 0, 0, 3]), Ok(header));
    assert_eq!(parse_with(4, &[0, 0, 0, 2]), Ok(header));
    // Features that do no harm.
    assert_eq!(parse_with(80, &[0xff; 16]), Ok(header));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let refused = |at, value: &[u8]| parse_with(at, value).unwrap_err();
    assert_eq!(refused(4, &[0, 0, 0, 4]).reason(), "IMAGE_FEATURE_UNSUPPORTED");
    assert_eq!(refused(8, &[0, 0, 0, 0, 0, 0, 1, 0]), Unusable::BackingFile);
    assert_eq!(refused(32, &[0, 0, 0, 1]), Unusable::Encrypted);
    assert_eq!(refused(32, &[0, 0, 0, 2]), Unusable::Encrypted);
    assert_eq!(refused(79, &[0b100]), Unusable::DataFile);
    assert_eq!(refused(79, &[0b101]), Unusable::DataFile);
    for bit in [0, 1, 3, 4, 5, 63] {
        let bits = u64::to_be_bytes(1 << bit);
        assert_eq!(refused(72, &bits).reason(), "IMAGE_FEATURE_UNSUPPORTED", "{bit}");
    }
}

#[test]
fn fields_of_version_3_mean_nothing_before() {
    let mut head = header();
    head[7] = 2;
    head[72..104].fill(0xff);
    assert!(Header::parse(&head, 4096).is_ok());
}

#[test]
fn impossible_headers_are_refused() {
    for (at, value) in [
        (20, &[0, 0, 0, 8][..]),
        (20, &[0, 0, 0, 22]),
        (20, &[0xff; 4]),
        (24, &[0xff; 8]),
        (36, &[0, 0, 0, 0]),
        (36, &[0xff; 4]),
        (40, &[0xff; 8]),
    ] {
        assert_eq!(parse_with(at, value).unwrap_err().reason(), "IMAGE_DAMAGED", "{at}");
    }
}

#[test]
fn a_header_that_ends_early_is_truncated() {
    for length in [4, 8, 47, 79] {
        let refused = Header::parse(&header()[..length], 4096).unwrap_err();
        assert_eq!(refused.reason(), "IMAGE_TRUNCATED", "{length}");
    }
    assert_eq!(Header::parse(&header(), 519), Err(Unusable::Truncated { needed: 520, size: 519 }));
}

#[test]
fn tables_must_be_inside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let check = |entry: u64, size: u64| {
        let mut file = header();
        file.extend_from_slice(&entry.to_be_bytes());
        fs::write(&path, &file).unwrap();
        Header::parse(&file, 520).unwrap().check_tables(&File::open(&path).unwrap(), size)
    };
    check(0, 520).unwrap();
    check((1 << 63) | 1024, 1536).unwrap();
    let refused = check((1 << 63) | 1024, 1535).unwrap_err();
    assert!(matches!(refused, Error::Unusable(Unusable::Truncated { needed: 1536, size: 1535 })));
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_header_makes_it_panic(changes in prop::collection::vec((0..HEADER, any::<u8>()), 0..20), size: u64) {
            let mut head = header();
            for (at, value) in changes {
                head[at] = value;
            }
            let _ = Header::parse(&head, size);
        }
    }
}
