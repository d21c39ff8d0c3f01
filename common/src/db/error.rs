//! Why a database cannot be used, and whether trying again helps.

use std::time::Duration;

use crate::status::{Code, Description, Detail};

/// What a caller is told to wait before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is away or overloaded; trying again helps.
    #[error("the database is not available; try again")]
    Unavailable(#[source] Option<sqlx::Error>),
    /// It refused a statement; trying again does not help.
    #[error("the database failed")]
    Failed(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if is_unavailable(&error) { Self::Unavailable(Some(error)) } else { Self::Failed(error) }
    }
}

impl Error {
    /// How the error looks in an answer.
    #[must_use]
    pub fn describe(&self) -> Description {
        match self {
            Self::Unavailable(_) => {
                Description::new(Code::Unavailable, "DATABASE_UNAVAILABLE").detail(Detail::Retry(RETRY_AFTER))
            }
            Self::Failed(_) => Description::new(Code::Internal, "INTERNAL"),
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

/// PostgreSQL: connection, resources, shutdown, serialization, read-only standby. SQLite (low byte): busy,
/// locked, read-only, I/O, full, cannot open.
fn is_passing(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(sqlite) if code.len() < 5 => matches!(sqlite & 0xff, 5 | 6 | 8 | 10 | 13 | 14),
        _ => {
            code.starts_with("08")
                || code.starts_with("53")
                || code.starts_with("57P")
                || matches!(code, "40001" | "40P01" | "25006" | "55P03")
        }
    }
}
