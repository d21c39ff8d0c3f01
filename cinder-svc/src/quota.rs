//! Quotas: how much a project may use.

use chassis::quota::{self, Shortage};

/// Limits of a project, unless it has its own; `None` is unlimited.
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

impl Quota {
    /// Refuses a volume that is larger than one may be.
    pub fn check_volume(&self, size_gib: i32) -> Result<(), Shortage> {
        quota::check("per_volume_gigabytes", self.per_volume_gigabytes, 0, i64::from(size_gib))
    }
}
