//! The metadata that owners give to their instances, volumes and snapshots.

use std::collections::BTreeMap;

use crate::{
    text::{self, NAME_LIMIT},
    violations::Violations,
};

/// Maximum number of items (Nova and Cinder, `quota_metadata_items`).
pub const METADATA_LIMIT: usize = 128;

/// What is wrong with the items.
#[must_use]
pub fn item_violations(metadata: &BTreeMap<String, String>) -> Violations {
    let mut violations = Violations::default();
    for (key, value) in metadata {
        let field = text::map_key("metadata", key);
        if let Err(problem) = text::name(key) {
            violations.add(&field, format!("the key {problem}"));
        }
        check_value(&field, value, &mut violations);
    }
    violations
}

/// Notes what is wrong with the value of an item, or of a property that is edited.
pub fn check_value(field: &str, value: &str, violations: &mut Violations) {
    let length = value.chars().count();
    if length > NAME_LIMIT {
        violations.add(field, format!("the value has {length} characters, at most {NAME_LIMIT} are allowed"));
    }
    if value.contains('\0') {
        violations.add(field, "the value must not contain NUL");
    }
}
