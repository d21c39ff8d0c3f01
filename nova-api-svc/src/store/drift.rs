//! Instances by their records, in order to find drift.

use std::sync::Arc;

use chassis::{
    db::Micros,
    page::{Key, Read},
};
use chrono::{DateTime, Utc};
use common::id::Id;

use super::{
    Store,
    instance::push_scope,
    record::{RECORDS, StoredRecord},
};
use crate::{
    error::Error,
    instance::{Record, Scope, State},
};

/// The records that are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// The image they are made from.
    pub image_id: Option<Id>,
    /// An entry of system metadata that they must have.
    pub entry: Option<(String, String)>,
}

/// An instance as a list of drift shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceSummary {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project_id: String,
    /// Its state.
    pub state: State,
    /// Its record.
    pub record_id: Id,
    /// When it was created.
    pub create_time: DateTime<Utc>,
}

const PLACE: &str = "SELECT id, name, project_id, state, record_id, create_time FROM instances WHERE ";

#[derive(sqlx::FromRow)]
struct PlaceRow {
    id: Id,
    name: String,
    project_id: String,
    state: String,
    record_id: Id,
    #[sqlx(try_from = "Micros")]
    create_time: DateTime<Utc>,
}

impl PlaceRow {
    fn place(self) -> Result<InstanceSummary, Error> {
        let state = State::from_name(&self.state).ok_or(Error::Corrupt(self.id))?;
        let Self { id, name, project_id, record_id, create_time, .. } = self;
        Ok(InstanceSummary { id, name, project_id, state, record_id, create_time })
    }
}

impl RecordFilter {
    /// Whether a record matches.
    #[must_use]
    pub fn holds(&self, record: &Record) -> bool {
        let has = |(key, value): &(String, String)| record.system_metadata.entries.get(key) == Some(value);
        self.image_id.is_none_or(|id| id == record.image_id) && self.entry.as_ref().is_none_or(has)
    }
}

impl Store {
    /// The next records of instances within `scope`, by id and from `first` on: at most `limit`, or fewer if they are
    /// large.
    pub async fn records_from(
        &self,
        wanted: &RecordFilter,
        first: Id,
        limit: i64,
        scope: &Scope,
    ) -> Result<Vec<Arc<Record>>, Error> {
        let mut query = self.db.builder(RECORDS);
        query.push("id >= ").push_bind(first);
        if let Some(image_id) = wanted.image_id {
            query.push(" AND image_id = ").push_bind(image_id);
        }
        if let Some((key, value)) = &wanted.entry {
            query.push(" AND id IN (SELECT e.record_id FROM record_entries e WHERE e.key = ").push_bind(key);
            query.push(" AND e.value = ").push_bind(value);
            query.push(" AND e.record_id >= ").push_bind(first).push(")");
        }
        query.push(" AND EXISTS (SELECT 1 FROM instances i WHERE i.record_id = records.id");
        push_scope(&mut query, scope);
        query.push(") ORDER BY id LIMIT ").push_bind(limit);
        let mut connection = self.db.reader().await?;
        let rows = Read::within(connection.query_as(query), StoredRecord::bytes).await?;
        rows.items.into_iter().map(StoredRecord::read).collect()
    }

    /// The next instances of a record within `scope` after `after`, in the order of their creation, at most `limit`.
    pub async fn instances_of_record(
        &self,
        record_id: Id,
        after: Option<(DateTime<Utc>, Id)>,
        limit: i64,
        scope: &Scope,
    ) -> Result<Vec<InstanceSummary>, Error> {
        self.places("record_id = ", &Key::Id(record_id), after, limit, scope).await
    }

    /// The next instances of a project within `scope` after `after`, in the order of their creation, at most `limit`.
    pub async fn instances_of_project(
        &self,
        project_id: &str,
        after: Option<(DateTime<Utc>, Id)>,
        limit: i64,
        scope: &Scope,
    ) -> Result<Vec<InstanceSummary>, Error> {
        self.places("project_id = ", &Key::Text(project_id.to_owned()), after, limit, scope).await
    }

    async fn places(
        &self,
        condition: &'static str,
        value: &Key,
        after: Option<(DateTime<Utc>, Id)>,
        limit: i64,
        scope: &Scope,
    ) -> Result<Vec<InstanceSummary>, Error> {
        let mut query = self.db.builder(PLACE);
        value.push_bind(query.push(condition));
        push_scope(&mut query, scope);
        if let Some((time, id)) = after {
            query.push(" AND (create_time, id) > (").push_bind(Micros(time));
            query.push(", ").push_bind(id).push(")");
        }
        query.push(" ORDER BY create_time, id LIMIT ").push_bind(limit);
        let rows: Vec<PlaceRow> = self.db.reader().await?.query_as(query).fetch_all().await?;
        rows.into_iter().map(PlaceRow::place).collect()
    }
}
