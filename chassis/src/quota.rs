//! Quotas: how much a project may use. What it uses is counted whenever it wants more, in the transaction that gives it
//! more, and nowhere kept.

use std::{borrow::Cow, collections::BTreeSet};

use crate::{
    db::{self, ByDialect, Transaction, json},
    status::{Code, Description, Detail},
};

/// Locks the projects of the JSON array `$1`.
const LOCK: ByDialect = ByDialect {
    sqlite: "INSERT INTO quota_projects (project_id) SELECT value FROM json_each($1) WHERE TRUE \
         ON CONFLICT (project_id) DO UPDATE SET project_id = excluded.project_id",
    postgres: "INSERT INTO quota_projects (project_id) SELECT value FROM json_array_elements_text($1::json) \
         ON CONFLICT (project_id) DO UPDATE SET project_id = excluded.project_id",
};

/// A request that exceeds the quota, and by which resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("quota of {resource} exceeded: {requested} requested, {used} of {limit} already used")]
pub struct Shortage {
    /// Such as `cores`, or `gigabytes_ssd` for the volumes of one type.
    pub resource: Cow<'static, str>,
    /// How much the request needs, at least.
    pub requested: i64,
    /// How much the project uses.
    pub used: i64,
    /// How much it may use.
    pub limit: i64,
}

impl Shortage {
    /// How it looks in an answer.
    #[must_use]
    pub fn describe(&self) -> Description {
        Description::new(Code::ResourceExhausted, "QUOTA_EXCEEDED")
            .with("resource", &self.resource)
            .with("requested", self.requested)
            .with("used", self.used)
            .with("limit", self.limit)
            .detail(Detail::Quota { subject: format!("project {}", self.resource) })
    }
}

/// A limit as operators write it: negative for none.
#[must_use]
pub fn limit(value: i64) -> Option<i64> {
    (value >= 0).then_some(value)
}

/// Refuses a request for more of `resource` than a project may use; without a `limit`, and for nothing or less than
/// nothing, it is allowed.
pub fn check(
    resource: impl Into<Cow<'static, str>>,
    limit: Option<i64>,
    used: i64,
    requested: i64,
) -> Result<(), Shortage> {
    match limit.filter(|limit| requested > 0 && used.saturating_add(requested) > *limit) {
        None => Ok(()),
        Some(limit) => Err(Shortage { resource: resource.into(), requested, used, limit }),
    }
}

/// Locks projects that have a quota until the end of the transaction, in the order of their names, so that two requests
/// cannot both use the last of it. The table is `quota_projects (project_id)`.
pub async fn lock_projects(tx: &mut Transaction, projects: &BTreeSet<&str>) -> Result<(), db::Error> {
    tx.query(LOCK).bind(json(projects)).execute().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_more_than_the_limit_is_refused() {
        assert_eq!(check("cores", None, i64::MAX, i64::MAX), Ok(()));
        assert_eq!(check("cores", Some(4), 3, 1), Ok(()));
        assert_eq!(check("cores", Some(4), 9, 0), Ok(()));
        assert_eq!(check("cores", Some(4), 9, -1), Ok(()));
        let shortage = Shortage { resource: "cores".into(), requested: 2, used: 3, limit: 4 };
        assert_eq!(check("cores", Some(4), 3, 2), Err(shortage.clone()));
        assert_eq!(shortage.to_string(), "quota of cores exceeded: 2 requested, 3 of 4 already used");
        assert!(check("cores", Some(i64::MAX), i64::MAX, 1).is_ok());
        assert!(check("cores", Some(i64::MAX - 1), i64::MAX, i64::MAX).is_err());
    }

    #[test]
    fn a_negative_limit_is_none() {
        assert_eq!([-7, -1, 0, 1].map(limit), [None, None, Some(0), Some(1)]);
    }
}
