//! Quotas: a project reads its own, admins read and change those of all.

use std::collections::BTreeMap;

use chassis::{caller::Caller, scope::check_admin};
use common::{
    text::{self, clip},
    violations::Violations,
};

use super::VolumeApi;
use crate::{
    error::Error,
    quota::{Limits, QuotaLimit, RESOURCES, Usage, volume_type_of},
    volume::access::check_quota_of,
};

/// Limits to be set for a project: each resource with how much of it the project may use, -1 for any amount, or `None`
/// for the configured limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaUpdate(pub Vec<(String, Option<i64>)>);

impl QuotaUpdate {
    /// The new limits by resource, or everything that is wrong with them.
    fn check(self) -> Result<BTreeMap<String, Option<i64>>, Violations> {
        let mut violations = Violations::default();
        let mut limits = BTreeMap::new();
        for (resource, limit) in self.0 {
            let field = field(&resource, limit);
            if volume_type_of(&resource).is_none() && !RESOURCES.contains(&resource.as_str()) {
                violations.add(&field, unknown(&resource));
            }
            if limit.is_some_and(|limit| limit < -1) {
                violations.add(&field, "must be 0 or more, or -1 for any amount");
            }
            if limits.insert(resource, limit).is_some() {
                violations.add(field, "is there twice");
            }
        }
        violations.check()?;
        Ok(limits)
    }
}

impl VolumeApi {
    /// The limits of a project and what it uses, sorted by resource.
    pub async fn get_quota(&self, project_id: &str, caller: &Caller) -> Result<Vec<QuotaLimit>, Error> {
        check_project(project_id)?;
        check_quota_of(project_id, caller)?;
        self.quota_of(project_id).await
    }

    /// Sets limits of a project; for admins. Returns all of them.
    pub async fn update_quota(
        &self,
        project_id: &str,
        update: QuotaUpdate,
        caller: &Caller,
    ) -> Result<Vec<QuotaLimit>, Error> {
        check_admin(caller, CHANGE)?;
        check_project(project_id)?;
        let limits = update.check()?;
        let types =
            limits.keys().filter_map(|resource| volume_type_of(resource)).map(str::to_owned).collect();
        let unknown = self.store.set_limits(project_id, &limits, &types).await?;
        let mut violations = Violations::default();
        for (resource, limit) in &limits {
            if let Some(name) = volume_type_of(resource).filter(|name| unknown.contains(*name)) {
                let problem = format!("there is no volume type {:?}", clip(name, 60));
                violations.add(field(resource, *limit), problem);
            }
        }
        violations.check()?;
        self.quota_of(project_id).await
    }

    /// The limits of projects that have none of their own, for a caller who may read the quota of this one.
    pub async fn default_quota(&self, project_id: &str, caller: &Caller) -> Result<Vec<QuotaLimit>, Error> {
        check_quota_of(project_id, caller)?;
        let volume_types = self.store.volume_type_names(project_id).await?;
        Ok(Limits::from(self.quota).list(&Usage::default(), &volume_types))
    }

    /// Takes its own limits from a project; for admins.
    pub async fn reset_quota(&self, project_id: &str, caller: &Caller) -> Result<(), Error> {
        check_admin(caller, CHANGE)?;
        check_project(project_id)?;
        self.store.reset_limits(project_id).await
    }

    async fn quota_of(&self, project_id: &str) -> Result<Vec<QuotaLimit>, Error> {
        let volume_types = self.store.volume_type_names(project_id).await?;
        let (limits, usage) = self.store.quota(&self.quota, project_id).await?;
        Ok(limits.list(&usage, &volume_types))
    }
}

/// What only admins may do.
const CHANGE: &str = "change quotas";

/// Where the limit of a resource stands in a request.
fn field(resource: &str, limit: Option<i64>) -> String {
    text::map_key(if limit.is_some() { "limits" } else { "reset" }, resource)
}

fn unknown(resource: &str) -> String {
    format!(
        "there is no resource {:?}; there are {}, and volumes, snapshots and gigabytes followed by _ and the name of a \
         volume type",
        clip(resource, 60),
        RESOURCES.join(", ")
    )
}

fn check_project(project_id: &str) -> Result<(), Violations> {
    text::name(project_id).map_err(|problem| Violations::one("project_id", problem))
}
