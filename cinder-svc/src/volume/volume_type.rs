//! Volume types: kinds of volumes, and what is required of whoever keeps their data.

use std::collections::{BTreeMap, BTreeSet};

use chassis::caller::Caller;
use chrono::{DateTime, Utc};
use common::{id::Id, text, violations::Violations};

mod request;

pub use request::{NewVolumeType, ProjectsUpdate, VolumeTypeUpdate};

/// Maximum number of volume types.
pub const VOLUME_TYPE_LIMIT: usize = 1000;

/// The extra specs that everybody sees.
const VISIBLE_SPECS: [&str; 2] = ["RESKEY:availability_zones", MULTIATTACH];

/// Whether several instances may use such a volume at a time.
const MULTIATTACH: &str = "multiattach";

/// The smallest and the largest size of such a volume, GiB.
const SIZES: [&str; 2] = ["provisioning:min_vol_size", "provisioning:max_vol_size"];

/// A kind of volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeType {
    /// Its id.
    pub id: Id,
    /// Its name, which is unique.
    pub name: String,
    /// Its description; may be empty.
    pub description: String,
    /// Whether every project may use it.
    pub is_public: bool,
    /// The projects that may use it if it is not public.
    pub project_ids: BTreeSet<String>,
    /// What is required of whoever keeps the data.
    pub extra_specs: BTreeMap<String, String>,
    /// Starts at 1; each change adds 1.
    pub revision: i64,
    /// When it was created.
    pub create_time: DateTime<Utc>,
    /// When it last changed.
    pub update_time: DateTime<Utc>,
}

impl VolumeType {
    /// The etag of this revision, for preconditions (AIP-154).
    #[must_use]
    pub fn etag(&self) -> String {
        format!("{:x}-{}", self.id.as_uuid().as_u64_pair().1, self.revision)
    }

    /// Whether several instances may use such a volume at a time.
    #[must_use]
    pub fn multiattach(&self) -> bool {
        self.extra_specs.get(MULTIATTACH).is_some_and(|value| value == "<is> True")
    }

    /// The smallest and the largest size of such a volume, in GiB, where they are limited.
    #[must_use]
    pub fn sizes(&self) -> (Option<i32>, Option<i32>) {
        let [smallest, largest] = SIZES.map(|name| self.extra_specs.get(name)?.parse().ok());
        (smallest, largest)
    }

    /// What is wrong with the specs that mean something here.
    fn spec_violations(&self) -> Violations {
        let mut violations = Violations::default();
        let multiattach = self.extra_specs.get(MULTIATTACH);
        if multiattach.is_some_and(|value| !["<is> True", "<is> False"].contains(&value.as_str())) {
            violations.add(spec_field(MULTIATTACH), "must be `<is> True` or `<is> False`");
        }
        for name in SIZES {
            let size = self.extra_specs.get(name).map(|size| size.parse::<i32>());
            if size.is_some_and(|size| !size.is_ok_and(|size| size > 0)) {
                violations
                    .add(spec_field(name), format!("must be a whole number of GiB from 1 to {}", i32::MAX));
            }
        }
        if let (Some(smallest), Some(largest)) = self.sizes()
            && smallest > largest
        {
            violations
                .add(spec_field(SIZES[0]), format!("must not be more than {}, {largest} GiB", SIZES[1]));
        }
        violations
    }

    /// What `caller` may see of it: all, for admins.
    #[must_use]
    pub fn seen_by(&self, caller: &Caller) -> Self {
        if caller.is_admin {
            return self.clone();
        }
        let mut seen = Self { project_ids: BTreeSet::new(), ..self.clone() };
        seen.extra_specs.retain(|name, _| VISIBLE_SPECS.contains(&name.as_str()));
        seen
    }

    /// Whether the caller sees it, and its project may use it.
    #[must_use]
    pub fn is_usable_by(&self, caller: &Caller) -> bool {
        let is_listed = |project| self.project_ids.contains(project);
        self.is_public || caller.is_admin || caller.project().is_some_and(is_listed)
    }
}

/// The path of an extra spec in a request.
fn spec_field(name: &str) -> String {
    text::map_key("extra_specs", name)
}
