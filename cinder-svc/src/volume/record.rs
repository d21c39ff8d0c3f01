//! What a volume remembers of its image: a value that all volumes and snapshots which remember the same share.

use common::{content, id::Id, volume_image_metadata::VolumeImageMetadata};

/// What volumes and snapshots remember of the image that their data came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Derived from the metadata.
    pub id: Id,
    /// The image and its properties.
    pub metadata: VolumeImageMetadata,
}

impl Record {
    /// The record of this metadata; its id is derived from the content, so that equal records have equal ids.
    #[must_use]
    pub fn new(metadata: VolumeImageMetadata) -> Self {
        Self { id: content::id_of(&metadata), metadata }
    }

    /// Approximate memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.metadata.properties.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}
