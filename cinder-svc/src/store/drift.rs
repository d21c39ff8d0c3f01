//! Volumes by their records, in order to find drift.

use std::sync::Arc;

use chassis::{
    db::Micros,
    page::{Key, Read},
    scope::Scope,
};
use chrono::{DateTime, Utc};
use common::id::Id;

use super::{
    Store,
    list::push_entry,
    record::{RECORDS_WHERE, StoredRecord},
    volume::push_scope,
};
use crate::{
    error::Error,
    volume::{Record, Status},
};

/// The records that are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// The image they were made from.
    pub image_id: Option<Id>,
    /// A property that they must have, and its value.
    pub property: Option<(String, String)>,
}

/// A volume as a list of drift shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeSummary {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project_id: String,
    /// Its status.
    pub status: Status,
    /// Its record.
    pub record_id: Id,
    /// When it was created.
    pub create_time: DateTime<Utc>,
}

const SUMMARY: &str = "SELECT id, name, project_id, status, record_id, create_time FROM volumes WHERE ";

#[derive(sqlx::FromRow)]
struct SummaryRow {
    id: Id,
    name: String,
    project_id: String,
    status: String,
    record_id: Id,
    #[sqlx(try_from = "Micros")]
    create_time: DateTime<Utc>,
}

impl SummaryRow {
    fn read(self) -> Result<VolumeSummary, Error> {
        let status = Status::from_name(&self.status).ok_or(Error::Corrupt(self.id))?;
        let Self { id, name, project_id, record_id, create_time, .. } = self;
        Ok(VolumeSummary { id, name, project_id, status, record_id, create_time })
    }
}

impl RecordFilter {
    /// Whether a record matches.
    #[must_use]
    pub fn holds(&self, record: &Record) -> bool {
        let image_id = record.metadata.image.as_ref().map(|image| image.id);
        let has = |(name, value): &(String, String)| record.metadata.properties.get(name) == Some(value);
        self.image_id.is_none_or(|id| Some(id) == image_id) && self.property.as_ref().is_none_or(has)
    }
}

impl Store {
    /// The next records of volumes within `scope` that were made from images, by id and from `first` on: at most `limit`,
    /// or fewer if they are large.
    pub async fn records_from(
        &self,
        wanted: &RecordFilter,
        first: Id,
        limit: i64,
        scope: &Scope,
    ) -> Result<Vec<Arc<Record>>, Error> {
        let mut query = self.db.builder(RECORDS_WHERE);
        query.push("id >= ").push_bind(first);
        match wanted.image_id {
            Some(image_id) => query.push(" AND image_id = ").push_bind(image_id),
            None => query.push(" AND image_id IS NOT NULL"),
        };
        if let Some((name, value)) = &wanted.property {
            query.push(" AND id IN (");
            push_entry(&mut query, name, value);
            query.push(" AND e.record_id >= ").push_bind(first).push(")");
        }
        query.push(" AND EXISTS (SELECT 1 FROM volumes v WHERE v.record_id = records.id");
        push_scope(&mut query, scope);
        query.push(") ORDER BY id LIMIT ").push_bind(limit);
        let mut connection = self.db.reader().await?;
        let rows = Read::within(connection.query_as(query), StoredRecord::bytes).await?;
        rows.items.into_iter().map(StoredRecord::read).collect()
    }

    /// The next volumes of a record within `scope` after `after`, in the order of their creation, at most `limit`.
    pub async fn volumes_of_record(
        &self,
        record_id: Id,
        after: Option<(DateTime<Utc>, Id)>,
        limit: i64,
        scope: &Scope,
    ) -> Result<Vec<VolumeSummary>, Error> {
        self.summaries("record_id = ", &Key::Id(record_id), after, limit, scope).await
    }

    /// The next volumes of a project within `scope` after `after`, in the order of their creation, at most `limit`.
    pub async fn volumes_of_project(
        &self,
        project_id: &str,
        after: Option<(DateTime<Utc>, Id)>,
        limit: i64,
        scope: &Scope,
    ) -> Result<Vec<VolumeSummary>, Error> {
        self.summaries("project_id = ", &Key::Text(project_id.to_owned()), after, limit, scope).await
    }

    async fn summaries(
        &self,
        condition: &'static str,
        value: &Key,
        after: Option<(DateTime<Utc>, Id)>,
        limit: i64,
        scope: &Scope,
    ) -> Result<Vec<VolumeSummary>, Error> {
        let mut query = self.db.builder(SUMMARY);
        value.push_bind(query.push(condition));
        push_scope(&mut query, scope);
        if let Some((time, id)) = after {
            query.push(" AND (create_time, id) > (").push_bind(Micros(time));
            query.push(", ").push_bind(id).push(")");
        }
        query.push(" ORDER BY create_time, id LIMIT ").push_bind(limit);
        let rows: Vec<SummaryRow> = self.db.reader().await?.query_as(query).fetch_all().await?;
        rows.into_iter().map(SummaryRow::read).collect()
    }
}
