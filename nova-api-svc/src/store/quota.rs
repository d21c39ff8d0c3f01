//! What projects use.

use chassis::db::{self, Connection};

use super::Store;
use crate::{
    error::Error,
    quota::{Quota, Usage},
};

/// What the project `$1` uses. From the beginning of a resize until it is confirmed or reverted, the larger of both
/// flavors counts, since either may be needed.
const USAGE: &str = "SELECT COUNT(*) AS instances, \
     CAST(COALESCE(SUM(CASE WHEN other.vcpus > own.vcpus THEN other.vcpus ELSE own.vcpus END), 0) AS BIGINT) \
     AS cores, CAST(COALESCE(SUM(CASE WHEN other.memory_mb > own.memory_mb THEN other.memory_mb \
     ELSE own.memory_mb END), 0) AS BIGINT) AS ram_mb \
     FROM instances JOIN records AS own ON own.id = instances.record_id \
     LEFT JOIN instance_tasks AS task ON task.instance_id = instances.id \
     LEFT JOIN records AS other ON other.id = CASE WHEN task.operation = 'resize' \
     THEN COALESCE(task.target_record_id, task.former_record_id) ELSE task.former_record_id END \
     WHERE instances.project_id = $1";

impl Store {
    /// What `project_id` uses, if anything is limited.
    pub async fn usage(&self, project_id: &str, quota: &Quota) -> Result<Usage, Error> {
        if !quota.is_limited() {
            return Ok(Usage::default());
        }
        Ok(usage(&mut self.db.reader().await?, project_id).await?)
    }
}

/// What a project uses.
pub(super) async fn usage(connection: &mut Connection, project_id: &str) -> Result<Usage, db::Error> {
    connection.query_as(USAGE).bind(project_id).fetch_one().await
}
