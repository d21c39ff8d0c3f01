//! Quotas: how much a project may use of volumes, snapshots and gigabytes, in all and of each volume type (Cinder,
//! `quota.py`).

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::AddAssign,
};

use chassis::quota::{self, Shortage};

/// Limits of each project that has none of its own; `None` is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Volumes.
    pub volumes: Option<i64>,
    /// Snapshots.
    pub snapshots: Option<i64>,
    /// Size of all volumes and snapshots, in GiB.
    pub gigabytes: Option<i64>,
    /// Size of one volume, in GiB.
    pub per_volume_gigabytes: Option<i64>,
}

/// The limits of a project, by resource; what is not here is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits(BTreeMap<String, i64>);

/// Amounts of what is limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Volumes.
    pub volumes: i64,
    /// Snapshots.
    pub snapshots: i64,
    /// Size of the volumes and snapshots, in GiB.
    pub gigabytes: i64,
}

/// What a project uses. A volume that is being made larger, or given another type, counts as it will be, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// In all.
    pub total: Amounts,
    /// Of each volume type, by its name.
    pub of_types: BTreeMap<String, Amounts>,
}

/// What a change adds to what a project uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Growth {
    usage: Usage,
    /// Size of the largest volume that it makes, in GiB.
    volume_gigabytes: i64,
}

/// The limit of one resource, and how much of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaLimit {
    /// Such as `volumes`, or `gigabytes_ssd` for those of one volume type.
    pub resource: String,
    /// How much the project may use; `None` is unlimited.
    pub limit: Option<i64>,
    /// How much it uses.
    pub used: i64,
}

const PER_VOLUME: &str = "per_volume_gigabytes";

/// Every resource that is not of one volume type.
pub const RESOURCES: [&str; 4] = ["gigabytes", PER_VOLUME, "snapshots", "volumes"];

/// Names of the resources of a volume type.
#[must_use]
pub fn resources_of_type(volume_type: &str) -> [String; 3] {
    ["gigabytes", "snapshots", "volumes"].map(|resource| format!("{resource}_{volume_type}"))
}

/// The name of the volume type that a resource is of, if it is of one.
#[must_use]
pub fn volume_type_of(resource: &str) -> Option<&str> {
    ["gigabytes_", "snapshots_", "volumes_"].iter().find_map(|prefix| resource.strip_prefix(prefix))
}

impl From<Quota> for Limits {
    fn from(quota: Quota) -> Self {
        let limits = [
            ("volumes", quota.volumes),
            ("snapshots", quota.snapshots),
            ("gigabytes", quota.gigabytes),
            (PER_VOLUME, quota.per_volume_gigabytes),
        ];
        Self(limits.into_iter().filter_map(|(resource, limit)| Some((resource.to_owned(), limit?))).collect())
    }
}

impl Limits {
    /// Gives the project a limit of its own; a negative one means any amount.
    pub fn set(&mut self, resource: String, maximum: i64) {
        match quota::limit(maximum) {
            Some(limit) => self.0.insert(resource, limit),
            None => self.0.remove(&resource),
        };
    }

    /// The limit of a resource, if it is limited.
    #[must_use]
    pub fn get(&self, resource: &str) -> Option<i64> {
        self.0.get(resource).copied()
    }

    /// Whether anything is limited.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        !self.0.is_empty()
    }

    /// Refuses a change that makes a project exceed its quota; using less is always allowed.
    pub fn check(&self, usage: &Usage, growth: &Growth) -> Result<(), Shortage> {
        quota::check(PER_VOLUME, self.get(PER_VOLUME), 0, growth.volume_gigabytes)?;
        for (resource, requested) in growth.usage.resources() {
            let Some(limit) = self.get(&resource) else { continue };
            quota::check(resource.clone(), Some(limit), usage.get(&resource), requested)?;
        }
        Ok(())
    }

    /// Each resource with its limit and what is used of it, sorted by name: those of these volume types, and others that
    /// are limited or used.
    #[must_use]
    pub fn list(&self, usage: &Usage, volume_types: &BTreeSet<String>) -> Vec<QuotaLimit> {
        let mut resources: BTreeSet<_> = RESOURCES.map(str::to_owned).into();
        resources.extend(
            volume_types.iter().chain(usage.of_types.keys()).flat_map(|name| resources_of_type(name)),
        );
        resources.extend(self.0.keys().cloned());
        let list = resources.into_iter().map(|resource| {
            let (limit, used) = (self.get(&resource), usage.get(&resource));
            QuotaLimit { resource, limit, used }
        });
        list.collect()
    }
}

