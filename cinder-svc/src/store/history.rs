//! The history of volumes: what each was at each revision.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chassis::{
    caller::Actor,
    db::{self, ByDialect, Micros, QueryBuilder, Transaction, json},
    page::{MAX_BYTES, Page, Read},
    scope::Scope,
    turns::Request,
};
use chrono::{DateTime, Utc};
use common::id::Id;
use sqlx::types::Json;

use super::{Store, change::Entry};
use crate::{
    error::Error,
    list::HistoryOrder,
    volume::{
        Operation, Record, Status, Step, Volume,
        history::{Attributes, PastVolume, VolumeChange, changes},
    },
};

const ENTRY: &str = "SELECT volume_id, revision, create_time, user_id, project_id, operation, step, status, attributes, \
     record_id, image_id, image_problem, left_out, message, request_id, fingerprint \
     FROM volume_history WHERE volume_id = ";

const INSERT: ByDialect = ByDialect {
    sqlite: "INSERT INTO volume_history (volume_id, revision, create_time, user_id, project_id, operation, step, status, \
         owner, attributes, record_id, image_id, left_out, message, request_id, fingerprint) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    postgres: "INSERT INTO volume_history (volume_id, revision, create_time, user_id, project_id, operation, step, status, \
         owner, attributes, record_id, image_id, left_out, message, request_id, fingerprint) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::json, $11, $12, $13::json, $14, $15, $16)",
};

/// Number of entries whose records are read at once: a record may have some 1.5 MB.
const STEP: usize = 4;

/// A change of a volume as recorded in its history.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// The revision of the volume that it made.
    pub revision: i64,
    /// What was done, by whom and when.
    pub entry: Entry,
    /// The statuses before and after.
    pub statuses: (Option<Status>, Option<Status>),
    /// What changed: attributes, then metadata, then image properties.
    pub changes: Vec<VolumeChange>,
}

/// What an earlier attempt of a request did.
#[derive(Debug, Clone)]
pub struct EarlierAttempt {
    /// The revision of the volume that it made.
    pub revision: i64,
    /// What was done.
    pub entry: Entry,
}

#[derive(sqlx::FromRow)]
struct HistoryRow {
    volume_id: Id,
    revision: i64,
    #[sqlx(try_from = "Micros")]
    create_time: DateTime<Utc>,
    user_id: String,
    project_id: String,
    operation: String,
    step: String,
    status: Option<String>,
    attributes: Json<Attributes>,
    record_id: Option<Id>,
    image_id: Option<Id>,
    image_problem: Option<String>,
    left_out: Option<Json<Vec<String>>>,
    message: String,
    request_id: Option<String>,
    fingerprint: Option<String>,
}

impl HistoryRow {
    fn entry(&self) -> Result<Entry, Error> {
        let corrupt = || Error::Corrupt(self.volume_id);
        let request = self.request_id.clone().zip(self.fingerprint.clone());
        Ok(Entry {
            operation: Operation::from_name(&self.operation).ok_or_else(corrupt)?,
            step: Step::from_name(&self.step).ok_or_else(corrupt)?,
            actor: Actor { user_id: self.user_id.clone(), project_id: self.project_id.clone() },
            time: self.create_time,
            image_id: self.image_id,
            image_problem: self.image_problem.clone(),
            left_out: self.left_out.as_ref().map(|names| names.0.clone()).unwrap_or_default(),
            message: self.message.clone(),
            request: request.map(|(id, fingerprint)| Request { id, fingerprint }),
        })
    }

    fn status(&self) -> Option<Status> {
        Status::from_name(self.status.as_deref()?)
    }

    /// The volume at that revision; `None` once it was gone.
    fn past(&self, records: &HashMap<Id, Arc<Record>>) -> Result<Option<PastVolume>, Error> {
        let Some(status) = self.status() else { return Ok(None) };
        let record = self.record_id.and_then(|id| records.get(&id)).ok_or(Error::Corrupt(self.volume_id))?;
        let attributes = self.attributes.0.clone();
        Ok(Some(PastVolume { attributes, status, record: Arc::clone(record) }))
    }

    /// The entry, given the one before it.
    fn read(&self, before: Option<&Self>, records: &HashMap<Id, Arc<Record>>) -> Result<HistoryEntry, Error> {
        let old = before.map(|row| row.past(records)).transpose()?.flatten();
        let changes = self.past(records)?.map(|new| changes(old.as_ref(), &new)).unwrap_or_default();
        let statuses = (old.map(|old| old.status), self.status());
        Ok(HistoryEntry { revision: self.revision, entry: self.entry()?, statuses, changes })
    }
}

impl HistoryEntry {
    /// The creation of a volume that has not been changed since.
    #[must_use]
    pub fn creation(volume: &Volume) -> Self {
        let past = PastVolume {
            attributes: Attributes::from(volume),
            status: volume.status,
            record: Arc::clone(&volume.record),
        };
        Self {
            revision: 1,
            entry: Entry::creation(volume),
            statuses: (None, Some(volume.status)),
            changes: changes(None, &past),
        }
    }
}

