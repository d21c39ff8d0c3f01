//! Why a database cannot be used, and whether retrying helps.

use std::{sync::Arc, time::Duration};

use backon::{ExponentialBuilder, Retryable as _};
use sqlx::error::DatabaseError;

use super::condition::doubt;
use crate::{
    group::Lost,
    metrics::METRICS,
    status::{Code, Description, RETRY_AFTER},
};

/// How often a transaction is retried, after 2 ms to 250 ms, jittered.
const RETRIES: usize = 10;

/// Why a database cannot be used. Requests that share a statement share its error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// It is away or overloaded; retrying helps.
    #[error("the database is not available; try again")]
    Unavailable(#[source] Option<Arc<sqlx::Error>>),
    /// Other transactions kept getting in the way; retrying helps.
    #[error("the database is not available; try again")]
    Conflict(#[source] Arc<sqlx::Error>),
    /// It rejected a statement; retrying does not help.
    #[error("the database failed")]
    Failed(#[source] Arc<sqlx::Error>),
    /// Work done for several requests at once ended in a panic.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if is_doubtful(&error) {
            doubt();
        }
        if is_conflict(&error) {
            Self::Conflict(Arc::new(error))
        } else if is_unavailable(&error) {
            Self::Unavailable(Some(Arc::new(error)))
        } else {
            Self::Failed(Arc::new(error))
        }
    }
}

/// A service's error, which may be an error of its database.
pub trait Transient {
    /// The error of the database, if it is one.
    fn database(&self) -> Option<&Error>;
}

impl Transient for Error {
    fn database(&self) -> Option<&Self> {
        Some(self)
    }
}

/// Runs `transaction`, which has committed nothing if it fails, again for as long as other transactions are in its
/// way: a serialization failure, a deadlock, or a reference to a row that was just removed.
pub async fn retrying<T, E, F>(transaction: impl FnMut() -> F) -> Result<T, E>
where
    E: Transient,
    F: Future<Output = Result<T, E>>,
{
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(2))
        .with_max_delay(Duration::from_millis(250))
        .with_max_times(RETRIES)
        .with_jitter();
    transaction
        .retry(pauses)
        .when(|error: &E| matches!(error.database(), Some(Error::Conflict(_))))
        .notify(|_: &E, _| {
            METRICS.transaction_retries.inc();
        })
        .await
}

/// Runs `transaction` on all of `batch`, as [`retrying`] does; if the database rejects that, runs it on each item
/// alone, so that one cannot make others fail. Any other database error is the outcome of all of them.
pub async fn all_or_each<'a, T, R, E, F>(
    batch: &'a [T],
    transaction: impl Fn(&'a [T]) -> F,
) -> Vec<Result<R, E>>
where
    E: From<Error>,
    F: Future<Output = Result<Vec<Result<R, E>>, Error>>,
{
    let failed = |items: &[T], error: Error| items.iter().map(|_| Err(error.clone().into())).collect();
    match retrying(|| transaction(batch)).await {
        Err(Error::Failed(_)) if batch.len() > 1 => {
            let mut outcomes = Vec::with_capacity(batch.len());
            for item in batch.chunks(1) {
                let alone = retrying(|| transaction(item)).await;
                outcomes.append(&mut alone.unwrap_or_else(|error| failed(item, error)));
            }
            outcomes
        }
        done => done.unwrap_or_else(|error| failed(batch, error)),
    }
}

impl Error {
    /// What the database holds makes no sense.
    #[must_use]
    pub fn decode(problem: String) -> Self {
        sqlx::Error::Decode(problem.into()).into()
    }

    /// How the error looks in an answer.
    #[must_use]
    pub fn describe(&self) -> Description {
        match self {
            Self::Unavailable(_) | Self::Conflict(_) => {
                Description::retry(Code::Unavailable, "DATABASE_UNAVAILABLE", RETRY_AFTER)
            }
            Self::Failed(_) | Self::Lost(_) => Description::new(Code::Internal, "INTERNAL"),
        }
    }
}

/// Whether the database may well answer the same statement later.
pub(super) fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_passing(&code)),
        _ => false,
    }
}

/// PostgreSQL: serialization failure, deadlock, foreign key. SQLite: foreign key.
fn is_conflict(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    error.code().is_some_and(|code| matches!(&*code, "40001" | "40P01" | "23503" | "787"))
}

/// Whether another connection, of this process or another, holds the lock; or all of ours are in use.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| matches!(sqlite_code(&code), Some(BUSY | LOCKED)))
        }
        _ => false,
    }
}

/// Whether the error is about SQLite's file or memory, and not about a statement.
pub(super) fn breaks(error: &dyn DatabaseError) -> bool {
    let code = error.code().and_then(|code| sqlite_code(&code));
    matches!(code, Some(NO_MEMORY | READ_ONLY | IO | CORRUPT | FULL | CANNOT_OPEN | NO_DATABASE))
}

/// Whether writing may have become impossible.
fn is_doubtful(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    breaks(&**error)
        || error.code().is_some_and(|code| code.starts_with("53") || matches!(&*code, "25006" | "58030"))
}

/// SQLite's result codes, as found in the low byte of the extended ones.
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const NO_MEMORY: u32 = 7;
const READ_ONLY: u32 = 8;
const IO: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANNOT_OPEN: u32 = 14;
const NO_DATABASE: u32 = 26;

/// A code of SQLite; those of PostgreSQL have five characters.
fn sqlite_code(code: &str) -> Option<u32> {
    let code: u32 = code.parse().ok().filter(|_| code.len() < 5)?;
    Some(code & 0xff)
}

/// Codes of PostgreSQL: connection, resources, shutdown, statements that were cancelled or took too long, a standby, locks, I/O.
fn is_passing(code: &str) -> bool {
    if let Some(code) = sqlite_code(code) {
        return matches!(code, BUSY | LOCKED | NO_MEMORY | READ_ONLY | IO | FULL | CANNOT_OPEN);
    }
    code.starts_with("08")
        || code.starts_with("53")
        || code.starts_with("57P")
        || matches!(code, "25006" | "25P03" | "25P04" | "55P03" | "57014" | "58030")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_by_its_code() {
        for passing in [
            "08006", "53100", "57P01", "57014", "25006", "25P03", "25P04", "55P03", "58030", "5", "7", "778",
            "13",
        ] {
            assert!(is_passing(passing), "{passing}");
        }
        for lasting in ["25P02", "42P01", "22012", "XX001", "1", "11", "787", "26"] {
            assert!(!is_passing(lasting), "{lasting}");
        }
    }
}
