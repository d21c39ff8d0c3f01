//! What a property may be called and contain, and how many there may be: one table for both services.

use super::Properties;
use crate::text;

/// Longest value, in bytes (Glance keeps them in a TEXT column of MySQL).
pub const VALUE_LIMIT: usize = 65_535;

/// Maximum number of properties of an image, unless glance-svc is configured otherwise, and of an instance's record
/// (Glance, `image_property_quota`).
pub const COUNT_LIMIT: usize = 128;

/// Maximum size of all names and values of an image, in bytes, measured as JSON (a quotation mark takes two, a
/// control character up to six): its history shows them twice in one answer, old and new, and clients refuse answers
/// above 4 MiB.
pub const TOTAL_LIMIT: usize = 1_572_864;

/// Names that start with this belong to Glance itself.
pub const RESERVED_PREFIX: &str = "os_glance";

/// Names that cannot be properties, sorted: base attributes of an image, and those that Glance reserves for itself
/// (current release: `_base_properties`, `_readonly_properties`, `_reserved_properties`, `_disallowed_properties`).
pub const RESERVED: [&str; 28] = [
    "checksum",
    "container_format",
    "created_at",
    "deleted",
    "deleted_at",
    "direct_url",
    "disk_format",
    "file",
    "id",
    "location",
    "locations",
    "min_disk",
    "min_ram",
    "name",
    "os_hash_algo",
    "os_hash_value",
    "os_hidden",
    "owner",
    "protected",
    "schema",
    "self",
    "size",
    "status",
    "stores",
    "tags",
    "updated_at",
    "virtual_size",
    "visibility",
];

/// Properties that an image of an instance has in addition to those of the instance, sorted. They count towards no
/// limit of number or bytes: an instance of an image that is at its limits can still be made into an image.
pub const ADDED: [&str; 10] = [
    "base_image_ref",
    "bdm_v2",
    DEVICES,
    "image_type",
    "instance_uuid",
    "kernel_id",
    "owner_id",
    "ramdisk_id",
    "root_device_name",
    "user_id",
];

/// The one of them that says which volumes an image stands for.
const DEVICES: &str = "block_device_mapping";

/// A limit that properties exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// What there is too much of.
    pub resource: &'static str,
    /// How much there would be.
    pub attempted: usize,
    /// How much is allowed.
    pub maximum: usize,
}

/// Refuses properties that exceed `quota` and are more than before, or exceed [`TOTAL_LIMIT`] and are larger than
/// before: properties above a limit can still shrink and change.
pub fn check_growth(before: &Properties, after: &Properties, quota: Option<usize>) -> Result<(), Excess> {
    let (old, new) = (measure(before), measure(after));
    let limits = [
        ("properties", old.0, new.0, quota.unwrap_or(usize::MAX)),
        ("bytes of properties", old.1, new.1, TOTAL_LIMIT),
    ];
    let exceeded = limits.into_iter().find(|(_, old, new, maximum)| new > old && new > maximum);
    exceeded.map_or(Ok(()), |(resource, _, attempted, maximum)| Err(Excess { resource, attempted, maximum }))
}

/// The problem with a name that no property can have.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("the name is empty: 1 to {} characters", text::NAME_LIMIT));
    }
    text::optional_name(name).map_err(|problem| format!("the name {problem}"))?;
    check_reserved(name)
}

/// The problem with a name that belongs to a base attribute, or to Glance itself.
pub fn check_reserved(name: &str) -> Result<(), String> {
    if RESERVED.binary_search(&name).is_ok() {
        return Err("is the name of a base attribute, which cannot be a property".to_owned());
    }
    if name.starts_with(RESERVED_PREFIX) {
        return Err(format!("names that start with {RESERVED_PREFIX} are reserved"));
    }
    Ok(())
}

/// The problem with a value that no property can have.
pub fn check_value(value: &str) -> Result<(), String> {
    if value.len() > VALUE_LIMIT {
        return Err(format!("the value has {} bytes, at most {VALUE_LIMIT} are allowed", value.len()));
    }
    if value.contains('\0') {
        return Err("the value must not contain NUL".to_owned());
    }
    Ok(())
}

/// How many properties count, and their bytes: all except those that a service adds, whose values have at most 255
/// characters, beside one that has a line for each volume.
fn measure(properties: &Properties) -> (usize, usize) {
    let counted = properties.iter().filter(|(name, value)| !is_added(name, value));
    counted.fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + in_json(name) + in_json(value)))
}

/// How many bytes a text takes as JSON: as stored in the database, and as sent over HTTP.
fn in_json(text: &str) -> usize {
    let escaped = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        ..0x20 => 6,
        _ => 1,
    });
    escaped.sum()
}

fn is_added(name: &str, value: &str) -> bool {
    ADDED.binary_search(&name).is_ok() && (name == DEVICES || value.chars().nth(text::NAME_LIMIT).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted() {
        assert!(RESERVED.is_sorted() && ADDED.is_sorted());
        assert!(ADDED.iter().all(|name| check_name(name).is_ok()));
    }

    #[test]
    fn names_of_real_catalogues_are_properties() {
        for name in ["properties", "is_public", "revision", "etag", "create_time", "update_time", "members"] {
            check_name(name).unwrap();
        }
        for name in ["", "a\0", "os_glance", "os_glance_x", "status", "stores", &"x".repeat(256)] {
            check_name(name).unwrap_err();
        }
    }

    #[test]
    fn what_a_service_adds_does_not_count() {
        let of = |entries: &[(&str, &str)]| {
            measure(&entries.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
        };
        assert_eq!(of(&[("a", "xyz"), ("é", ""), ("user_id", "alice")]), (2, 6));
        assert_eq!(of(&[("owner_id", &"é".repeat(255))]), (0, 0));
        assert_eq!(of(&[("owner_id", &"é".repeat(256))]), (1, 520));
    }

    #[test]
    fn texts_count_as_json_has_them() {
        for text in ["", "plain é 名", "\"quoted\" \\", "\n\r\t\u{8}\u{c}", "\u{1}\u{1f}\u{7f}"] {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(in_json(text) + 2, json.len(), "{json}");
        }
    }
}