/// Adds the condition that a volume belonged to a project within `scope` at the revision of an entry.
fn push_owner(query: &mut QueryBuilder, scope: &Scope) {
    if let Some(project) = scope.project() {
        query.push(" AND owner = ").push_bind(project);
    }
}

impl Store {
    /// A page of the history of a volume, as far as it was within `scope` at the time; empty if it was never changed. The
    /// page ends when the records that are read for it reach the size limit of an answer.
    pub async fn history(
        &self,
        id: Id,
        page: &Page<HistoryOrder>,
        scope: &Scope,
    ) -> Result<Read<HistoryEntry>, Error> {
        let mut query = self.db.builder(ENTRY);
        query.push_bind(id);
        push_owner(&mut query, scope);
        query.push(" AND ");
        page.push_after(&mut query);
        page.push_end(&mut query);
        let mut rows: Vec<HistoryRow> = self.db.reader().await?.query_as(query).fetch_all().await?;
        let count = rows.len();
        if let Some(last) = rows.last().filter(|last| last.revision > 1) {
            rows.extend(self.history_row(id, last.revision - 1).await?);
        }
        let (mut items, mut bytes) = (Vec::with_capacity(count), 0);
        for start in (0..count).step_by(STEP) {
            if bytes > MAX_BYTES {
                return Ok(Read { items, is_cut: true });
            }
            let end = (start + STEP).min(count);
            let step = &rows[start..(end + 1).min(rows.len())];
            let named: BTreeSet<_> = step.iter().filter_map(|row| row.record_id).collect();
            let records = self.records(named.into_iter().collect()).await?;
            bytes += records.values().map(|record| record.bytes()).sum::<usize>();
            for (index, row) in step.iter().take(end - start).enumerate() {
                items.push(row.read(step.get(index + 1), &records)?);
            }
        }
        Ok(items.into())
    }

    async fn history_row(&self, id: Id, revision: i64) -> Result<Option<HistoryRow>, db::Error> {
        let mut query = self.db.builder(ENTRY);
        query.push_bind(id).push(" AND revision = ").push_bind(revision);
        self.db.reader().await?.query_as(query).fetch_optional().await
    }

    /// A volume as it was at a revision, with when it became so, if it was within `scope` then.
    pub async fn volume_at(
        &self,
        id: Id,
        revision: i64,
        scope: &Scope,
    ) -> Result<Option<(PastVolume, DateTime<Utc>)>, Error> {
        let mut query = self.db.builder(ENTRY);
        query.push_bind(id).push(" AND revision = ").push_bind(revision);
        push_owner(&mut query, scope);
        let row: Option<HistoryRow> = self.db.reader().await?.query_as(query).fetch_optional().await?;
        let Some(row) = row else { return Ok(None) };
        let records = self.records(row.record_id.into_iter().collect()).await?;
        Ok(row.past(&records)?.map(|past| (past, row.create_time)))
    }

    /// What a request with this id did with a volume within `scope`.
    pub async fn earlier(
        &self,
        id: Id,
        request_id: &str,
        scope: &Scope,
    ) -> Result<Option<EarlierAttempt>, Error> {
        let mut query = self.db.builder(ENTRY);
        query.push_bind(id).push(" AND request_id = ").push_bind(request_id);
        push_owner(&mut query, scope);
        let row: Option<HistoryRow> = self.db.reader().await?.query_as(query).fetch_optional().await?;
        row.map(|row| Ok(EarlierAttempt { revision: row.revision, entry: row.entry()? })).transpose()
    }
}

/// Adds an entry: `volume` as it is at `revision`, with `status`, which is `None` once it is gone.
pub(super) async fn insert_history(
    tx: &mut Transaction,
    volume: &Volume,
    (revision, status): (i64, Option<Status>),
    entry: &Entry,
) -> Result<(), db::Error> {
    let left_out = (!entry.left_out.is_empty()).then(|| json(&entry.left_out));
    tx.query(INSERT)
        .bind(volume.id)
        .bind(revision)
        .bind(Micros(entry.time))
        .bind(&entry.actor.user_id)
        .bind(&entry.actor.project_id)
        .bind(entry.operation.as_str())
        .bind(entry.step.as_str())
        .bind(status.map(Status::as_str))
        .bind(&volume.project_id)
        .bind(json(&Attributes::from(volume)))
        .bind(volume.record.id)
        .bind(entry.image_id)
        .bind(left_out)
        .bind(&entry.message)
        .bind(entry.request.as_ref().map(|request| &request.id))
        .bind(entry.request.as_ref().map(|request| &request.fingerprint))
        .execute()
        .await?;
    Ok(())
}