impl Usage {
    /// Adds what there is of a volume type. What only might become of that type does not count in all.
    pub fn add(&mut self, volume_type: &str, amounts: Amounts, counts_in_all: bool) {
        *self.of_types.entry(volume_type.to_owned()).or_default() += amounts;
        if counts_in_all {
            self.total += amounts;
        }
    }

    /// Adds what a change adds.
    pub fn grow(&mut self, growth: &Growth) {
        self.total += growth.usage.total;
        for (volume_type, amounts) in &growth.usage.of_types {
            self.add(volume_type, *amounts, false);
        }
    }

    /// How much of a resource is used; nothing of one that says how large a volume may be.
    #[must_use]
    pub fn get(&self, resource: &str) -> i64 {
        let (amounts, kind) = match volume_type_of(resource) {
            Some(name) => (self.of_types.get(name).copied(), resource.strip_suffix(name)),
            None => (Some(self.total), Some(resource)),
        };
        let amounts = amounts.unwrap_or_default();
        match kind.map(|kind| kind.trim_end_matches('_')) {
            Some("volumes") => amounts.volumes,
            Some("snapshots") => amounts.snapshots,
            Some("gigabytes") => amounts.gigabytes,
            _ => 0,
        }
    }

    /// Every resource that is used, with how much: in all first.
    fn resources(&self) -> impl Iterator<Item = (String, i64)> {
        let total = self.total.named().map(|(resource, used)| (resource.to_owned(), used));
        let of_types = self.of_types.iter().flat_map(|(name, amounts)| {
            amounts.named().map(|(resource, used)| (format!("{resource}_{name}"), used))
        });
        total.into_iter().chain(of_types)
    }
}

impl Growth {
    /// A volume that is created, or comes from another project.
    #[must_use]
    pub fn volume(size_gib: i32, volume_type: &str) -> Self {
        let amounts = Amounts { volumes: 1, snapshots: 0, gigabytes: size_gib.into() };
        Self { volume_gigabytes: size_gib.into(), ..Self::of(volume_type, amounts) }
    }

    /// A snapshot that is created, or comes from another project.
    #[must_use]
    pub fn snapshot(size_gib: i32, volume_type: &str) -> Self {
        Self::of(volume_type, Amounts { volumes: 0, snapshots: 1, gigabytes: size_gib.into() })
    }

    /// A volume that is made larger.
    #[must_use]
    pub fn extension(from_gib: i32, to_gib: i32, volume_type: &str) -> Self {
        let amounts =
            Amounts { volumes: 0, snapshots: 0, gigabytes: i64::from(to_gib) - i64::from(from_gib) };
        Self { volume_gigabytes: to_gib.into(), ..Self::of(volume_type, amounts) }
    }

    /// A volume that is given another type.
    #[must_use]
    pub fn retype(size_gib: i32, volume_type: &str) -> Self {
        let mut growth = Self::default();
        let amounts = Amounts { volumes: 1, snapshots: 0, gigabytes: size_gib.into() };
        growth.usage.add(volume_type, amounts, false);
        growth
    }

    /// Both changes.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.usage.grow(other);
        Self { volume_gigabytes: self.volume_gigabytes.max(other.volume_gigabytes), ..self }
    }

    fn of(volume_type: &str, amounts: Amounts) -> Self {
        let mut usage = Usage::default();
        usage.add(volume_type, amounts, true);
        Self { usage, volume_gigabytes: 0 }
    }
}

