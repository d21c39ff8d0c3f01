//! Quotas: how much a project may use.

use chassis::quota::{self, Shortage};

use crate::{error::Error, instance::Instance};

/// Limits of a project; `None` is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Instances.
    pub instances: Option<i64>,
    /// Virtual CPUs.
    pub cores: Option<i64>,
    /// Memory, in MiB.
    pub ram_mb: Option<i64>,
}

/// What a project uses; an instance that is being resized counts with the larger of its flavors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Usage {
    /// Instances.
    pub instances: i64,
    /// Virtual CPUs.
    pub cores: i64,
    /// Memory, in MiB.
    pub ram_mb: i64,
}

impl Usage {
    /// Adds the usage of new instances.
    pub fn add(&mut self, instances: &[Instance]) {
        for instance in instances {
            let flavor = &instance.record.flavor;
            self.instances += 1;
            self.cores += i64::from(flavor.vcpus);
            self.ram_mb += i64::from(flavor.memory_mb);
        }
    }
}

impl Quota {
    /// Whether anything is limited.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.instances.is_some() || self.cores.is_some() || self.ram_mb.is_some()
    }

    /// Refuses a change of an instance that makes the project exceed its quota; using less is always allowed.
    pub fn check_growth(
        &self,
        usage: &Usage,
        before: &Instance,
        after: Option<&Instance>,
    ) -> Result<(), Error> {
        let Some(target) = after
            .map(|after| after.task.as_ref().and_then(|task| task.target.as_ref()).unwrap_or(&after.record))
        else {
            return Ok(());
        };
        let (old, new) = (&before.record.flavor, &target.flavor);
        let resources = [
            ("cores", self.cores, usage.cores, new.vcpus - old.vcpus),
            ("ram_mb", self.ram_mb, usage.ram_mb, new.memory_mb - old.memory_mb),
        ];
        for (resource, limit, used, more) in resources {
            quota::check(resource, limit, used, i64::from(more))?;
        }
        Ok(())
    }

    /// How many instances of `vcpus` and `memory_mb` each may be created: at most `max`, at least `min`
    /// (Nova, `_check_num_instances_quota`).
    pub fn allow(
        &self,
        usage: &Usage,
        (min, max): (usize, usize),
        (vcpus, memory_mb): (i32, i32),
    ) -> Result<usize, Error> {
        let resources = [
            ("instances", self.instances, usage.instances, 1),
            ("cores", self.cores, usage.cores, i64::from(vcpus)),
            ("ram_mb", self.ram_mb, usage.ram_mb, i64::from(memory_mb)),
        ];
        let mut allowed = max;
        for (resource, limit, used, each) in resources {
            let Some(limit) = limit else { continue };
            let room = usize::try_from((limit - used).max(0) / each.max(1)).unwrap_or(usize::MAX);
            if room < min {
                let requested = each.saturating_mul(i64::try_from(min).unwrap_or(i64::MAX));
                return Err(Shortage { resource: resource.into(), requested, used, limit }.into());
            }
            allowed = allowed.min(room);
        }
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Usage = Usage { instances: 3, cores: 3, ram_mb: 1536 };

    #[test]
    fn without_limits_all_are_allowed() {
        assert_eq!(Quota::default().allow(&USAGE, (1, 1000), (8, 16384)).unwrap(), 1000);
    }

    #[test]
    fn the_scarcest_resource_decides() {
        let quota = Quota { instances: Some(10), cores: Some(20), ram_mb: Some(4096) };
        assert_eq!(quota.allow(&USAGE, (1, 50), (1, 128)).unwrap(), 7);
        assert_eq!(quota.allow(&USAGE, (1, 50), (4, 128)).unwrap(), 4);
        assert_eq!(quota.allow(&USAGE, (1, 50), (1, 1000)).unwrap(), 2);
        assert_eq!(quota.allow(&USAGE, (1, 2), (1, 1)).unwrap(), 2);
    }

    #[test]
    fn fewer_than_the_minimum_are_refused() {
        let quota = Quota { cores: Some(6), ..Quota::default() };
        assert_eq!(quota.allow(&USAGE, (3, 5), (1, 1)).unwrap(), 3);
        let Err(Error::QuotaExceeded(shortage)) = quota.allow(&USAGE, (4, 5), (1, 1)) else {
            panic!("four cores are not there");
        };
        assert_eq!(shortage, Shortage { resource: "cores".into(), requested: 4, used: 3, limit: 6 });
        let below = Quota { instances: Some(0), ..Quota::default() };
        assert!(below.allow(&USAGE, (1, 1), (1, 1)).is_err());
    }
}
