//! An outbox: what another service still has to do. A job is written together with the change that requires it, and
//! removed once it is done, so that neither a crash nor an unavailable service can lose it. The request that made the
//! change does it, or a retry of that, or, if both die or the other service is unavailable, whichever replica finds the job.
//!
//! Whoever does a job claims it first by counting an attempt (column `attempts`), unless somebody else has done so in the
//! meantime. Until `next_try`, only a retry of its request does it. That is a time by the database's clock, in microseconds
//! since 1970; a time further away than the longest pause was written before the clock was set back, and counts as past.

use std::{convert::Infallible, future::ready, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use common::id::Id;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::sleep;

use crate::{
    db::{self, ByDialect, Db, FromRow, QueryBuilder},
    status::{Description, Detail, Failure},
};

mod metrics;

pub use metrics::OutboxMetrics;

/// How often a replica looks for jobs that nobody is doing.
const INTERVAL: Duration = Duration::from_secs(5);

/// How many of them it reads at once, and how many it does at a time.
const AT_ONCE: i64 = 100;
const AT_A_TIME: usize = 8;

/// The pause after the first attempt of a job, which doubles with each further one, and the longest pause.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The current time, by the database's clock.
const NOW: ByDialect = ByDialect {
    sqlite: "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
    postgres: "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
};

/// A job as a row of its table.
pub trait Job: Sized {
    /// The row, of the columns of the outbox.
    type Row: FromRow;

    /// The job; an error if this release does not understand it.
    fn read(row: Self::Row) -> Result<Self, db::Error>;
}

/// A job that nobody is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueJob {
    /// Its id.
    pub id: Id,
    /// How often it was begun.
    pub attempts: i64,
}

/// The jobs that are still to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Number of jobs, including those in progress.
    pub jobs: i64,
    /// How long the oldest one has been necessary.
    pub oldest: TimeDelta,
}

/// The jobs in a table, beside whose own columns there are `attempts`, `next_try` and `create_time`.
#[derive(Debug, Clone)]
pub struct Outbox {
    /// The database.
    pub db: Db,
    /// The table.
    pub table: &'static str,
    /// The columns that a job is read from, the first of which is its id.
    pub columns: Vec<&'static str>,
    /// What is counted of them.
    pub metrics: &'static OutboxMetrics,
}

impl Outbox {
    /// A job, if it is still to be done.
    pub async fn get<J: Job>(&self, id: Id) -> Result<Option<J>, db::Error> {
        let mut query = self.db.builder("SELECT ");
        self.push_columns(&mut query);
        query.push(" FROM ").push(self.table).push(" WHERE ").push(self.id()).push(" = ").push_bind(id);
        let row: Option<J::Row> = self.db.reader().await?.query_as(query).fetch_optional().await?;
        row.map(J::read).transpose()
    }

    /// The jobs that are still to be done, by the database's clock.
    pub async fn backlog(&self) -> Result<Backlog, db::Error> {
        let mut query = self.db.builder("SELECT COUNT(*), MIN(create_time) FROM ");
        query.push(self.table);
        let (jobs, first): (i64, Option<DateTime<Utc>>) =
            self.db.reader().await?.query_as(query).fetch_one().await?;
        let oldest = match first {
            Some(first) => self.db.now().await? - first,
            None => TimeDelta::zero(),
        };
        Ok(Backlog { jobs, oldest })
    }

    /// Jobs that nobody is doing and whose pause is over, oldest first, at most `limit`. No pause is longer than
    /// `longest`.
    async fn due(&self, longest: Duration, limit: i64) -> Result<Vec<DueJob>, db::Error> {
        let mut query = self.db.builder("SELECT ");
        query.push(self.id()).push(", attempts FROM ").push(self.table).push(" WHERE next_try <= ");
        query.push_by_dialect(NOW).push(" OR next_try > ");
        push_time_after(&mut query, longest);
        query.push(" ORDER BY next_try, ").push(self.id()).push(" LIMIT ").push_bind(limit);
        let due: Vec<(Id, i64)> = self.db.reader().await?.query_as(query).fetch_all().await?;
        Ok(due.into_iter().map(|(id, attempts)| DueJob { id, attempts }).collect())
    }

    /// Begins a job, which only a retry of its request can begin again within `lease`; `None` if somebody has just begun
    /// it, or it is done.
    pub async fn claim<J: Job>(&self, due: DueJob, lease: Duration) -> Result<Option<J>, db::Error> {
        let mut tx = self.db.begin().await?;
        let mut query = self.postponing("attempts = attempts + 1, ", due, lease);
        query.push(" RETURNING ");
        self.push_columns(&mut query);
        let row: Option<J::Row> = tx.query_as(query).fetch_optional().await?;
        // Also one that this release does not understand, which then rests as others do.
        tx.commit().await?;
        row.map(J::read).transpose()
    }

