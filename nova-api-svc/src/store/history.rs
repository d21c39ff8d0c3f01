//! The history of instances.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chassis::{
    caller::Actor,
    db::{self, QueryBuilder, Transaction},
    page::{MAX_BYTES, Page, Read},
    turns::Request,
};
use chrono::{DateTime, Utc};
use common::id::Id;

use super::{
    Store,
    change::{Entry, creation},
    registration::Registration,
};
use crate::{
    error::Error,
    instance::{Instance, Operation, Record, Scope, State, Step},
    list::HistoryOrder,
};

const ENTRY: &str = "SELECT instance_id, revision, create_time, user_id, project_id, operation, step, old_state, \
     new_state, old_record_id, new_record_id, image_id, volume_id, message, request_id, fingerprint, \
     image_problem, refusal_cause, volume_snapshots, truncated_properties FROM instance_history WHERE instance_id = ";

/// Number of entries whose records are read at once: a record may have some 300 kB.
const STEP: usize = 16;

/// A change of an instance as recorded in its history.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// The revision of the instance that it made.
    pub revision: i64,
    /// What was done, by whom and when.
    pub entry: Entry,
    /// The states before and after.
    pub states: (Option<State>, Option<State>),
    /// The records before and after.
    pub records: (Option<Arc<Record>>, Option<Arc<Record>>),
    /// The outcome of the image that it was to make.
    pub registration: Registration,
}

/// A change as it is written to the history.
pub(super) struct NewEntry<'a> {
    pub(super) instance_id: Id,
    pub(super) revision: i64,
    pub(super) entry: &'a Entry,
    pub(super) states: (Option<State>, Option<State>),
    pub(super) records: (Option<Id>, Option<Id>),
}

/// What an earlier attempt of a request did.
#[derive(Debug, Clone)]
pub struct EarlierAttempt {
    /// The revision of the instance that it made.
    pub revision: i64,
    /// What was done.
    pub entry: Entry,
}

#[derive(sqlx::FromRow)]
struct HistoryRow {
    instance_id: Id,
    revision: i64,
    create_time: DateTime<Utc>,
    user_id: String,
    project_id: String,
    operation: String,
    step: String,
    old_state: Option<String>,
    new_state: Option<String>,
    old_record_id: Option<Id>,
    new_record_id: Option<Id>,
    image_id: Option<Id>,
    volume_id: Option<Id>,
    message: String,
    request_id: Option<String>,
    fingerprint: Option<String>,
    image_problem: Option<String>,
    refusal_cause: Option<String>,
    volume_snapshots: Option<String>,
    truncated_properties: Option<String>,
}

impl HistoryRow {
    fn entry(&self) -> Option<Entry> {
        Some(Entry {
            operation: Operation::from_name(&self.operation)?,
            step: Step::from_name(&self.step)?,
            actor: Actor { user_id: self.user_id.clone(), project_id: self.project_id.clone() },
            time: self.create_time,
            image_id: self.image_id,
            volume_id: self.volume_id,
            message: self.message.clone(),
            request: self
                .request_id
                .clone()
                .zip(self.fingerprint.clone())
                .map(|(id, fingerprint)| Request { id, fingerprint }),
        })
    }

    fn registration(&self) -> Option<Registration> {
        let columns =
            [&self.image_problem, &self.refusal_cause, &self.volume_snapshots, &self.truncated_properties];
        Registration::read(columns.map(Option::as_ref))
    }

    fn states(&self) -> (Option<State>, Option<State>) {
        let state = |name: &Option<String>| State::from_name(name.as_deref()?);
        (state(&self.old_state), state(&self.new_state))
    }
}

impl HistoryRow {
    /// The entry, with its records.
    fn past(&self, records: &HashMap<Id, Arc<Record>>) -> Result<HistoryEntry, Error> {
        let record = |id: Option<Id>| id.and_then(|id| records.get(&id).cloned());
        Ok(HistoryEntry {
            revision: self.revision,
            entry: self.entry().ok_or(Error::Corrupt(self.instance_id))?,
            states: self.states(),
            records: (record(self.old_record_id), record(self.new_record_id)),
            registration: self.registration().ok_or(Error::Corrupt(self.instance_id))?,
        })
    }
}

impl<'a> NewEntry<'a> {
    /// The creation of an instance, described by `entry`.
    pub(super) fn creation(instance: &Instance, entry: &'a Entry) -> Self {
        Self {
            instance_id: instance.id,
            revision: instance.revision,
            entry,
            states: (None, Some(instance.state)),
            records: (None, Some(instance.record.id)),
        }
    }
}

impl HistoryEntry {
    /// The creation of an instance that has not been changed since.
    #[must_use]
    pub fn creation(instance: &Instance) -> Self {
        Self {
            revision: 1,
            entry: creation(instance),
            states: (None, Some(instance.state)),
            records: (None, Some(Arc::clone(&instance.record))),
            registration: Registration::default(),
        }
    }
}

