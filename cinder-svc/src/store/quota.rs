//! What projects use and may use. Whatever makes a project use more checks that in its own transaction.

use std::collections::{BTreeMap, BTreeSet};

use chassis::{
    db::{self, ByDialect, Connection, Many, Transaction, retrying},
    quota::lock_projects,
};

use super::Store;
use crate::{
    error::Error,
    quota::{Amounts, Growth, Limits, Quota, Usage, resources_of_type},
};

/// Limits that the projects `$1` have of their own.
const LIMITS: ByDialect = ByDialect {
    sqlite: "SELECT project_id, resource, maximum FROM quota_limits \
         WHERE project_id IN (SELECT value FROM json_each($1))",
    postgres: "SELECT project_id, resource, maximum FROM quota_limits WHERE project_id = ANY($1)",
};

/// What the project `$1` uses, by volume type. A volume that is being made larger counts with the larger size, one that
/// is being given another type counts for that type, too: both may come true.
const USAGE: &str = "SELECT types.name, used.counts_in_all, CAST(SUM(used.volumes) AS BIGINT), \
     CAST(SUM(used.snapshots) AS BIGINT), CAST(SUM(used.gigabytes) AS BIGINT) FROM (\
     SELECT volumes.volume_type_id, TRUE AS counts_in_all, 1 AS volumes, 0 AS snapshots, \
     CAST(CASE WHEN target_size_gib > size_gib THEN target_size_gib ELSE size_gib END AS BIGINT) AS gigabytes \
     FROM volumes LEFT JOIN volume_tasks ON volume_tasks.volume_id = volumes.id WHERE volumes.project_id = $1 \
     UNION ALL SELECT target_type_id, FALSE, 1, 0, size_gib \
     FROM volumes JOIN volume_tasks ON volume_tasks.volume_id = volumes.id \
     WHERE volumes.project_id = $1 AND target_type_id <> volumes.volume_type_id \
     UNION ALL SELECT volume_type_id, TRUE, 0, 1, size_gib FROM snapshots WHERE project_id = $1) used \
     JOIN volume_types types ON types.id = used.volume_type_id GROUP BY types.name, used.counts_in_all";

/// The names of the volume types `$1`, which nobody renames or deletes before the transaction ends.
const LOCK_TYPES: ByDialect = ByDialect {
    sqlite: "SELECT name FROM volume_types WHERE name IN (SELECT value FROM json_each($1))",
    postgres: "SELECT name FROM volume_types WHERE name = ANY($1) FOR KEY SHARE",
};

/// A row of [`USAGE`].
type UsageRow = (String, bool, i64, i64, i64);

/// What some projects use and may use, within the transaction that is about to make them use more.
#[derive(Debug)]
pub struct Quotas(BTreeMap<String, (Limits, Usage)>);

impl Quotas {
    /// Those of projects with `limits`, which are locked until the end of the transaction, in the order of their names, so
    /// that two changes cannot both use the last of something. Nothing is counted of a project without limits.
    pub async fn lock(tx: &mut Transaction, limits: BTreeMap<String, Limits>) -> Result<Self, db::Error> {
        if !limits.is_empty() {
            lock_projects(tx, &limits.keys().map(String::as_str).collect()).await?;
        }
        let mut quotas = BTreeMap::new();
        for (project_id, limits) in limits {
            let usage = usage(tx, &project_id).await?;
            quotas.insert(project_id, (limits, usage));
        }
        Ok(Self(quotas))
    }

    /// Lets a project use more, or refuses.
    pub fn grow(&mut self, project_id: &str, growth: &Growth) -> Result<(), Error> {
        let Some((limits, usage)) = self.0.get_mut(project_id) else { return Ok(()) };
        limits.check(usage, growth)?;
        usage.grow(growth);
        Ok(())
    }

    /// Locks one project, if it has a limit, and lets it use more, or refuses.
    pub async fn check(
        tx: &mut Transaction,
        configured: &Quota,
        project_id: &str,
        growth: &Growth,
    ) -> Result<(), Error> {
        let limits = limits(tx, configured, &[project_id].into()).await?;
        Self::lock(tx, limits).await?.grow(project_id, growth)
    }
}