    /// Counts an attempt of a job that was claimed. One that failed for now is postponed.
    pub async fn tried<T, E: Failure>(&self, due: DueJob, done: &Result<T, E>) {
        let problem = done.as_ref().err().map(Failure::describe);
        let is_over = self.metrics.count(problem.as_ref());
        if let Some(problem) = problem.filter(|_| !is_over) {
            self.postpone(due, delay(&problem)).await;
        }
    }

    /// Postpones a job that is not done yet, by `at_least` that long.
    pub async fn postpone(&self, due: DueJob, at_least: Duration) {
        let random = Id::random().as_uuid().as_u128() & u128::from(u16::MAX);
        let random = u16::try_from(random).unwrap_or_default();
        let pause = pause(due.attempts, random).max(at_least);
        let postponed = self.db.execute(|connection| connection.query(self.postponing("", due, pause))).await;
        if let Err(error) = postponed {
            // Then it waits until its lease expires.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                table = self.table,
                "a job was not postponed"
            );
        }
    }

    /// Does jobs that nobody else is doing, for ever: each with `do_job`, which says with [`Outbox::tried`] what came of it.
    pub async fn do_jobs<J: Job, F>(&self, lease: Duration, do_job: impl Fn(J) -> F) -> Infallible
    where
        F: Future<Output = ()>,
    {
        loop {
            match self.do_due_jobs(lease, &do_job).await {
                // There may be more of them.
                Ok(done) if i64::try_from(done).is_ok_and(|done| done >= AT_ONCE) => {}
                Ok(_) => sleep(INTERVAL).await,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        table = self.table,
                        "jobs are left for later"
                    );
                    sleep(INTERVAL).await;
                }
            }
        }
    }

    /// Does jobs that nobody else is doing and whose pause is over, oldest first; returns how many were tried.
    pub async fn do_due_jobs<J: Job, F>(
        &self,
        lease: Duration,
        do_job: impl Fn(J) -> F,
    ) -> Result<usize, db::Error>
    where
        F: Future<Output = ()>,
    {
        // Twice the longest lease or pause that any replica writes.
        let longest = 2 * lease.max(LONGEST_PAUSE * 2);
        self.metrics.set_backlog(self.backlog().await?);
        let due = self.due(longest, AT_ONCE).await?;
        let tried = stream::iter(due).map(|due| self.do_due_job(due, lease, &do_job));
        Ok(tried.buffer_unordered(AT_A_TIME).filter(|tried| ready(*tried)).count().await)
    }

    /// Does a job unless somebody else has just begun it; returns whether it was tried.
    async fn do_due_job<J: Job, F>(&self, due: DueJob, lease: Duration, do_job: impl Fn(J) -> F) -> bool
    where
        F: Future<Output = ()>,
    {
        match self.claim(due, lease).await {
            Ok(Some(job)) => do_job(job).await,
            Ok(None) => return false,
            Err(error) => {
                let begun = DueJob { attempts: due.attempts + 1, ..due };
                self.postpone(begun, delay(&error.describe())).await;
                return false;
            }
        }
        true
    }

    fn id(&self) -> &'static str {
        self.columns[0]
    }

    /// Adds the names of the columns, separated by commas.
    pub fn push_columns(&self, query: &mut QueryBuilder) {
        for (index, column) in self.columns.iter().copied().enumerate() {
            query.push(if index == 0 { "" } else { ", " }).push(column);
        }
    }

    /// The statement that keeps others from a job, unless somebody has begun it again.
    fn postponing(&self, also: &'static str, due: DueJob, pause: Duration) -> QueryBuilder {
        let mut query = self.db.builder("UPDATE ");
        query.push(self.table).push(" SET ").push(also).push("next_try = ");
        push_time_after(&mut query, pause);
        query.push(" WHERE ").push(self.id()).push(" = ").push_bind(due.id);
        query.push(" AND attempts = ").push_bind(due.attempts);
        query
    }
}

/// Adds the time after that pause, as `next_try` has it.
pub fn push_time_after(query: &mut QueryBuilder, pause: Duration) {
    let micros = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
    query.push_by_dialect(NOW).push(" + ").push_bind(micros);
}

/// How long to wait, at least, as the other service says.
const fn delay(problem: &Description) -> Duration {
    match problem.detail {
        Detail::Retry(delay) => delay,
        _ => Duration::ZERO,
    }
}

/// The pause after that many attempts: half of what is said above, plus a random part of the same length.
fn pause(attempts: i64, random: u16) -> Duration {
    let doublings = u32::try_from(attempts.clamp(1, 16) - 1).unwrap_or_default();
    let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
    pause / 2 + pause * u32::from(random) / 0x1_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let seconds = |attempts| {
            [0, u16::MAX].map(|random| (pause(attempts, random) + Duration::from_millis(501)).as_secs())
        };
        assert_eq!(seconds(0), [3, 8]);
        assert_eq!(seconds(1), [3, 8]);
        assert_eq!(seconds(2), [5, 15]);
        assert_eq!(seconds(4), [20, 60]);
        assert_eq!(seconds(5), [30, 90]);
        assert_eq!(seconds(i64::MAX), [30, 90]);
    }
}
