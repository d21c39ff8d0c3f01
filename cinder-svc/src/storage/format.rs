//! The format of data by its first bytes (oslo.utils, `format_inspector`): what an image says of itself is not trusted.

use common::image::Image;

use super::{Unusable, foreign::Foreign};

/// How many bytes at the beginning tell the format.
pub(super) const HEAD: usize = 512;

/// Formats of disks that are not raw: their name, and where which bytes are.
const MAGICS: [(&str, usize, &[u8]); 11] = [
    ("qcow2", 0, b"QFI\xfb"),
    ("vmdk", 0, b"KDMV"),
    ("vmdk", 0, b"COWD"),
    ("vmdk", 0, b"# Disk DescriptorFile"),
    ("vhd", 0, b"conectix"),
    ("vhdx", 0, b"vhdxfile"),
    ("vdi", 0x40, &[0x7f, 0x10, 0xda, 0xbe]),
    ("qed", 0, b"QED\0"),
    ("ploop", 0, b"WithoutFreeSpace"),
    ("ploop", 0, b"WithouFreSpacExt"),
    ("luks", 0, b"LUKS\xba\xbe"),
];

/// A format that can become the data of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The bytes of the disk; an iso image is one, too.
    Raw,
    /// QEMU's format.
    Qcow2,
    /// What only qemu-img can read.
    Foreign(Foreign),
}

/// The formats that can become the data of a volume, without qemu-img and with it.
const KNOWN: [&str; 2] = ["raw, iso and qcow2", "raw, iso, qcow2, vmdk, vhd, vhdx and vdi"];

impl Format {
    /// The format that an image says it has. Some need qemu-img.
    pub(super) fn of(image: &Image, has_qemu_img: bool) -> Result<Self, Unusable> {
        let stated = |format: &Option<String>| format.clone().unwrap_or_default();
        let [disk_format, container_format] =
            [&image.meta.disk_format, &image.meta.container_format].map(stated);
        let foreign = Foreign::ALL.into_iter().find(|foreign| has_qemu_img && foreign.name() == disk_format);
        match (disk_format.as_str(), container_format.as_str(), foreign) {
            ("raw" | "iso", "bare", _) => Ok(Self::Raw),
            ("qcow2", "bare", _) => Ok(Self::Qcow2),
            (_, "bare", Some(foreign)) => Ok(Self::Foreign(foreign)),
            _ => {
                let known = KNOWN[usize::from(has_qemu_img)];
                Err(Unusable::Format { disk_format, container_format, known })
            }
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Foreign(foreign) => foreign.name(),
        }
    }

    /// Refuses data that is in another format, by its first [`HEAD`] bytes.
    pub(super) fn check(self, head: &[u8]) -> Result<(), Unusable> {
        let found =
            MAGICS.iter().find(|(_, at, magic)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
        let found = found.map_or("raw", |(name, ..)| name);
        let stated = self.name();
        match found {
            "luks" => Err(Unusable::Encrypted),
            found if found == stated => Ok(()),
            // One of a fixed size begins with the disk itself, and ends with what makes it a VHD.
            "raw" if self == Self::Foreign(Foreign::Vhd) => Ok(()),
            found => Err(Unusable::Mismatch { stated, found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::image::tests::image;

    #[test]
    fn other_formats_are_not_taken_for_raw() {
        for (name, at, magic) in MAGICS {
            let mut head = vec![0; HEAD];
            head[at..at + magic.len()].copy_from_slice(magic);
            let refused = Format::Raw.check(&head).unwrap_err();
            let expected = match name {
                "luks" => Unusable::Encrypted,
                found => Unusable::Mismatch { stated: "raw", found },
            };
            assert_eq!(refused, expected);
            assert_eq!(Format::Qcow2.check(&head).is_ok(), name == "qcow2");
            for foreign in Foreign::ALL {
                assert_eq!(Format::Foreign(foreign).check(&head).is_ok(), name == foreign.name());
            }
        }
        for head in [&b""[..], b"Q", &[0; HEAD], b"\x7fELF"] {
            assert_eq!(Format::Raw.check(head), Ok(()));
            assert_eq!(Format::Qcow2.check(head).unwrap_err().reason(), "IMAGE_FORMAT_MISMATCH");
        }
    }

    #[test]
    fn an_image_must_be_in_a_format_that_is_known_here() {
        let of_with = |has_qemu_img, disk_format, container_format: &str| {
            let mut image = image(disk_format, b"", None, None);
            image.meta.container_format = Some(container_format.to_owned());
            Format::of(&image, has_qemu_img)
        };
        let of = |disk_format, container_format| of_with(false, disk_format, container_format);
        assert_eq!(of_with(true, "vmdk", "bare"), Ok(Format::Foreign(Foreign::Vmdk)));
        assert_eq!(of_with(true, "vmdk", "ova").unwrap_err().reason(), "IMAGE_FORMAT_UNSUPPORTED");
        assert_eq!(of_with(true, "ploop", "bare").unwrap_err().reason(), "IMAGE_FORMAT_UNSUPPORTED");
        assert_eq!(of("raw", "bare"), Ok(Format::Raw));
        assert_eq!(of("iso", "bare"), Ok(Format::Raw));
        assert_eq!(of("qcow2", "bare"), Ok(Format::Qcow2));
        for (disk, container) in [("vmdk", "bare"), ("raw", "ovf"), ("qcow2", "compressed"), ("", "")] {
            assert_eq!(of(disk, container).unwrap_err().reason(), "IMAGE_FORMAT_UNSUPPORTED");
        }
    }
}
