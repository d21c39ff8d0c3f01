//! How operations change a record: pure functions from the record before to the record after. None needs an image except a
//! rebuild.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use common::{
    flavor::{FLAVOR_PREFIX, Flavor},
    id::Id,
    image::{Image, ImageMeta},
    system_metadata::{
        BASE_IMAGE_REF, IMAGE_PREFIX, SystemMetadata, image_from_system_metadata, min_disk,
        system_metadata_from_image,
    },
};

use super::{
    Needs, Record, State,
    checks::{Boot, NULL_KERNEL},
    inherited::inherit_properties_from_image,
};

/// Prefix of the entries of the flavor before a resize (Icehouse, `save_flavor_info(…, 'old_')`).
const OLD: &str = "old_";

/// Prefix of the entries of the flavor that a resize leads to.
const NEW: &str = "new_";

/// The entry with the state of an instance before its resize.
const OLD_STATE: &str = "old_vm_state";

/// The entry with the image of a shelved instance.
pub const SHELVED_IMAGE: &str = "shelved_image_id";

/// The entry that says since when an instance is shelved.
const SHELVED_AT: &str = "shelved_at";

/// The entries that Nova's shelving adds.
const SHELVED: [&str; 3] = [SHELVED_AT, SHELVED_IMAGE, "shelved_host"];

/// The image as far as the record knows it, for the checks that a new flavor must pass.
#[must_use]
pub fn image_of(record: &Record) -> Image {
    let Needs { min_disk, size } = record.needs();
    let meta = image_from_system_metadata(&record.system_metadata.entries);
    Image {
        id: record.image_id,
        revision: record.image_revision,
        name: String::new(),
        status: "ACTIVE",
        size,
        virtual_size: None,
        checksum: None,
        hash: None,
        meta: ImageMeta { min_disk: Some(min_disk), ..meta },
    }
}

/// The record remade from `image`, with everything else as it was: Nova's rebuild, in one piece.
#[must_use]
pub fn rebuild(record: &Record, image: &Image, boot: &Boot, auto_disk_config: Option<bool>) -> Record {
    let mut system_metadata = system_metadata_from_image(&image.meta, Some(&record.flavor));
    system_metadata.set_default(BASE_IMAGE_REF, &image.id.to_string());
    let others = record.system_metadata.entries.iter().filter(|(key, _)| !key.starts_with(IMAGE_PREFIX));
    system_metadata.entries.extend(others.map(|(key, value)| (key.clone(), value.clone())));
    Record {
        image_id: image.id,
        image_revision: image.revision,
        kernel_id: boot.kernel_id(),
        ramdisk_id: boot.ramdisk_id(),
        inherited: inherit_properties_from_image(&image.meta.properties, auto_disk_config),
        system_metadata,
        needs: Some(Needs::from(image)),
        ..record.clone()
    }
    .with_id()
}

/// The record during a resize, and after it: Icehouse's `_prep_resize` and `_finish_resize`. `image_min_disk` is recomputed
/// for the new flavor from what the image itself requires, by the article's rule, which Nova omits.
#[must_use]
pub fn resize(record: &Record, flavor: &Flavor, state: State) -> (Record, Record) {
    let mut during = record.clone();
    let entries = &mut during.system_metadata.entries;
    entries.extend(flavor_entries(NEW, flavor));
    entries.insert(OLD_STATE.to_owned(), state.as_str().to_owned());

    let mut target = during.clone();
    let entries = &mut target.system_metadata.entries;
    entries.extend(flavor_entries(OLD, &record.flavor));
    entries.extend(flavor.system_metadata());
    let disk_format = image_from_system_metadata(entries).disk_format;
    let min_disk = min_disk(disk_format.as_deref(), Some(record.needs().min_disk), flavor.root_gb);
    entries.insert(format!("{IMAGE_PREFIX}min_disk"), min_disk.to_string());
    target.flavor = flavor.clone();
    (during.with_id(), target.with_id())
}

/// The record after a resize has been confirmed.
#[must_use]
pub fn confirm_resize(record: &Record) -> Record {
    without(record, |key| {
        let flavor = [OLD, NEW].iter().find_map(|prefix| key.strip_prefix(prefix));
        key == OLD_STATE || flavor.is_some_and(|key| key.starts_with(FLAVOR_PREFIX))
    })
}

