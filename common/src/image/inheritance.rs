//! Properties that an image made from an instance or a volume does not inherit.

use super::properties::{check_name, check_reserved, check_value};
use crate::named;

named! {
    /// Why a property is not inherited.
    #[derive(PartialOrd, Ord)]
    LeftOut {
        /// It has the name of a base attribute of an image. Cinder sends properties next to attributes, so such a
        /// property makes every upload of its volume fail, or (`id`) chooses the id of the image.
        BaseAttribute = "base_attribute",
        /// Names that start with `os_glance` belong to Glance itself (bug 1945500).
        Reserved = "reserved",
        /// It is a signature of other data, or says that one was verified (Nova, `NON_INHERITABLE_IMAGE_PROPERTIES`;
        /// Cinder, `img_signature` and `signature_verified`).
        Signature = "signature",
        /// It names the key of other data (bugs 1731528, 1764125, 1844725).
        EncryptionKey = "encryption_key",
        /// It describes the devices of the original image (Nova, `SM_SKIP_KEYS`): instances would boot from those
        /// instead of the new image.
        DeviceMapping = "device_mapping",
        /// No image can have a property with this name or value.
        Invalid = "invalid",
    }
}

/// Names that are not inherited, or prefixes ending in `*`, with the reason.
const LEFT_OUT: [(&str, LeftOut); 7] = [
    ("img_signature*", LeftOut::Signature),
    ("signature_verified", LeftOut::Signature),
    ("cinder_encryption_key_*", LeftOut::EncryptionKey),
    ("mappings", LeftOut::DeviceMapping),
    ("img_mappings", LeftOut::DeviceMapping),
    ("block_device_mapping", LeftOut::DeviceMapping),
    ("img_block_device_mapping", LeftOut::DeviceMapping),
];

/// Whether a name is the one of `pattern`, in which a final `*` matches any suffix.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// Why a property is not inherited; `None` if it is.
#[must_use]
pub fn left_out(name: &str, value: &str) -> Option<LeftOut> {
    if let Some((_, reason)) = LEFT_OUT.iter().find(|(pattern, _)| matches(pattern, name)) {
        return Some(*reason);
    }
    if check_reserved(name).is_err() {
        let is_prefixed = name.starts_with(super::properties::RESERVED_PREFIX);
        return Some(if is_prefixed { LeftOut::Reserved } else { LeftOut::BaseAttribute });
    }
    check_name(name).and_then(|()| check_value(value)).err().map(|_| LeftOut::Invalid)
}

/// Whether a property names the key of encrypted data. Volumes never have such properties: a key belongs to one volume
/// and must not be copied to others.
#[must_use]
pub fn is_encryption_key(name: &str) -> bool {
    left_out(name, "") == Some(LeftOut::EncryptionKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_names_has_its_reason() {
        for (name, reason) in [
            ("img_signature", LeftOut::Signature),
            ("img_signature_hash_method", LeftOut::Signature),
            ("signature_verified", LeftOut::Signature),
            ("cinder_encryption_key_id", LeftOut::EncryptionKey),
            ("cinder_encryption_key_deletion_policy", LeftOut::EncryptionKey),
            ("block_device_mapping", LeftOut::DeviceMapping),
            ("img_mappings", LeftOut::DeviceMapping),
            ("id", LeftOut::BaseAttribute),
            ("visibility", LeftOut::BaseAttribute),
            ("self", LeftOut::BaseAttribute),
            ("os_glance_import_task", LeftOut::Reserved),
            ("", LeftOut::Invalid),
            ("a\n", LeftOut::Invalid),
        ] {
            assert_eq!(left_out(name, "v"), Some(reason), "{name:?}");
        }
        assert_eq!(left_out("a", "\0"), Some(LeftOut::Invalid));
    }

    #[test]
    fn every_other_property_is_inherited() {
        for name in [
            "os_distro",
            "hw_disk_bus",
            "bdm_v2",
            "root_device_name",
            "signature_verified2",
            "image_id",
            "名 /",
        ] {
            assert_eq!(left_out(name, ""), None, "{name:?}");
        }
    }
}
