//! Disks, and qcow2 files with them.

/// Bytes of a MiB.
pub(super) const MIB: usize = 1 << 20;

/// Bytes of a cluster, with which one table covers 512 MiB.
const CLUSTER: usize = 64 * 1024;

/// Bytes that repeat only after 256 MiB.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let numbers = (1_u32..).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes());
    numbers.take(length).collect()
}

/// A qcow2 file with a disk that begins with a hole: the header, a table of one table, that table, the clusters.
pub(super) fn qcow2(disk: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 3 * CLUSTER];
    let size = u64::try_from(disk.len()).unwrap();
    let fields: [(usize, &[u8]); 8] = [
        (0, b"QFI\xfb"),
        (4, &3_u32.to_be_bytes()),
        (20, &16_u32.to_be_bytes()),
        (24, &size.to_be_bytes()),
        (36, &1_u32.to_be_bytes()),
        (40, &(CLUSTER as u64).to_be_bytes()),
        (96, &4_u32.to_be_bytes()),
        (100, &104_u32.to_be_bytes()),
    ];
    for (at, value) in fields {
        file[at..at + value.len()].copy_from_slice(value);
    }
    put(&mut file, CLUSTER, (1 << 63) | (2 * CLUSTER as u64));
    for (number, cluster) in disk.chunks(CLUSTER).enumerate() {
        let at = file.len() as u64;
        put(&mut file, 2 * CLUSTER + 8 * number, (1 << 63) | at);
        file.extend_from_slice(cluster);
        file.resize(file.len().next_multiple_of(CLUSTER), 0);
    }
    file
}

pub(super) fn encrypted(disk: &[u8]) -> Vec<u8> {
    with(disk, 35, 2)
}

pub(super) fn with_backing_file(disk: &[u8]) -> Vec<u8> {
    with(disk, 15, 200)
}

pub(super) fn truncated(disk: &[u8]) -> Vec<u8> {
    let mut file = qcow2(disk);
    file.truncate(file.len() - CLUSTER);
    file
}

fn with(disk: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut file = qcow2(disk);
    file[at] = byte;
    file
}

fn put(file: &mut [u8], at: usize, value: u64) {
    file[at..at + 8].copy_from_slice(&value.to_be_bytes());
}
