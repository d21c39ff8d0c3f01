//! What is checked of a qcow2 file before it is opened: QEMU's specification, `docs/interop/qcow2.txt`. The library that
//! reads it takes an encrypted file for a plain one, and the missing end of a file for zeros.

use std::{fs::File, ops::RangeInclusive, os::unix::fs::FileExt as _};

use super::{Error, Unusable};

/// How many bytes of the header are read: up to the fields that every version 3 has.
pub(super) const HEADER: usize = 104;

/// Log2 of the size of clusters (QEMU, `MIN_CLUSTER_BITS` and `MAX_CLUSTER_BITS`).
const CLUSTER_BITS: RangeInclusive<u32> = 9..=21;

/// Bytes of the largest table of tables (QEMU, `QCOW_MAX_L1_SIZE`).
const MAX_L1_BYTES: u64 = 32 * 1024 * 1024;

/// Names of the incompatible features.
const FEATURES: [&str; 5] = [
    "images that were not closed",
    "images marked as corrupt",
    "external data files",
    "other compression than zlib",
    "subclusters",
];

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of the disk.
    pub(super) virtual_size: u64,
    cluster_bits: u32,
    l1_entries: u64,
    l1_offset: u64,
}

impl Header {
    /// Reads and checks the header of a file of `size` bytes.
    pub(super) fn parse(head: &[u8], size: u64) -> Result<Self, Unusable> {
        let field = |at: usize, length: usize| {
            let bytes =
                head.get(at..at + length).ok_or(Unusable::Truncated { needed: HEADER as u64, size })?;
            Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
        };
        let version = field(4, 4)?;
        if !matches!(version, 2 | 3) {
            return Err(Unusable::Feature(format!("version {version} of qcow2")));
        }
        if field(8, 8)? != 0 {
            return Err(Unusable::BackingFile);
        }
        if field(32, 4)? != 0 {
            return Err(Unusable::Encrypted);
        }
        if version == 3 {
            check_features(field(72, 8)?)?;
        }
        let cluster_bits = u32::try_from(field(20, 4)?).unwrap_or(u32::MAX);
        let header = Self {
            virtual_size: field(24, 8)?,
            cluster_bits,
            l1_entries: field(36, 4)?,
            l1_offset: field(40, 8)?,
        };
        header.check(size)?;
        Ok(header)
    }

    /// Checks that the table of tables is there and covers the disk.
    fn check(self, size: u64) -> Result<(), Unusable> {
        if !CLUSTER_BITS.contains(&self.cluster_bits) {
            return Err(Unusable::Damaged("its clusters have an impossible size"));
        }
        // A table is a cluster of entries of 8 bytes, one for each cluster.
        let covered = 1_u128 << (2 * self.cluster_bits - 3);
        if u128::from(self.l1_entries) * covered < u128::from(self.virtual_size) {
            return Err(Unusable::Damaged("its tables do not cover the disk"));
        }
        if self.l1_entries * 8 > MAX_L1_BYTES {
            return Err(Unusable::Damaged("its table of tables is too large"));
        }
        check_inside(self.l1_offset, self.l1_entries * 8, size)
    }

    /// Bytes of a cluster.
    pub(super) const fn cluster_size(self) -> usize {
        1 << self.cluster_bits
    }

    /// Checks that the tables are in the file.
    pub(super) fn check_tables(self, file: &File, size: u64) -> Result<(), Error> {
        let mut entries = vec![0; 64 * 1024];
        let (mut at, end) = (self.l1_offset, self.l1_offset + self.l1_entries * 8);
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(entries.len());
            file.read_exact_at(&mut entries[..length], at)?;
            for entry in entries[..length].chunks_exact(8) {
                let entry = entry.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
                // Bits 9 to 55 are the offset; 0 if there is no table.
                let offset = entry & 0x00ff_ffff_ffff_fe00;
                if offset != 0 {
                    check_inside(offset, 1 << self.cluster_bits, size)?;
                }
            }
            at += length as u64;
        }
        Ok(())
    }
}

fn check_inside(offset: u64, length: u64, size: u64) -> Result<(), Unusable> {
    let needed = offset.checked_add(length).ok_or(Unusable::Damaged("an offset is too large"))?;
    if needed > size { Err(Unusable::Truncated { needed, size }) } else { Ok(()) }
}

/// Refuses what this service cannot read, which is every incompatible feature.
fn check_features(features: u64) -> Result<(), Unusable> {
    let Some(bit) = (0..64).find(|bit| features & (1 << bit) != 0) else { return Ok(()) };
    match FEATURES.get(bit) {
        // It says more than the others.
        _ if features & (1 << 2) != 0 => Err(Unusable::DataFile),
        Some(name) => Err(Unusable::Feature((*name).to_owned())),
        None => Err(Unusable::Feature(format!("the unknown incompatible feature {bit} of qcow2"))),
    }
}

#[cfg(test)]
pub(super) mod tests;
