//! How an update changes properties, of images and of volumes.

use std::collections::BTreeSet;

use super::{
    Properties,
    properties::{check_name, check_value},
};
use crate::{text, violations::Violations};

/// The article's Update API: merges, or replaces with `purge`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PropertyUpdate {
    /// Properties to add or overwrite.
    pub set: Properties,
    /// Names to remove; a missing one is not an error, so that an update can be repeated.
    pub remove: BTreeSet<String>,
    /// Whether everything that is not in `set` is removed.
    pub purge: bool,
}

impl PropertyUpdate {
    /// Everything that is wrong with the update itself.
    #[must_use]
    pub fn check(&self) -> Violations {
        let mut violations = check(&self.set, "set");
        for name in &self.remove {
            let field = text::map_key("remove", name);
            violations.take(&field, check_name(name));
            if self.set.contains_key(name) {
                violations.add(field, "is also in `set`; a property is either set or removed");
            }
        }
        if self.purge && !self.remove.is_empty() {
            violations.add("remove", "has no meaning with `purge`, which removes all that is not in `set`");
        }
        violations
    }

    /// Applies the update.
    pub fn apply(&self, properties: &mut Properties) {
        if self.purge {
            properties.clear();
        }
        properties.retain(|name, _| !self.remove.contains(name));
        properties.extend(self.set.clone());
    }
}

/// Everything that is wrong with names and values.
#[must_use]
pub fn check(properties: &Properties, field: &str) -> Violations {
    let mut violations = Violations::default();
    for (name, value) in properties {
        check_entry(field, name, value, &mut violations);
    }
    violations
}

/// Collects what is wrong with one property of `field`.
pub fn check_entry(field: &str, name: &str, value: &str, violations: &mut Violations) {
    // The path is built only if something is wrong.
    for problem in [check_name(name), check_value(value)].into_iter().filter_map(Result::err) {
        violations.add(text::map_key(field, name), problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::properties::VALUE_LIMIT;

    fn properties(names: &[&str]) -> Properties {
        names.iter().map(|name| ((*name).to_owned(), "v".to_owned())).collect()
    }

    #[test]
    fn refuses_names_and_values_that_cannot_be() {
        let long = "x".repeat(256);
        for bad in
            ["", &long, "a\0b", "a\nb", "status", "min_ram", "virtual_size", "os_glance", "os_glance_x"]
        {
            assert!(!check(&properties(&[bad]), "set").is_empty(), "{bad:?}");
        }
        let widest = "名".repeat(255);
        for good in ["a", " ", "kernel_id", "base_image_ref", "revision", "os_glanc", "trait:X", &widest] {
            assert!(check(&properties(&[good]), "set").is_empty(), "{good:?}");
        }
        let value = |value: String| Properties::from([("a".to_owned(), value)]);
        assert!(check(&value("x".repeat(VALUE_LIMIT)), "set").is_empty());
        assert!(check(&value(String::new()), "set").is_empty());
        let problem = check(&value("é".repeat(32_768)), "set").to_string();
        assert_eq!(problem, "set[\"a\"]: the value has 65536 bytes, at most 65535 are allowed");
        assert!(!check(&value("a\0".into()), "set").is_empty());
    }

    #[test]
    fn an_update_merges_unless_it_purges() {
        let mut image = properties(&["a", "b", "c"]);
        let update = PropertyUpdate {
            set: Properties::from([("a".into(), "new".into()), ("d".into(), "v".into())]),
            remove: BTreeSet::from(["b".into(), "missing".into()]),
            purge: false,
        };
        update.apply(&mut image);
        assert_eq!(image["a"], "new");
        assert_eq!(image.keys().collect::<Vec<_>>(), ["a", "c", "d"]);

        let purge = PropertyUpdate { set: properties(&["x"]), purge: true, ..PropertyUpdate::default() };
        purge.apply(&mut image);
        assert_eq!(image, properties(&["x"]));
    }

    #[test]
    fn an_update_must_make_sense() {
        let both =
            PropertyUpdate { set: properties(&["a"]), remove: BTreeSet::from(["a".into()]), purge: false };
        assert!(both.check().to_string().contains("either set or removed"));
        let purge = PropertyUpdate { remove: BTreeSet::from(["b".into()]), purge: true, ..both };
        assert!(purge.check().to_string().contains("no meaning"));
    }
}
