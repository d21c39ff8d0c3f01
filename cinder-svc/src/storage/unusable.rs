//! Why the data of an image cannot become that of a volume.

/// Why the data of an image cannot become that of a volume, as the rest of a sentence that begins with "the data of
/// the image".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the values of the sentence")]
pub enum Unusable {
    /// Its format is not known here.
    #[error(
        "is {disk_format} in the container {container_format}, but only {known} in the container bare can be copied \
         to a volume; convert it with qemu-img"
    )]
    Format { disk_format: String, container_format: String, known: &'static str },
    /// It is in another format than the image says.
    #[error("is {found}, not {stated} as the image says; upload it again with the right disk_format")]
    Mismatch { stated: &'static str, found: &'static str },
    /// It is only the difference from another file.
    #[error("has a backing file, which is never read; flatten it with qemu-img convert")]
    BackingFile,
    /// It is in another file.
    #[error("is in an external data file, which is never read; convert it with qemu-img")]
    DataFile,
    /// It is encrypted.
    #[error("is encrypted, and nobody could read the volume; decrypt it with qemu-img convert")]
    Encrypted,
    /// It uses what is not supported.
    #[error("uses {0}, which is not supported; convert it with qemu-img")]
    Feature(String),
    /// Its end is missing.
    #[error("is truncated: {needed} bytes are needed, but there are only {size}; upload it again")]
    Truncated { needed: u64, size: u64 },
    /// It contradicts itself.
    #[error("is damaged ({0}); check it with qemu-img check")]
    Damaged(&'static str),
    /// The disk does not fit.
    #[error("describes a disk of {needed} bytes, which does not fit on a volume of {size} bytes")]
    TooLarge { needed: u64, size: u64 },
    /// It is not the data that the image had when it became ACTIVE.
    #[error("does not have the {0} that the image says; its data store has returned something else")]
    Hash(String),
}

impl Unusable {
    /// The reason, which is never renamed.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Format { .. } => "IMAGE_FORMAT_UNSUPPORTED",
            Self::Mismatch { .. } => "IMAGE_FORMAT_MISMATCH",
            Self::BackingFile => "IMAGE_HAS_BACKING_FILE",
            Self::DataFile => "IMAGE_HAS_DATA_FILE",
            Self::Encrypted => "IMAGE_ENCRYPTED",
            Self::Feature(_) => "IMAGE_FEATURE_UNSUPPORTED",
            Self::Truncated { .. } => "IMAGE_TRUNCATED",
            Self::Damaged(_) => "IMAGE_DAMAGED",
            Self::TooLarge { .. } => "VOLUME_SMALLER_THAN_VIRTUAL_SIZE",
            Self::Hash(_) => "IMAGE_HASH_MISMATCH",
        }
    }
}
