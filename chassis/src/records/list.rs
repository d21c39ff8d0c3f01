//! Lists of resources that have records. A page costs the same however many resources there are.
//!
//! Resources that share a record are in an index in the order of their creation. Conditions on records are checked on
//! the records; the page is then merged from the records that match.

use super::{RecordFilter, Resources};
use crate::{
    db::{self, ByDialect, Db, FromRow, QueryBuilder},
    page::{Page, SortKey},
    scope::Scope,
};

/// How many resources are read, in the order of the list, before the records are: if many resources match the filter,
/// these are enough.
const WALK: i64 = 1000;

/// A page of a list.
#[derive(Debug)]
pub struct List<'a, K, C> {
    /// Where the resources are.
    pub resources: &'static Resources,
    /// Which of them the caller sees.
    pub scope: &'a Scope,
    /// Adds further conditions on the resources, which the statement calls `listed`, each with ` AND ` in front of it.
    pub conditions: C,
    /// Whether those conditions name a group of resources, such as a project, that an index has in the order of their
    /// creation.
    pub names_a_group: bool,
    /// Conditions on the records of the resources.
    pub records: &'a RecordFilter,
    /// The page.
    pub page: &'a Page<K>,
}

impl<K: SortKey + Sync, C: Fn(&mut QueryBuilder) + Sync> List<'_, K, C> {
    /// The rows of the page and of one more resource, as [`Page::finish`] needs them.
    pub async fn read<R: FromRow>(&self, db: &Db) -> Result<Vec<R>, db::Error> {
        if !self.is_merged() {
            return fetch(db, self.plainly(db)).await;
        }
        if !self.records.names_an_image() {
            let walked = fetch(db, self.walk(db)).await?;
            if walked.len() > self.page.size {
                return Ok(walked);
            }
        }
        fetch(db, self.by_record(db)).await
    }

    /// Whether the page is merged from the records that match, which is possible only in the order of creation.
    fn is_merged(&self) -> bool {
        let order = self.page.order.keys().iter().map(|(key, _)| key.column());
        let is_by_creation = order.take(2).eq(["create_time", "id"]);
        is_by_creation && !self.records.is_empty() && !self.names_a_group && self.scope.project().is_none()
    }

    /// The page in the order of an index of the resources. It is found by its ids, so that what is large is read only for
    /// its resources.
    fn plainly(&self, db: &Db) -> QueryBuilder {
        let Resources { table, rows, values } = *self.resources;
        let mut query = db.builder(rows);
        query.push("id IN (SELECT id FROM ").push(table).push(" listed WHERE ");
        self.push_conditions(&mut query);
        if !self.records.is_empty() {
            query.push(" AND record_id IN (");
            self.records.push_ids(&mut query, values);
            query.push(")");
        }
        self.page.push_end(&mut query);
        query.push(")");
        self.page.push_order(&mut query);
        query
    }

    /// Those of the next [`WALK`] resources whose records match, up to a page.
    fn walk(&self, db: &Db) -> QueryBuilder {
        let Resources { table, rows, .. } = *self.resources;
        let mut query = db.builder(rows);
        query.push("id IN (SELECT id FROM (SELECT id, record_id, create_time FROM ");
        query.push(table).push(" listed WHERE ");
        self.push_conditions(&mut query);
        self.page.push_order(&mut query);
        query.push(" LIMIT ").push_bind(WALK).push(") AS walked WHERE TRUE");
        // Each record is looked up by its key: too many may match to list them.
        for (condition, value) in &self.records.columns {
            query.push(" AND EXISTS (SELECT 1 FROM records WHERE records.id = record_id AND ");
            value.push_bind(query.push(condition));
            query.push(" LIMIT 1)");
        }
        for (key, value) in &self.records.entries {
            query.push(" AND (SELECT e.value FROM record_entries e WHERE e.record_id = walked.record_id");
            query.push(" AND e.key = ").push_bind(key).push(") = ").push_bind(value);
        }
        self.page.push_end(&mut query);
        query.push(")");
        self.page.push_order(&mut query);
        query
    }

    /// The page merged from all records that match: a page's resources are among the first ones of the records whose
    /// first resource comes first.
    fn by_record(&self, db: &Db) -> QueryBuilder {
        let Resources { table, rows, values } = *self.resources;
        let mut query = db.builder("WITH wanted AS (");
        self.records.push_ids(&mut query, values);
        query.push("), first AS (SELECT id AS record_id, (SELECT listed.id FROM ").push(table);
        query.push(" listed WHERE record_id = wanted.id AND ");
        self.push_conditions(&mut query);
        self.page.push_order(&mut query);
        query.push(
            " LIMIT 1) AS id FROM wanted), foremost AS (SELECT record_id FROM (SELECT first.record_id, ",
        );
        query.push("listed.create_time, listed.id FROM first JOIN ").push(table);
        query.push(" listed ON listed.id = first.id) AS f");
        self.page.push_end(&mut query);
        query.push(") ").push(rows).push("id IN (SELECT page.id FROM foremost ");
        let (sqlite, postgres) = ("JOIN ", "CROSS JOIN LATERAL (SELECT id, create_time FROM ");
        query.push_by_dialect(ByDialect { sqlite, postgres }).push(table);
        let sqlite = " page ON page.id IN (SELECT id FROM ";
        query.push_by_dialect(ByDialect { sqlite, postgres: "" });
        query.push_by_dialect(ByDialect { sqlite: table, postgres: "" });
        query.push(" listed WHERE listed.record_id = foremost.record_id AND ");
        self.push_conditions(&mut query);
        self.page.push_end(&mut query);
        query.push_by_dialect(ByDialect { sqlite: ")", postgres: ") AS page" });
        self.page.push_end(&mut query);
        query.push(")");
        self.page.push_order(&mut query);
        query
    }

    /// Adds the conditions on the resources: that they come after the previous page, and all others.
    fn push_conditions(&self, query: &mut QueryBuilder) {
        self.page.push_after(query);
        self.scope.push(query);
        (self.conditions)(query);
    }
}

async fn fetch<R: FromRow>(db: &Db, query: QueryBuilder) -> Result<Vec<R>, db::Error> {
    db.reader().await?.query_as(query).fetch_all().await
}
