//! Instances by their records, in order to find drift.

use std::sync::Arc;

use chassis::{
    db::Micros,
    page::Read,
    records::{After, Of, RecordFilter, resources_after},
};
use chrono::{DateTime, Utc};
use common::id::Id;

use super::{
    Store,
    list::INSTANCES,
    record::{RECORDS, StoredRecord},
};
use crate::{
    error::Error,
    instance::{Record, Scope, State},
};

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

const SUMMARY: &str = "SELECT id, name, project_id, state, record_id, create_time FROM instances WHERE ";

#[derive(sqlx::FromRow)]
struct SummaryRow {
    id: Id,
    name: String,
    project_id: String,
    state: String,
    record_id: Id,
    #[sqlx(try_from = "Micros")]
    create_time: DateTime<Utc>,
}

impl SummaryRow {
    fn read(self) -> Result<InstanceSummary, Error> {
        let state = State::from_name(&self.state).ok_or(Error::Corrupt(self.id))?;
        let Self { id, name, project_id, record_id, create_time, .. } = self;
        Ok(InstanceSummary { id, name, project_id, state, record_id, create_time })
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
        let query = INSTANCES.records_from(&self.db, RECORDS, wanted, (first, limit), scope);
        let mut connection = self.db.reader().await?;
        let rows = Read::within(connection.query_as(query), StoredRecord::bytes).await?;
        rows.items.into_iter().map(StoredRecord::read).collect()
    }

    /// The next instances within `scope` after `after`, in the order of their creation, at most `limit`.
    pub async fn instance_summaries(
        &self,
        of: Of<'_>,
        after: After,
        limit: i64,
        scope: &Scope,
    ) -> Result<Vec<InstanceSummary>, Error> {
        let query = resources_after(&self.db, SUMMARY, of, (after, limit), scope);
        let rows: Vec<SummaryRow> = self.db.reader().await?.query_as(query).fetch_all().await?;
        rows.into_iter().map(SummaryRow::read).collect()
    }
}
