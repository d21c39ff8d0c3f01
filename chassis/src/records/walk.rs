//! Records one after the other, and the resources of each.

use chrono::{DateTime, Utc};
use common::id::Id;

use super::{RecordFilter, Resources};
use crate::{
    db::{Db, Micros, QueryBuilder},
    scope::Scope,
};

/// Whose resources are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of<'a> {
    /// Those that have a record.
    Record(Id),
    /// Those of a project.
    Project(&'a str),
}

/// After which resource: its time of creation and its id.
pub type After = Option<(DateTime<Utc>, Id)>;

impl Resources {
    /// Completes the statement `select` on `records`: at most `limit` of those that match and that resources within
    /// `scope` have, by id and from `first` on.
    #[must_use]
    pub fn records_from(
        &self,
        db: &Db,
        select: &'static str,
        filter: &RecordFilter,
        (first, limit): (Id, i64),
        scope: &Scope,
    ) -> QueryBuilder {
        let mut query = db.builder(select);
        query.push("id >= ").push_bind(first);
        filter.push_conditions(&mut query, self.values, Some(first));
        query.push(" AND EXISTS (SELECT 1 FROM ").push(self.table);
        query.push(" listed WHERE listed.record_id = records.id");
        scope.push(&mut query);
        query.push(") ORDER BY id LIMIT ").push_bind(limit);
        query
    }
}

/// Completes the statement `select` on the table of resources: at most `limit` of those within `scope`, in the order of
/// their creation.
#[must_use]
pub fn resources_after(
    db: &Db,
    select: &'static str,
    of: Of<'_>,
    (after, limit): (After, i64),
    scope: &Scope,
) -> QueryBuilder {
    let mut query = db.builder(select);
    match of {
        Of::Record(id) => query.push("record_id = ").push_bind(id),
        Of::Project(id) => query.push("project_id = ").push_bind(id),
    };
    scope.push(&mut query);
    if let Some((time, id)) = after {
        query.push(" AND (create_time, id) > (").push_bind(Micros(time));
        query.push(", ").push_bind(id).push(")");
    }
    query.push(" ORDER BY create_time, id LIMIT ").push_bind(limit);
    query
}