/// The record of a shelved instance. One that boots from a volume keeps that, and has no image.
#[must_use]
pub fn shelve(record: &Record, image_id: Option<Id>, host: &str, now: DateTime<Utc>) -> Record {
    let at = now.to_rfc3339_opts(SecondsFormat::Micros, true);
    let values = [Some(at), image_id.map(|id| id.to_string()), Some(host.to_owned())];
    let entries = SHELVED.into_iter().zip(values);
    let mut shelved = record.clone();
    let present = entries.filter_map(|(key, value)| Some((key.to_owned(), value?)));
    shelved.system_metadata.entries.extend(present);
    shelved.with_id()
}

/// The record of an unshelved instance.
#[must_use]
pub fn unshelve(record: &Record) -> Record {
    without(record, |key| SHELVED.contains(&key))
}

/// Whether it is the record of a shelved instance.
#[must_use]
pub fn is_shelved(record: &Record) -> bool {
    record.system_metadata.entries.contains_key(SHELVED_AT)
}

/// The image of a shelved instance.
#[must_use]
pub fn shelved_image(record: &Record) -> Option<Id> {
    record.system_metadata.entries.get(SHELVED_IMAGE)?.parse().ok()
}

/// The record with some properties set or removed, and with what is inherited from those updated.
#[must_use]
pub fn edit(record: &Record, set: &BTreeMap<String, String>, remove: &[String]) -> Record {
    let mut edited = record.clone();
    let SystemMetadata { entries, truncated } = &mut edited.system_metadata;
    for name in remove.iter().chain(set.keys()) {
        let key = format!("{IMAGE_PREFIX}{name}");
        entries.remove(&key);
        truncated.remove(&key);
    }
    entries.extend(set.iter().map(|(name, value)| (format!("{IMAGE_PREFIX}{name}"), value.clone())));
    let named = |name: &str| set.contains_key(name) || remove.iter().any(|removed| removed == name);
    let properties = image_from_system_metadata(entries).properties;
    let unchanged = Some(record.inherited.auto_disk_config).filter(|_| !named("auto_disk_config"));
    let inherited = inherit_properties_from_image(&properties, unchanged);
    if named("os_type") {
        edited.inherited.os_type = inherited.os_type;
    }
    if named("architecture") {
        edited.inherited.architecture = inherited.architecture;
    }
    if named("vm_mode") {
        edited.inherited.vm_mode = inherited.vm_mode;
    }
    if named("root_device_name") || named("mappings") {
        edited.inherited.root_device_name = inherited.root_device_name;
    }
    edited.inherited.auto_disk_config = inherited.auto_disk_config;
    edited.with_id()
}

/// Kernel and ramdisk of a record in which the properties that are `named` were edited: those are derived again as in a
/// create, the others stay. The kernel `nokernel` hides the ramdisk's property.
#[must_use]
pub fn boot_of_edit(record: &Record, edited: &Record, named: impl Fn(&str) -> bool) -> (String, String) {
    let property = |record: &Record, name: &str| {
        let value = record.system_metadata.entries.get(&format!("{IMAGE_PREFIX}{name}"));
        value.cloned().unwrap_or_default()
    };
    let is_null = |kernel: &str| kernel == NULL_KERNEL;
    let was_hidden = record.kernel_id.is_empty() && is_null(&property(record, "kernel_id"));
    let kernel = if named("kernel_id") { property(edited, "kernel_id") } else { record.kernel_id.clone() };
    let is_hidden = is_null(&kernel) || (was_hidden && !named("kernel_id"));
    if is_hidden {
        return (String::new(), String::new());
    }
    let is_derived = named("ramdisk_id") || was_hidden;
    let ramdisk = if is_derived { property(edited, "ramdisk_id") } else { record.ramdisk_id.clone() };
    (kernel, ramdisk)
}

fn flavor_entries(prefix: &str, flavor: &Flavor) -> impl Iterator<Item = (String, String)> {
    flavor.system_metadata().into_iter().map(move |(key, value)| (format!("{prefix}{key}"), value))
}

fn without(record: &Record, is_removed: impl Fn(&str) -> bool) -> Record {
    let mut reduced = record.clone();
    reduced.system_metadata.entries.retain(|key, _| !is_removed(key));
    reduced.with_id()
}
