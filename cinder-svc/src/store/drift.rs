//! Volumes by their records, in order to find drift.

use std::sync::Arc;

use chassis::{
    db::Micros,
    page::Read,
    records::{After, Of, RecordFilter, resources_after},
    scope::Scope,
};
use chrono::{DateTime, Utc};
use common::id::Id;

use super::{
    Store,
    list::VOLUMES,
    record::{RECORDS_OF_IMAGES, StoredRecord},
};
use crate::{
    error::Error,
    volume::{Record, Status},
};

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

impl Store {
    /// The next records of volumes within `scope` that were made from images, by id and from `first` on: at most `limit`, or fewer if they are
    /// large.
    pub async fn records_from(
        &self,
        wanted: &RecordFilter,
        first: Id,
        limit: i64,
        scope: &Scope,
    ) -> Result<Vec<Arc<Record>>, Error> {
        let query = VOLUMES.records_from(&self.db, RECORDS_OF_IMAGES, wanted, (first, limit), scope);
        let mut connection = self.db.reader().await?;
        let rows = Read::within(connection.query_as(query), StoredRecord::bytes).await?;
        rows.items.into_iter().map(StoredRecord::read).collect()
    }

    /// The next volumes within `scope` after `after`, in the order of their creation, at most `limit`.
    pub async fn volume_summaries(
        &self,
        of: Of<'_>,
        after: After,
        limit: i64,
        scope: &Scope,
    ) -> Result<Vec<VolumeSummary>, Error> {
        let query = resources_after(&self.db, SUMMARY, of, (after, limit), scope);
        let rows: Vec<SummaryRow> = self.db.reader().await?.query_as(query).fetch_all().await?;
        rows.into_iter().map(SummaryRow::read).collect()
    }
}