/// The limits of those of these projects that have any.
pub(super) async fn limits(
    connection: &mut Connection,
    configured: &Quota,
    projects: &BTreeSet<&str>,
) -> Result<BTreeMap<String, Limits>, db::Error> {
    let ids: Vec<_> = projects.iter().map(|project| (*project).to_owned()).collect();
    let mut limits: BTreeMap<_, _> =
        ids.iter().map(|project| (project.clone(), Limits::from(*configured))).collect();
    let own: Vec<(String, String, i64)> = connection.query_as(LIMITS).bind(Many(ids)).fetch_all().await?;
    for (project, resource, maximum) in own {
        limits.entry(project).or_default().set(resource, maximum);
    }
    limits.retain(|_, limits| limits.is_limited());
    Ok(limits)
}

/// What a project uses.
async fn usage(connection: &mut Connection, project_id: &str) -> Result<Usage, db::Error> {
    let rows: Vec<UsageRow> = connection.query_as(USAGE).bind(project_id).fetch_all().await?;
    let mut usage = Usage::default();
    for (volume_type, counts_in_all, volumes, snapshots, gigabytes) in rows {
        usage.add(&volume_type, Amounts { volumes, snapshots, gigabytes }, counts_in_all);
    }
    Ok(usage)
}

impl Store {
    /// The limits of a project, and what it uses.
    pub async fn quota(&self, configured: &Quota, project_id: &str) -> Result<(Limits, Usage), Error> {
        let mut connection = self.db.reader().await?;
        let limits = limits(&mut connection, configured, &[project_id].into()).await?;
        let limits = limits.into_values().next().unwrap_or_default();
        Ok((limits, usage(&mut connection, project_id).await?))
    }

    /// Refuses what would make a project exceed its quota now, without making it use more.
    pub async fn check_quota(
        &self,
        configured: &Quota,
        project_id: &str,
        growth: &Growth,
    ) -> Result<(), Error> {
        let (limits, usage) = self.quota(configured, project_id).await?;
        Ok(limits.check(&usage, growth)?)
    }

    /// Gives a project limits of its own, by resource, `None` for the configured one. `volume_types` are the names of
    /// the types that the resources are of; those that do not exist are returned, and then nothing is written.
    pub async fn set_limits(
        &self,
        project_id: &str,
        limits: &BTreeMap<String, Option<i64>>,
        volume_types: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Error> {
        retrying(|| self.try_set_limits(project_id, limits, volume_types)).await
    }

    /// Takes its own limits from a project.
    pub async fn reset_limits(&self, project_id: &str) -> Result<(), Error> {
        let sql = "DELETE FROM quota_limits WHERE project_id = $1";
        self.db.execute(|connection| connection.query(sql).bind(project_id)).await?;
        Ok(())
    }

    async fn try_set_limits(
        &self,
        project_id: &str,
        limits: &BTreeMap<String, Option<i64>>,
        volume_types: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Error> {
        let mut tx = self.db.begin().await?;
        let names = Many(volume_types.iter().cloned().collect::<Vec<_>>());
        let known: Vec<String> = tx.query_scalar(LOCK_TYPES).bind(&names).fetch_all().await?;
        let unknown: BTreeSet<_> =
            volume_types.iter().filter(|name| !known.contains(name)).cloned().collect();
        if !unknown.is_empty() {
            return Ok(unknown);
        }
        for (resource, maximum) in limits {
            let query = match maximum {
                None => tx
                    .query("DELETE FROM quota_limits WHERE project_id = $1 AND resource = $2")
                    .bind(project_id)
                    .bind(resource),
                Some(maximum) => tx
                    .query(
                        "INSERT INTO quota_limits (project_id, resource, maximum) VALUES ($1, $2, $3) \
                         ON CONFLICT (project_id, resource) DO UPDATE SET maximum = excluded.maximum",
                    )
                    .bind(project_id)
                    .bind(resource)
                    .bind(*maximum),
            };
            query.execute().await?;
        }
        tx.commit().await?;
        Ok(unknown)
    }
}

/// Renames the limits of a volume type that has got another name, or removes them with the type.
pub(super) async fn move_limits(
    tx: &mut Transaction,
    volume_type: &str,
    new_name: Option<&str>,
) -> Result<(), db::Error> {
    let new_resources = new_name.map(resources_of_type);
    for (index, resource) in resources_of_type(volume_type).iter().enumerate() {
        let query = match &new_resources {
            None => tx.query("DELETE FROM quota_limits WHERE resource = $1").bind(resource),
            Some(new) => tx
                .query("UPDATE quota_limits SET resource = $2 WHERE resource = $1")
                .bind(resource)
                .bind(&new[index]),
        };
        query.execute().await?;
    }
    Ok(())
}
