//! Free properties: which names and values there can be, and what an update does to them.

use std::collections::BTreeSet;

use common::{image::Properties, text, violations::Violations};

use crate::error::Error;

/// Longest value, bytes (Glance keeps them in a TEXT column of MySQL).
pub const VALUE_LIMIT: usize = 65_535;

/// Most bytes of all names and values of an image: its history shows them twice in one answer, old and new, and
/// clients refuse answers above 4 MiB.
pub const TOTAL_LIMIT: usize = 1_572_864;

/// Names that start like this belong to Glance itself.
const RESERVED_PREFIX: &str = "os_glance";

/// Names that cannot be properties, sorted: base attributes of an image, in this API and in Glance's.
const RESERVED: [&str; 32] = [
    "checksum",
    "container_format",
    "create_time",
    "created_at",
    "deleted",
    "deleted_at",
    "direct_url",
    "disk_format",
    "etag",
    "file",
    "id",
    "is_public",
    "location",
    "locations",
    "min_disk",
    "min_ram",
    "name",
    "os_hash_algo",
    "os_hash_value",
    "os_hidden",
    "owner",
    "properties",
    "protected",
    "revision",
    "schema",
    "self",
    "size",
    "status",
    "tags",
    "update_time",
    "updated_at",
    "visibility",
];

/// Further such names, of attributes that only some Glance services show.
const RESERVED_MORE: [&str; 2] = ["stores", "virtual_size"];

/// How many properties an image may have; negative for any number (Glance, `image_property_quota`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota(pub i64);

/// The article's Update API: merges unless told to replace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PropertyUpdate {
    /// To add or overwrite.
    pub set: Properties,
    /// To remove; a name that is not there is no error, so that an update can be repeated.
    pub remove: BTreeSet<String>,
    /// Whether everything that is not in `set` goes.
    pub purge: bool,
}

impl PropertyUpdate {
    /// Notes what is wrong with the update itself.
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

    /// Applies the update. The quota refuses only growth: an image above it can still shrink and change.
    pub fn apply(&self, properties: &mut Properties, quota: Quota) -> Result<(), Error> {
        let (before, bytes_before) = (properties.len(), total_bytes(properties));
        if self.purge {
            properties.clear();
        }
        properties.retain(|name, _| !self.remove.contains(name));
        properties.extend(self.set.clone());
        if properties.len() > before {
            quota.check(properties)?;
        }
        if total_bytes(properties) > bytes_before { check_total(properties) } else { Ok(()) }
    }
}

impl Quota {
    /// Refuses `properties` if they are too many.
    pub fn check(self, properties: &Properties) -> Result<(), Error> {
        let attempted = properties.len();
        match usize::try_from(self.0) {
            Ok(maximum) if attempted > maximum => {
                Err(Error::Quota { resource: "properties", attempted, maximum })
            }
            _ => Ok(()),
        }
    }
}

/// Refuses `properties` if they are larger in all than [`TOTAL_LIMIT`].
pub fn check_total(properties: &Properties) -> Result<(), Error> {
    let attempted = total_bytes(properties);
    if attempted > TOTAL_LIMIT {
        return Err(Error::Quota { resource: "bytes of properties", attempted, maximum: TOTAL_LIMIT });
    }
    Ok(())
}

fn total_bytes(properties: &Properties) -> usize {
    properties.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// Notes what is wrong with names and values.
#[must_use]
pub fn check(properties: &Properties, field: &str) -> Violations {
    let mut violations = Violations::default();
    for (name, value) in properties {
        // The path is made only for what is wrong.
        if let Err(problem) = check_name(name) {
            violations.add(text::map_key(field, name), problem);
        }
        if let Err(problem) = check_value(value) {
            violations.add(text::map_key(field, name), problem);
        }
    }
    violations
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("the name is empty: 1 to {} characters", text::NAME_LIMIT));
    }
    text::optional_name(name).map_err(|problem| format!("the name {problem}"))?;
    if RESERVED.binary_search(&name).is_ok() || RESERVED_MORE.contains(&name) {
        return Err("is the name of a base attribute, which cannot be a property".to_owned());
    }
    if name.starts_with(RESERVED_PREFIX) {
        return Err(format!("names that start with {RESERVED_PREFIX} are reserved"));
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), String> {
    if value.len() > VALUE_LIMIT {
        return Err(format!("the value has {} bytes, at most {VALUE_LIMIT} are allowed", value.len()));
    }
    if value.contains('\0') {
        return Err("the value must not contain NUL".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(names: &[&str]) -> Properties {
        names.iter().map(|name| ((*name).to_owned(), "v".to_owned())).collect()
    }

    #[test]
    fn reserved_names_are_sorted() {
        assert!(RESERVED.is_sorted());
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
        for good in ["a", " ", "kernel_id", "base_image_ref", "os_glanc", "trait:X", &widest] {
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
        update.apply(&mut image, Quota(3)).unwrap();
        assert_eq!(image["a"], "new");
        assert_eq!(image.keys().collect::<Vec<_>>(), ["a", "c", "d"]);

        let purge = PropertyUpdate { set: properties(&["x"]), purge: true, ..PropertyUpdate::default() };
        purge.apply(&mut image, Quota(3)).unwrap();
        assert_eq!(image, properties(&["x"]));
    }

    #[test]
    fn the_quota_refuses_growth_only() {
        let mut image = properties(&["a", "b", "c"]);
        let add = PropertyUpdate { set: properties(&["d"]), ..PropertyUpdate::default() };
        assert!(matches!(
            add.apply(&mut image.clone(), Quota(3)),
            Err(Error::Quota { attempted: 4, maximum: 3, .. })
        ));
        add.apply(&mut image.clone(), Quota(-1)).unwrap();
        let change = PropertyUpdate { set: properties(&["a"]), ..PropertyUpdate::default() };
        change.apply(&mut image, Quota(1)).unwrap();
    }

    #[test]
    fn the_total_is_limited_and_can_shrink() {
        let large = |count: usize, bytes: usize| -> Properties {
            (0..count).map(|number| (format!("property_{number:02}"), "x".repeat(bytes))).collect()
        };
        let mut image = large(24, 60_000);
        let grow = PropertyUpdate { set: large(28, 60_000), ..PropertyUpdate::default() };
        assert!(matches!(
            grow.apply(&mut image.clone(), Quota(128)),
            Err(Error::Quota { resource: "bytes of properties", maximum: TOTAL_LIMIT, .. })
        ));
        let mut above = large(30, 60_000);
        let shrink = PropertyUpdate { set: large(1, 10), ..PropertyUpdate::default() };
        shrink.apply(&mut above, Quota(128)).unwrap();
        shrink.apply(&mut image, Quota(128)).unwrap();
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
