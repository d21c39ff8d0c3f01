//! What an instance is made from: an image, or a volume or snapshot that remembers one.

use std::{borrow::Cow, sync::Arc};

use common::{
    flavor::Flavor,
    id::{Id, NIL},
    image::{Image, Properties},
    system_metadata::{BASE_IMAGE_REF, SystemMetadata, system_metadata_from_image},
    volume_image_metadata::{
        Need, VolumeImageMetadata, image_meta_from_volume, system_metadata_from_volume, unmet_needs,
    },
};

use super::{Needs, checks};
use crate::error::{Error, VolumeError};

/// What an instance is made from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// An image, which is copied to the instance's host or to a new volume.
    Image(Arc<Image>),
    /// What a volume, or the snapshot that it is made from, remembers of its image. The image itself is not needed any
    /// more.
    Volume(Arc<VolumeImageMetadata>),
}

impl Origin {
    /// The image and its revision; the id of all zeros and 0 if the volume's data did not come from an image.
    #[must_use]
    pub fn image(&self) -> (Id, i64) {
        match self {
            Self::Image(image) => (image.id, image.revision),
            Self::Volume(volume) => {
                volume.image.as_ref().map_or((Id::from(NIL), 0), |image| (image.id, image.revision))
            }
        }
    }

    /// The properties that instances inherit.
    #[must_use]
    pub fn properties(&self) -> Cow<'_, Properties> {
        match self {
            Self::Image(image) => Cow::Borrowed(&image.meta.properties),
            Self::Volume(volume) => Cow::Owned(image_meta_from_volume(volume).properties),
        }
    }

    /// What the image itself requires.
    #[must_use]
    pub fn needs(&self) -> Needs {
        match self {
            Self::Image(image) => Needs::from(&**image),
            Self::Volume(volume) => {
                let min_disk = volume.image.as_ref().and_then(|image| image.min_disk);
                Needs { min_disk: min_disk.unwrap_or(0), size: None }
            }
        }
    }

    /// The image's part of the system metadata. `image_base_image_ref` is the image, unless a property of it says
    /// otherwise.
    #[must_use]
    pub fn system_metadata(&self, flavor: &Flavor) -> SystemMetadata {
        match self {
            Self::Image(image) => system_metadata_of(image, flavor),
            Self::Volume(volume) => system_metadata_from_volume(volume, flavor),
        }
    }

    /// Refuses an origin that does not fit the flavor or the root volume, whose size is `volume_gib` unless cinder-svc
    /// chooses one; `None` for an instance without a root volume (Nova, `_validate_flavor_image`).
    pub fn check(&self, flavor: &Flavor, volume_gib: Option<Option<i32>>) -> Result<(), Error> {
        match (self, volume_gib) {
            (Self::Image(image), None) => checks::check_requested_image(image, flavor),
            (Self::Image(image), Some(size)) => checks::check_image_for_volume(image, flavor, size),
            (Self::Volume(volume), size) => check_root_volume(volume, flavor, size.flatten()),
        }
    }
}

/// The image's part of the system metadata of an instance of `flavor` that is made from it.
#[must_use]
pub fn system_metadata_of(image: &Image, flavor: &Flavor) -> SystemMetadata {
    let mut system_metadata = system_metadata_from_image(&image.meta, Some(flavor));
    system_metadata.set_default(BASE_IMAGE_REF, &image.id.to_string());
    system_metadata
}

/// Refuses a root volume whose image requires more than the flavor and the volume have.
pub fn check_root_volume(
    volume: &VolumeImageMetadata,
    flavor: &Flavor,
    size_gib: Option<i32>,
) -> Result<(), Error> {
    let id = volume.image.as_ref().map_or(Id::from(NIL), |image| image.id);
    let size_gib = size_gib.map_or(i64::MAX, i64::from);
    match unmet_needs(volume, flavor, size_gib).first() {
        None => Ok(()),
        Some(Need::Memory { needed, .. }) => Err(Error::MemoryTooSmall {
            id,
            flavor_id: flavor.flavorid.clone(),
            needed: *needed,
            available: flavor.memory_mb,
        }),
        Some(Need::Disk { needed, available }) => {
            Err(VolumeError::SmallerThanMinDisk { id, needed: *needed, size_gib: *available }.into())
        }
    }
}

impl From<Arc<Image>> for Origin {
    fn from(image: Arc<Image>) -> Self {
        Self::Image(image)
    }
}
