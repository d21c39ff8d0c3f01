//! Free properties: how many are allowed. Names, values and updates follow the same rules as those of volumes.

use common::image::{Properties, properties::check_growth};
pub use common::image::{
    properties::{TOTAL_LIMIT, VALUE_LIMIT, check_reserved},
    update::{PropertyUpdate, check, check_entry},
};

use crate::error::Error;

/// Maximum number of properties of an image; negative for no limit (Glance, `image_property_quota`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota(pub i64);

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

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(names: &[&str]) -> Properties {
        names.iter().map(|name| ((*name).to_owned(), "v".to_owned())).collect()
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
}