/// Adds the condition that the instance with that id is within `scope`, or was: its first entry has its project.
fn push_scope(query: &mut QueryBuilder, id: Id, scope: &Scope) {
    if let Some(project) = scope.project() {
        query.push(" AND ").push_bind(project.to_owned());
        query.push(" IN (SELECT first.project_id FROM instance_history first WHERE first.instance_id = ");
        query.push_bind(id).push(" AND first.revision = 1)");
    }
}

impl Store {
    /// A page of the history of an instance within `scope`; empty if it was never changed. The differences are found by
    /// reading records, and the page ends when these reach the size limit of an answer.
    pub async fn history(
        &self,
        id: Id,
        page: &Page<HistoryOrder>,
        scope: &Scope,
    ) -> Result<Read<HistoryEntry>, Error> {
        let mut query = self.db.builder(ENTRY);
        query.push_bind(id);
        push_scope(&mut query, id, scope);
        query.push(" AND ");
        page.push_after(&mut query);
        page.push_end(&mut query);
        let rows: Vec<HistoryRow> = self.db.reader().await?.query_as(query).fetch_all().await?;
        let (mut items, mut bytes) = (Vec::with_capacity(rows.len()), 0);
        for step in rows.chunks(STEP) {
            if bytes > MAX_BYTES {
                return Ok(Read { items, is_cut: true });
            }
            let named = step.iter().flat_map(|row| [row.old_record_id, row.new_record_id]).flatten();
            let records = self.records(named.collect::<BTreeSet<_>>().into_iter().collect()).await?;
            bytes += records.values().map(|record| record.bytes()).sum::<usize>();
            for row in step {
                items.push(row.past(&records)?);
            }
        }
        Ok(items.into())
    }

    /// What a request with this id did with an instance within `scope`.
    pub async fn earlier(
        &self,
        id: Id,
        request_id: &str,
        scope: &Scope,
    ) -> Result<Option<EarlierAttempt>, Error> {
        let mut query = self.db.builder(ENTRY);
        query.push_bind(id).push(" AND request_id = ").push_bind(request_id);
        push_scope(&mut query, id, scope);
        let row: Option<HistoryRow> = self.db.reader().await?.query_as(query).fetch_optional().await?;
        let earlier = |row: HistoryRow| Some(EarlierAttempt { revision: row.revision, entry: row.entry()? });
        row.map(|row| earlier(row).ok_or(Error::Corrupt(id))).transpose()
    }

    /// Why the rebuild that an instance within `scope` began at a revision has left its root volume as it was, if it has.
    pub async fn reimage_failure(
        &self,
        id: Id,
        revision: i64,
        scope: &Scope,
    ) -> Result<Option<String>, Error> {
        let mut query = self.db.builder(ENTRY);
        query.push_bind(id).push(" AND revision > ").push_bind(revision);
        query.push(" AND operation = ").push_bind(Operation::Rebuild.as_str());
        push_scope(&mut query, id, scope);
        query.push(" ORDER BY revision LIMIT 1");
        let row: Option<HistoryRow> = self.db.reader().await?.query_as(query).fetch_optional().await?;
        let failed = row.filter(|row| row.step == Step::Failed.as_str() && row.volume_id.is_some());
        Ok(failed.map(|row| row.message))
    }

    /// The outcome of the image that a revision of an instance within `scope` was to make.
    pub async fn registration(&self, id: Id, revision: i64, scope: &Scope) -> Result<Registration, Error> {
        let mut query = self.db.builder(ENTRY);
        query.push_bind(id).push(" AND revision = ").push_bind(revision);
        push_scope(&mut query, id, scope);
        let row: Option<HistoryRow> = self.db.reader().await?.query_as(query).fetch_optional().await?;
        let registration = |row: HistoryRow| row.registration().ok_or(Error::Corrupt(id));
        row.map_or_else(|| Ok(Registration::default()), registration)
    }
}

/// Adds an entry.
pub(super) async fn insert_history(tx: &mut Transaction, new: &NewEntry<'_>) -> Result<(), db::Error> {
    let NewEntry { instance_id, revision, entry, states, records } = new;
    tx.query(
        "INSERT INTO instance_history (instance_id, revision, create_time, user_id, project_id, operation, step, \
         old_state, new_state, old_record_id, new_record_id, image_id, message, request_id, fingerprint, volume_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(instance_id)
    .bind(revision)
    .bind(entry.time)
    .bind(&entry.actor.user_id)
    .bind(&entry.actor.project_id)
    .bind(entry.operation.as_str())
    .bind(entry.step.as_str())
    .bind(states.0.map(State::as_str))
    .bind(states.1.map(State::as_str))
    .bind(records.0)
    .bind(records.1)
    .bind(entry.image_id)
    .bind(&entry.message)
    .bind(entry.request.as_ref().map(|request| &request.id))
    .bind(entry.request.as_ref().map(|request| &request.fingerprint))
    .bind(entry.volume_id)
    .execute()
    .await?;
    Ok(())
}
