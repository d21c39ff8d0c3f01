//! Volume types: kinds of volumes, and what is required of whoever keeps their data.

use std::collections::{BTreeMap, BTreeSet};

use chassis::caller::Caller;
use chrono::{DateTime, Utc};
use common::id::Id;

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

    /// Whether several instances may use such a volume at a time (Cinder, `utils.is_boolean_str`, `multiattach`).
    #[must_use]
    pub fn multiattach(&self) -> bool {
        self.extra_specs.get("multiattach").is_some_and(|value| value == "<is> True")
    }

    /// The smallest and the largest size of such a volume, in GiB, where they are limited
    /// (`provisioning:min_vol_size` and `max_vol_size`, VOL 1.2).
    #[must_use]
    pub fn sizes(&self) -> (Option<i32>, Option<i32>) {
        let size = |name: &str| self.extra_specs.get(name)?.trim().parse().ok();
        (size("provisioning:min_vol_size"), size("provisioning:max_vol_size"))
    }

    /// Whether the caller sees it, and its project may use it.
    #[must_use]
    pub fn is_usable_by(&self, caller: &Caller) -> bool {
        let is_listed = |project| self.project_ids.contains(project);
        self.is_public || caller.is_admin || caller.project().is_some_and(is_listed)
    }
}
