//! The checks of a request before instances are provisioned, in Nova's order.

use std::collections::BTreeMap;

use common::{
    flavor::Flavor,
    id::Id,
    image::{GIB, Image, Properties},
    metadata::{METADATA_LIMIT, item_violations},
    text,
};

use crate::error::{Error, ImageUse, VolumeError};

/// The kernel id that stands for neither kernel nor ramdisk (Nova, `null_kernel`).
pub const NULL_KERNEL: &str = "nokernel";

/// Kernel and ramdisk that a request names.
pub type Requested<'a> = (Option<&'a str>, Option<&'a str>);

/// Kernel and ramdisk of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Boot {
    /// The kernel.
    pub kernel: Option<BootImage>,
    /// The ramdisk.
    pub ramdisk: Option<BootImage>,
}

/// A kernel or ramdisk image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootImage {
    /// Its id.
    pub id: Id,
    usage: ImageUse,
}

impl Boot {
    /// Image id of the kernel, or empty.
    #[must_use]
    pub fn kernel_id(&self) -> String {
        id(self.kernel.as_ref())
    }

    /// Image id of the ramdisk, or empty.
    #[must_use]
    pub fn ramdisk_id(&self) -> String {
        id(self.ramdisk.as_ref())
    }
}

fn id(image: Option<&BootImage>) -> String {
    image.map(|image| image.id.to_string()).unwrap_or_default()
}

impl BootImage {
    /// Whether the request names it, and not a property.
    #[must_use]
    pub const fn is_requested(&self) -> bool {
        matches!(self.usage, ImageUse::Kernel | ImageUse::Ramdisk)
    }

    /// The error if it does not exist.
    #[must_use]
    pub fn missing(&self) -> Error {
        Error::NoSuchImage { usage: self.usage, id: self.id.to_string() }
    }
}

/// Refuses a request for `auto_disk_config` if the image with that id and these properties disables it.
pub fn check_auto_disk_config(
    requested: Option<bool>,
    image_id: Id,
    properties: &Properties,
) -> Result<(), Error> {
    let property = properties.get("auto_disk_config");
    let disabled = property.is_some_and(|value| value.trim().eq_ignore_ascii_case("disabled"));
    if disabled && requested == Some(true) {
        return Err(Error::AutoDiskConfigDisabled(image_id));
    }
    Ok(())
}

/// Nova's `_check_metadata_properties_quota`.
pub fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), Error> {
    if metadata.len() > METADATA_LIMIT {
        return Err(Error::MetadataLimit { attempted: metadata.len(), maximum: METADATA_LIMIT });
    }
    Ok(item_violations(metadata).check()?)
}

/// Nova's `_check_requested_image`; a `root_gb` of 0 skips the checks of the disk, but not that of memory.
pub fn check_requested_image(image: &Image, flavor: &Flavor) -> Result<(), Error> {
    check_active_and_memory(image, flavor)?;
    let (id, flavor_id) = (image.id, &flavor.flavorid);
    if flavor.root_gb == 0 {
        return Ok(());
    }
    let root_gb = i64::from(flavor.root_gb);
    if let Some(needed) = image.size
        && needed > root_gb * GIB
    {
        let available = root_gb * GIB;
        return Err(Error::DiskSmallerThanImage { id, flavor_id: flavor_id.clone(), needed, available });
    }
    let needed = image.meta.min_disk.unwrap_or(0);
    if needed > root_gb {
        let available = flavor.root_gb;
        return Err(Error::DiskSmallerThanMinDisk { id, flavor_id: flavor_id.clone(), needed, available });
    }
    Ok(())
}

/// The same for an instance whose root disk is a new volume of `size_gib`; cinder-svc chooses one if that is `None`, and
/// checks whether the data fit.
pub fn check_image_for_volume(image: &Image, flavor: &Flavor, size_gib: Option<i32>) -> Result<(), Error> {
    check_active_and_memory(image, flavor)?;
    let needed = image.meta.min_disk.unwrap_or(0);
    match size_gib.map(i64::from) {
        Some(available) if available < needed => {
            Err(VolumeError::SmallerThanMinDisk { id: image.id, needed, size_gib: available }.into())
        }
        _ => Ok(()),
    }
}

fn check_active_and_memory(image: &Image, flavor: &Flavor) -> Result<(), Error> {
    let (id, flavor_id) = (image.id, flavor.flavorid.clone());
    if image.status != "ACTIVE" {
        return Err(Error::ImageNotActive { id, status: image.status });
    }
    let (needed, available) = (image.meta.min_ram.unwrap_or(0), flavor.memory_mb);
    if i64::from(available) < needed {
        return Err(Error::MemoryTooSmall { id, flavor_id, needed, available });
    }
    Ok(())
}

/// Nova's rule for smaller root disks: having none at all is refused. A smaller one on which the image fits is not; whatever
/// runs the instance may still report that it cannot shrink the disk.
pub fn check_root_disk(instance_id: Id, before: &Flavor, after: &Flavor) -> Result<(), Error> {
    if after.root_gb == 0 && before.root_gb != 0 {
        let (flavor_id, root_gb) = (after.flavorid.clone(), before.root_gb);
        return Err(Error::CannotResizeDisk { id: instance_id, flavor_id, root_gb });
    }
    Ok(())
}

/// The kernel and the ramdisk to boot with: the request's, else those of the properties.
pub fn kernel_and_ramdisk(requested: Requested<'_>, properties: &Properties) -> Result<Boot, Error> {
    let choose = |requested: Option<&str>, name: &str| {
        let property = || properties.get(name).filter(|value| !value.is_empty()).cloned();
        requested.map(|value| (value.to_owned(), true)).or_else(|| property().map(|value| (value, false)))
    };
    let kernel = choose(requested.0, "kernel_id");
    if matches!(&kernel, Some((id, _)) if id == NULL_KERNEL) {
        return Ok(Boot::default());
    }
    let ramdisk = choose(requested.1, "ramdisk_id");
    Ok(Boot {
        kernel: boot_image(kernel, ImageUse::Kernel, ImageUse::KernelOfImage)?,
        ramdisk: boot_image(ramdisk, ImageUse::Ramdisk, ImageUse::RamdiskOfImage)?,
    })
}

fn boot_image(
    chosen: Option<(String, bool)>,
    requested: ImageUse,
    of_image: ImageUse,
) -> Result<Option<BootImage>, Error> {
    let Some((id, by_request)) = chosen else { return Ok(None) };
    let usage = if by_request { requested } else { of_image };
    match id.parse() {
        Ok(id) => Ok(Some(BootImage { id, usage })),
        Err(_) => Err(Error::NoSuchImage { usage, id: text::clip(&id, 100) }),
    }
}
