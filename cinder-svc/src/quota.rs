//! Quotas: how much a project may use.

use crate::error::Error;

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

/// A request that exceeds the quota, and by which resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// Such as `volumes`, or `gigabytes_ssd` for those of one volume type.
    pub resource: String,
    /// How much the request needs.
    pub requested: i64,
    /// How much the project uses.
    pub used: i64,
    /// How much it may use.
    pub limit: i64,
}

impl Quota {
    /// Refuses a volume that is larger than one may be.
    pub fn check_volume(&self, size_gib: i32) -> Result<(), Error> {
        let requested = i64::from(size_gib);
        let Some(limit) = self.per_volume_gigabytes.filter(|limit| requested > *limit) else {
            return Ok(());
        };
        let resource = "per_volume_gigabytes".to_owned();
        Err(Error::QuotaExceeded(Box::new(Shortage { resource, requested, used: 0, limit })))
    }
}
