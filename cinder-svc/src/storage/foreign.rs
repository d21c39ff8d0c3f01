//! Formats of disks that qemu-img converts, and whether a file in one of them is complete in itself. What qemu-img would
//! look for in another file must not reach it (CVE-2022-47951: a VMDK that names files of the host as its extents).

use std::{fs::File, io, os::unix::fs::FileExt as _};

use super::{Error, Unusable};

/// How many bytes at the beginning are looked at: QEMU reads a descriptor in the first 10.5 KiB.
const BEGINNING: usize = 64 * 1024;

/// Bytes of a sector, and of the footer of a VHD.
const SECTOR: usize = 512;

/// A format that qemu-img converts, by the name that Glance has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Foreign {
    Vmdk,
    Vhd,
    Vhdx,
    Vdi,
}

impl Foreign {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Vmdk, Self::Vhd, Self::Vhdx, Self::Vdi];

    /// What Glance calls it (`disk_format`).
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Vmdk => "vmdk",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Vdi => "vdi",
        }
    }

    /// What QEMU calls it.
    pub(super) const fn driver(self) -> &'static str {
        match self {
            Self::Vhd => "vpc",
            other => other.name(),
        }
    }

    /// Refuses a file that is not the whole of a disk. QEMU itself refuses a VHDX or a VDI with a parent.
    pub(super) fn check(self, file: &File) -> Result<(), Error> {
        let size = file.metadata()?.len();
        let beginning = part(file, 0, BEGINNING, size)?;
        match self {
            Self::Vmdk => check_vmdk(&beginning)?,
            Self::Vhd if beginning.starts_with(b"conectix") => check_vhd(&beginning)?,
            // A VHD of a fixed size begins with the disk itself.
            Self::Vhd => check_vhd(&part(file, size.saturating_sub(SECTOR as u64), SECTOR, size)?)?,
            Self::Vhdx | Self::Vdi => {}
        }
        Ok(())
    }
}

/// At most `length` bytes of a file of `size` bytes.
fn part(file: &File, at: u64, length: usize, size: u64) -> io::Result<Vec<u8>> {
    let left = usize::try_from(size - at).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length.min(left)];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

/// One file with a descriptor in it (`VMware`, Virtual Disk Format 5.0), which names no other file.
fn check_vmdk(beginning: &[u8]) -> Result<(), Unusable> {
    if !beginning.starts_with(b"KDMV") {
        return Err(Unusable::DataFile);
    }
    let field = |at: usize| {
        let bytes = beginning.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_le_bytes).ok_or(Unusable::Damaged("its header is incomplete"))
    };
    if field(12)? == 0 {
        // Then QEMU takes the extents that the descriptor names.
        return Err(Unusable::DataFile);
    }
    if contains(beginning, b"parentFileNameHint") {
        return Err(Unusable::BackingFile);
    }
    let start = usize::try_from(field(28)?).unwrap_or(usize::MAX).saturating_mul(SECTOR);
    let length = usize::try_from(field(36)?).unwrap_or(usize::MAX).saturating_mul(SECTOR);
    let descriptor = beginning.get(start..start.saturating_add(length).min(beginning.len()));
    let kinds: [&[u8]; 2] = [br#"createType="monolithicSparse""#, br#"createType="streamOptimized""#];
    match descriptor {
        Some(descriptor) if start > 0 && kinds.iter().any(|kind| contains(descriptor, kind)) => Ok(()),
        _ => Err(Unusable::DataFile),
    }
}

/// The footer of a disk of fixed or dynamic size (Microsoft, Virtual Hard Disk Image Format).
fn check_vhd(footer: &[u8]) -> Result<(), Unusable> {
    if !footer.starts_with(b"conectix") {
        return Err(Unusable::Mismatch { stated: Foreign::Vhd.name(), found: "raw" });
    }
    match footer.get(60..64) {
        Some([0, 0, 0, 2 | 3]) => Ok(()),
        Some([0, 0, 0, 4]) => Err(Unusable::BackingFile),
        _ => Err(Unusable::Damaged("its kind of disk is unknown")),
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn check(format: Foreign, bytes: &[u8]) -> Result<(), &'static str> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        format.check(&file).map_err(|error| match error {
            Error::Unusable(problem) => problem.reason(),
            other => panic!("{other:?}"),
        })
    }

    /// A VMDK of that capacity, with a descriptor of one sector in the second one.
    fn vmdk(capacity: u64, descriptor: &str) -> Vec<u8> {
        let mut file = vec![0; 3 * SECTOR];
        file[..4].copy_from_slice(b"KDMV");
        for (at, value) in [(12, capacity), (28, 1), (36, 1)] {
            file[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        file[SECTOR..SECTOR + descriptor.len()].copy_from_slice(descriptor.as_bytes());
        file
    }

    #[test]
    fn a_vmdk_names_no_other_file() {
        let sparse = r#"createType="monolithicSparse""#;
        assert_eq!(check(Foreign::Vmdk, &vmdk(1, sparse)), Ok(()));
        assert_eq!(check(Foreign::Vmdk, &vmdk(1, r#"createType="streamOptimized""#)), Ok(()));
        let flat = "createType=\"monolithicFlat\"\nRW 8 FLAT \"/etc/passwd\" 0";
        let parent = format!("{sparse}\nparentFileNameHint=\"/etc/passwd\"");
        for (bytes, reason) in [
            (vmdk(1, flat), "IMAGE_HAS_DATA_FILE"),
            (vmdk(0, sparse), "IMAGE_HAS_DATA_FILE"),
            (vmdk(1, &parent), "IMAGE_HAS_BACKING_FILE"),
            (b"# Disk DescriptorFile\n".to_vec(), "IMAGE_HAS_DATA_FILE"),
            (b"KDMV".to_vec(), "IMAGE_DAMAGED"),
            (Vec::new(), "IMAGE_HAS_DATA_FILE"),
        ] {
            assert_eq!(check(Foreign::Vmdk, &bytes), Err(reason));
        }
        let mut elsewhere = vmdk(1, sparse);
        elsewhere[28..36].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(check(Foreign::Vmdk, &elsewhere), Err("IMAGE_HAS_DATA_FILE"));
    }

    #[test]
    fn a_vhd_is_fixed_or_dynamic() {
        let footer = |kind: u8| {
            let mut footer = vec![0; SECTOR];
            footer[..8].copy_from_slice(b"conectix");
            footer[63] = kind;
            footer
        };
        assert_eq!(check(Foreign::Vhd, &footer(3)), Ok(()));
        assert_eq!(check(Foreign::Vhd, &[vec![7; 2000], footer(2)].concat()), Ok(()));
        assert_eq!(check(Foreign::Vhd, &footer(4)), Err("IMAGE_HAS_BACKING_FILE"));
        assert_eq!(check(Foreign::Vhd, &footer(9)), Err("IMAGE_DAMAGED"));
        assert_eq!(check(Foreign::Vhd, &[7; 2000]), Err("IMAGE_FORMAT_MISMATCH"));
        assert_eq!(check(Foreign::Vhd, b"conectix"), Err("IMAGE_DAMAGED"));
    }
}
