//! Lists of instances. A page costs the same however many instances there are.
//!
//! Instances that share a record are in the index `instances_by_record` in the order of their creation. Conditions on what
//! an instance was made from are checked on the records; the page is then merged from the records that match.

use chassis::{
    db::{self, ByDialect, QueryBuilder},
    page::{Key, Page, Read},
};

use super::{
    Store,
    instance::{InstanceRow, ROWS, push_scope},
};
use crate::{
    error::Error,
    instance::{Instance, Scope},
    list::{InstanceFilter, InstanceOrder},
};

/// How many instances are read, in the order of the list, before the records are: if many instances match the filter,
/// these are enough.
const WALK: i64 = 1000;

impl Store {
    /// A page of instances within `scope`, as far as it fits into an answer: one statement, or a second one if the first
    /// finds too few, plus what they share.
    pub async fn list_instances(
        &self,
        filter: &InstanceFilter,
        page: &Page<InstanceOrder>,
        scope: &Scope,
    ) -> Result<Read<Instance>, Error> {
        let rows = if !is_merged(filter, page, scope) {
            self.list_plainly(filter, page, scope).await?
        } else if filter.names_an_image() {
            self.list_by_record(filter, page, scope).await?
        } else {
            match self.walk(filter, page, scope).await? {
                full if full.len() > page.size => full,
                _ => self.list_by_record(filter, page, scope).await?,
            }
        };
        self.complete_page(rows).await
    }

    /// The page in the order of an index of `instances`.
    async fn list_plainly(
        &self,
        filter: &InstanceFilter,
        page: &Page<InstanceOrder>,
        scope: &Scope,
    ) -> Result<Vec<InstanceRow>, db::Error> {
        // The page is found by its ids, so that records and metadata are read only for its instances.
        let mut query = self.db.builder(ROWS);
        query.push("id IN (SELECT id FROM instances WHERE ");
        push_conditions(&mut query, filter, page, scope);
        if filter.is_about_records() {
            query.push(" AND record_id IN (");
            push_records(&mut query, filter);
            query.push(")");
        }
        page.push_end(&mut query);
        query.push(")");
        page.push_order(&mut query);
        self.db.reader().await?.query_as(query).fetch_all().await
    }

    /// Those of the next [`WALK`] instances whose records match, up to a page.
    async fn walk(
        &self,
        filter: &InstanceFilter,
        page: &Page<InstanceOrder>,
        scope: &Scope,
    ) -> Result<Vec<InstanceRow>, db::Error> {
        let mut query = self.db.builder(ROWS);
        query.push("id IN (SELECT id FROM (SELECT id, record_id, create_time FROM instances WHERE ");
        push_conditions(&mut query, filter, page, scope);
        page.push_order(&mut query);
        query.push(" LIMIT ").push_bind(WALK).push(") AS walked WHERE TRUE");
        // Each record is looked up by its key: too many may match to list them.
        for (condition, value) in &filter.record_columns {
            query.push(" AND EXISTS (SELECT 1 FROM records WHERE records.id = record_id AND ");
            value.push_bind(query.push(condition));
            query.push(" LIMIT 1)");
        }
        for (key, value) in &filter.system_metadata {
            query.push(" AND (SELECT e.value FROM record_entries e WHERE e.record_id = walked.record_id");
            query.push(" AND e.key = ").push_bind(key).push(") = ").push_bind(value);
        }
        page.push_end(&mut query);
        query.push(")");
        page.push_order(&mut query);
        self.db.reader().await?.query_as(query).fetch_all().await
    }

    /// The page merged from all records that match: a page's instances are among the first ones of the records whose
    /// first instance comes first.
    async fn list_by_record(
        &self,
        filter: &InstanceFilter,
        page: &Page<InstanceOrder>,
        scope: &Scope,
    ) -> Result<Vec<InstanceRow>, db::Error> {
        let mut query = self.db.builder("WITH wanted AS (");
        push_records(&mut query, filter);
        query.push("), first AS (SELECT id AS record_id, (SELECT i.id FROM instances i WHERE record_id = ");
        query.push("wanted.id AND ");
        push_conditions(&mut query, filter, page, scope);
        page.push_order(&mut query);
        query.push(" LIMIT 1) AS id FROM wanted), foremost AS (SELECT record_id FROM (SELECT ");
        query.push(
            "first.record_id, i.create_time, i.id FROM first JOIN instances i ON i.id = first.id) AS f",
        );
        page.push_end(&mut query);
        query.push(") ").push(ROWS).push("id IN (SELECT page.id FROM foremost ");
        query.push_by_dialect(ByDialect {
            sqlite: "JOIN instances page ON page.id IN (SELECT id FROM instances i WHERE i.record_id = ",
            postgres: "CROSS JOIN LATERAL (SELECT id, create_time FROM instances i WHERE i.record_id = ",
        });
        query.push("foremost.record_id AND ");
        push_conditions(&mut query, filter, page, scope);
        page.push_end(&mut query);
        query.push_by_dialect(ByDialect { sqlite: ")", postgres: ") AS page" });
        page.push_end(&mut query);
        query.push(")");
        page.push_order(&mut query);
        self.db.reader().await?.query_as(query).fetch_all().await
    }
}

/// Whether the page is merged from the records that match, which is possible only in the order of creation.
fn is_merged(filter: &InstanceFilter, page: &Page<InstanceOrder>, scope: &Scope) -> bool {
    let by_time = page.order.keys().first().is_some_and(|(key, _)| *key == InstanceOrder::CreateTime);
    let by_id = page.order.keys().get(1).is_some_and(|(key, _)| *key == InstanceOrder::Id);
    by_time && by_id && filter.is_about_records() && !filter.names_a_group() && scope.project().is_none()
}

/// Adds the conditions on instances: that they come after the previous page, and those of the filter.
fn push_conditions(
    query: &mut QueryBuilder,
    filter: &InstanceFilter,
    page: &Page<InstanceOrder>,
    scope: &Scope,
) {
    page.push_after(query);
    push_all(query, &filter.columns);
    push_scope(query, scope);
}

/// Adds the query of the records that match.
fn push_records(query: &mut QueryBuilder, filter: &InstanceFilter) {
    query.push("SELECT id FROM records WHERE TRUE");
    push_all(query, &filter.record_columns);
    for (key, value) in &filter.system_metadata {
        query.push(" AND id IN (SELECT record_id FROM record_entries WHERE key = ").push_bind(key);
        query.push(" AND value = ").push_bind(value).push(")");
    }
}

fn push_all(query: &mut QueryBuilder, conditions: &[(&'static str, Key)]) {
    for (condition, value) in conditions {
        query.push(" AND ").push(condition);
        value.push_bind(query);
    }
}
