//! Lists of volumes. A page costs the same however many volumes there are.
//!
//! Volumes that share a record are in the index `volumes_by_record` in the order of their creation. Conditions on what
//! a volume remembers of its image are checked on the records; the page is then merged from the records that match.

use std::collections::BTreeMap;

use chassis::{
    db::{self, ByDialect, QueryBuilder},
    page::{Key, Page, Read},
    scope::Scope,
};

use super::{
    Store,
    volume::{ROWS, VolumeRow, push_scope},
};
use crate::{
    error::Error,
    list::{VolumeFilter, VolumeOrder},
    volume::Volume,
};

/// How many volumes are read, in the order of the list, before the records are: if many volumes match the filter, these
/// are enough.
const WALK: i64 = 1000;

/// The longest value that the index of entries holds as a whole, in characters.
const INDEXED: usize = 255;

impl Store {
    /// A page of volumes within `scope`, as far as it fits into an answer.
    pub async fn list_volumes(
        &self,
        filter: &VolumeFilter,
        page: &Page<VolumeOrder>,
        scope: &Scope,
    ) -> Result<Read<Volume>, Error> {
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

    /// The page in the order of an index of `volumes`.
    async fn list_plainly(
        &self,
        filter: &VolumeFilter,
        page: &Page<VolumeOrder>,
        scope: &Scope,
    ) -> Result<Vec<VolumeRow>, db::Error> {
        let mut query = self.db.builder(ROWS);
        query.push("id IN (SELECT id FROM volumes v WHERE ");
        push_conditions(&mut query, filter, page, scope);
        if filter.is_about_records() {
            query.push(" AND record_id IN (");
            push_records(&mut query, &filter.record_columns, &filter.image_properties);
            query.push(")");
        }
        page.push_end(&mut query);
        query.push(")");
        page.push_order(&mut query);
        self.db.reader().await?.query_as(query).fetch_all().await
    }

    /// Those of the next [`WALK`] volumes whose records match, up to a page.
    async fn walk(
        &self,
        filter: &VolumeFilter,
        page: &Page<VolumeOrder>,
        scope: &Scope,
    ) -> Result<Vec<VolumeRow>, db::Error> {
        let mut query = self.db.builder(ROWS);
        query.push("id IN (SELECT id FROM (SELECT id, record_id, create_time FROM volumes v WHERE ");
        push_conditions(&mut query, filter, page, scope);
        page.push_order(&mut query);
        query.push(" LIMIT ").push_bind(WALK).push(") AS walked WHERE TRUE");
        // Each record is looked up by its key: too many may match to list them.
        for (condition, value) in &filter.record_columns {
            query.push(" AND EXISTS (SELECT 1 FROM records WHERE records.id = record_id AND ");
            value.push_bind(query.push(condition));
            query.push(" LIMIT 1)");
        }
        for (key, value) in &filter.image_properties {
            query.push(" AND (SELECT e.value FROM record_entries e WHERE e.record_id = walked.record_id");
            query.push(" AND e.key = ").push_bind(key).push(") = ").push_bind(value);
        }
        page.push_end(&mut query);
        query.push(")");
        page.push_order(&mut query);
        self.db.reader().await?.query_as(query).fetch_all().await
    }

    /// The page merged from all records that match: a page's volumes are among the first ones of the records whose
    /// first volume comes first.
    async fn list_by_record(
        &self,
        filter: &VolumeFilter,
        page: &Page<VolumeOrder>,
        scope: &Scope,
    ) -> Result<Vec<VolumeRow>, db::Error> {
        let mut query = self.db.builder("WITH wanted AS (");
        push_records(&mut query, &filter.record_columns, &filter.image_properties);
        query.push("), first AS (SELECT id AS record_id, (SELECT v.id FROM volumes v WHERE record_id = ");
        query.push("wanted.id AND ");
        push_conditions(&mut query, filter, page, scope);
        page.push_order(&mut query);
        query.push(" LIMIT 1) AS id FROM wanted), foremost AS (SELECT record_id FROM (SELECT ");
        query.push("first.record_id, v.create_time, v.id FROM first JOIN volumes v ON v.id = first.id) AS f");
        page.push_end(&mut query);
        query.push(") ").push(ROWS).push("id IN (SELECT page.id FROM foremost ");
        query.push_by_dialect(ByDialect {
            sqlite: "JOIN volumes page ON page.id IN (SELECT id FROM volumes v WHERE v.record_id = ",
            postgres: "CROSS JOIN LATERAL (SELECT id, create_time FROM volumes v WHERE v.record_id = ",
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
fn is_merged(filter: &VolumeFilter, page: &Page<VolumeOrder>, scope: &Scope) -> bool {
    let by_time = page.order.keys().first().is_some_and(|(key, _)| *key == VolumeOrder::CreateTime);
    let by_id = page.order.keys().get(1).is_some_and(|(key, _)| *key == VolumeOrder::Id);
    by_time && by_id && filter.is_about_records() && !filter.names_a_project() && scope.project().is_none()
}

/// Adds the conditions on volumes, `v`: that they come after the previous page, and those of the filter.
fn push_conditions(query: &mut QueryBuilder, filter: &VolumeFilter, page: &Page<VolumeOrder>, scope: &Scope) {
    page.push_after(query);
    push_scope(query, scope);
    for (condition, value) in &filter.columns {
        query.push(" AND ");
        value.push_bind(query.push(condition));
    }
    if let Some(bootable) = filter.bootable {
        query.push(if bootable { " AND bootable" } else { " AND NOT bootable" });
    }
    if let Some(name) = &filter.volume_type {
        query.push(" AND volume_type_id IN (SELECT id FROM volume_types WHERE name = ").push_bind(name);
        if let Some(id) = filter.volume_type_id() {
            query.push(" OR id = ").push_bind(id);
        }
        query.push(")");
    }
    match filter.task_state {
        None => {}
        Some(None) => {
            query.push(" AND NOT EXISTS (SELECT 1 FROM volume_tasks t WHERE t.volume_id = v.id)");
        }
        Some(Some(state)) => {
            query.push(
                " AND EXISTS (SELECT 1 FROM volume_tasks t WHERE t.volume_id = v.id AND t.task_state = ",
            );
            query.push_bind(state.as_str()).push(")");
        }
    }
    if let Some(instance_id) = filter.instance_id {
        query.push(" AND v.id IN (SELECT a.volume_id FROM attachments a WHERE a.instance_id = ");
        query.push_bind(instance_id).push(")");
    }
    for (key, value) in &filter.metadata {
        query.push(" AND v.id IN (SELECT m.volume_id FROM volume_metadata m WHERE m.key = ");
        query.push_bind(key).push(" AND m.value = ").push_bind(value).push(")");
    }
}

/// Adds the statement that finds the ids of the records which match.
pub(super) fn push_records(
    query: &mut QueryBuilder,
    columns: &[(&'static str, Key)],
    image_properties: &BTreeMap<String, String>,
) {
    query.push("SELECT id FROM records WHERE TRUE");
    for (condition, value) in columns {
        query.push(" AND ");
        value.push_bind(query.push(condition));
    }
    for (key, value) in image_properties {
        query.push(" AND id IN (");
        push_entry(query, key, value);
        query.push(")");
    }
}

/// Adds the statement that finds the records which have a property with that value, in entries `e`.
pub(super) fn push_entry(query: &mut QueryBuilder, name: &str, value: &str) {
    query.push("SELECT e.record_id FROM record_entries e WHERE e.key = ").push_bind(name);
    let beginning: String = value.chars().take(INDEXED).collect();
    query.push(" AND substr(e.value, 1, 255) = ").push_bind(&beginning);
    // The index cannot tell values that begin alike.
    if value.chars().count() >= INDEXED {
        query.push(" AND e.value = ").push_bind(value);
    }
}

impl VolumeOrder {
    /// The volume's value of this sort key.
    #[must_use]
    pub fn key(self, volume: &Volume) -> Key {
        match self {
            Self::Name => Key::Text(volume.name.clone()),
            Self::Status => Key::Text(volume.status.as_str().to_owned()),
            Self::SizeGib => Key::Integer(volume.size_gib.into()),
            Self::Id => Key::Id(volume.id),
            Self::CreateTime => Key::Micros(volume.create_time),
            Self::UpdateTime => Key::Micros(volume.update_time),
        }
    }
}