impl Amounts {
    /// By the names of their resources, in the order in which Cinder checks them.
    fn named(self) -> [(&'static str, i64); 3] {
        [("volumes", self.volumes), ("snapshots", self.snapshots), ("gigabytes", self.gigabytes)]
    }
}

impl AddAssign for Amounts {
    fn add_assign(&mut self, other: Self) {
        self.volumes += other.volumes;
        self.snapshots += other.snapshots;
        self.gigabytes += other.gigabytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(limits: &[(&str, i64)]) -> Limits {
        let mut all = Limits::default();
        for (resource, maximum) in limits {
            all.set((*resource).to_owned(), *maximum);
        }
        all
    }

    fn refused(limits: &Limits, usage: &Usage, growth: &Growth) -> String {
        limits.check(usage, growth).map_or_else(|shortage| shortage.to_string(), |()| "allowed".to_owned())
    }

    #[test]
    fn without_limits_all_is_allowed() {
        let limits = Limits::from(Quota::default());
        assert!(!limits.is_limited());
        assert_eq!(refused(&limits, &Usage::default(), &Growth::volume(i32::MAX, "ssd")), "allowed");
    }

    #[test]
    fn each_resource_has_its_own_limit() {
        let mut usage = Usage::default();
        usage.grow(&Growth::volume(10, "ssd").and(&Growth::snapshot(10, "ssd")));
        let volume = Growth::volume(5, "ssd");
        for (limit, expected) in [
            (("volumes", 1), "quota of volumes exceeded: 1 requested, 1 of 1 already used"),
            (("gigabytes", 24), "quota of gigabytes exceeded: 5 requested, 20 of 24 already used"),
            (("gigabytes_ssd", 24), "quota of gigabytes_ssd exceeded: 5 requested, 20 of 24 already used"),
            (("volumes_ssd", 1), "quota of volumes_ssd exceeded: 1 requested, 1 of 1 already used"),
            ((PER_VOLUME, 4), "quota of per_volume_gigabytes exceeded: 5 requested, 0 of 4 already used"),
            (("gigabytes", 25), "allowed"),
            (("snapshots", 0), "allowed"),
            (("volumes_hdd", 0), "allowed"),
            (("volumes", -1), "allowed"),
        ] {
            assert_eq!(refused(&limits(&[limit]), &usage, &volume), expected, "{limit:?}");
        }
    }

    #[test]
    fn another_type_uses_only_resources_of_that_type() {
        let growth = Growth::retype(5, "ssd");
        assert_eq!(
            refused(&limits(&[("volumes", 0), ("gigabytes", 0)]), &Usage::default(), &growth),
            "allowed"
        );
        assert_eq!(
            refused(&limits(&[("gigabytes_ssd", 4)]), &Usage::default(), &growth),
            "quota of gigabytes_ssd exceeded: 5 requested, 0 of 4 already used"
        );
    }

    #[test]
    fn an_extension_uses_what_it_adds_and_is_limited_as_one_volume() {
        let growth = Growth::extension(5, 8, "ssd");
        assert_eq!(
            refused(&limits(&[("gigabytes", 3), (PER_VOLUME, 8)]), &Usage::default(), &growth),
            "allowed"
        );
        assert_eq!(
            refused(&limits(&[(PER_VOLUME, 7)]), &Usage::default(), &growth),
            "quota of per_volume_gigabytes exceeded: 8 requested, 0 of 7 already used"
        );
    }

    #[test]
    fn a_list_has_each_resource_once_in_order() {
        let mut usage = Usage::default();
        usage.grow(&Growth::volume(10, "old_type"));
        let list = limits(&[("volumes", 3)]).list(&usage, &["ssd".to_owned()].into());
        let resources: Vec<_> = list.iter().map(|limit| limit.resource.as_str()).collect();
        assert_eq!(
            resources,
            [
                "gigabytes",
                "gigabytes_old_type",
                "gigabytes_ssd",
                PER_VOLUME,
                "snapshots",
                "snapshots_old_type",
                "snapshots_ssd",
                "volumes",
                "volumes_old_type",
                "volumes_ssd"
            ]
        );
        let of = |resource| list.iter().find(|limit| limit.resource == resource).unwrap();
        assert_eq!((of("volumes").limit, of("volumes").used), (Some(3), 1));
        assert_eq!((of("gigabytes_old_type").limit, of("gigabytes_old_type").used), (None, 10));
    }
}
