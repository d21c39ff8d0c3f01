//! Free properties: which names and values are allowed, and how an update changes them.

use std::collections::BTreeSet;

pub use common::image::properties::{TOTAL_LIMIT, VALUE_LIMIT, check_reserved};
use common::{
    image::{
        Properties,
        properties::{check_growth, check_name, check_value},
    },
    text,
    violations::Violations,
};

use crate::error::Error;

/// Maximum number of properties of an image; negative for no limit (Glance, `image_property_quota`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota(pub i64);

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

impl Quota {
    /// Refuses only growth: an image above the quota can still shrink and change.
    pub fn check_growth(self, before: &Properties, properties: &Properties) -> Result<(), Error> {
        Ok(check_growth(before, properties, usize::try_from(self.0).ok())?)
    }

    /// Refuses `properties` if there are too many, or if they are larger than [`TOTAL_LIMIT`] in total. Those that a service
    /// adds do not count.
    pub fn check(self, properties: &Properties) -> Result<(), Error> {
        self.check_growth(&Properties::new(), properties)
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
    fn the_quota_refuses_growth_only() {
        let (three, four) = (properties(&["a", "b", "c"]), properties(&["a", "b", "c", "d"]));
        assert!(matches!(
            Quota(3).check_growth(&three, &four),
            Err(Error::Quota { attempted: 4, maximum: 3, .. })
        ));
        Quota(-1).check_growth(&three, &four).unwrap();
        Quota(1).check_growth(&four, &three).unwrap();
        Quota(1).check_growth(&three, &properties(&["x", "y", "z"])).unwrap();
    }

    #[test]
    fn the_total_is_limited_and_can_shrink() {
        let large = |count: usize, bytes: usize| -> Properties {
            (0..count).map(|number| (format!("property_{number:02}"), "x".repeat(bytes))).collect()
        };
        assert!(matches!(
            Quota(128).check_growth(&large(24, 60_000), &large(28, 60_000)),
            Err(Error::Quota { resource: "bytes of properties", maximum: TOTAL_LIMIT, .. })
        ));
        Quota(128).check_growth(&large(30, 60_000), &large(28, 60_000)).unwrap();
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
