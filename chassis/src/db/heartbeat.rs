//! Whether the database is there and writable: what readiness follows.

use std::{future::Future, sync::Arc, time::Duration};

use sqlx::{PgPool, SqlitePool};
use tokio::time::timeout;

use super::{
    Db, Lease, Pools,
    condition::Condition::{self, Away, ReadOnly, Serving},
    error::is_busy,
    lease::Engine as _,
};

/// How long the database may take to show that it is there, or that it is writable.
pub(super) const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(3);

/// A statement that succeeds only with the schema in place.
const ANY_MIGRATION: &str = "SELECT version FROM _sqlx_migrations LIMIT 1";

/// Writes something that nobody reads.
const WRITE: &str = "PRAGMA user_version = 1";

/// Takes up space on the server's disk for a moment.
const TAKE_ROOM: &str = "BEGIN READ WRITE; \
    CREATE TEMPORARY TABLE imprint_room ON COMMIT DROP AS SELECT repeat('x', 1000) FROM generate_series(1, 64); \
    ROLLBACK";

/// Code of PostgreSQL: a role without the privilege.
const NOT_PERMITTED: &str = "42501";

impl Db {
    /// Checks whether the database is there and writable, and migrates it if that has not happened yet. Requests
    /// learn of the result: those waiting for a connection to a database that is away need not wait any longer.
    pub async fn heartbeat(&self) -> bool {
        if !self.is_migrated() {
            return match self.migrate().await {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the database is not ready");
                    false
                }
            };
        }
        let before = *self.0.condition.borrow();
        let there = timeout(HEARTBEAT_TIMEOUT, self.is_there()).await;
        let condition = match there {
            Ok(Ok(())) => timeout(HEARTBEAT_TIMEOUT, self.can_be_written(before)).await.unwrap_or(before),
            Ok(Err(error)) => {
                changed(before, Away, &*error);
                Away
            }
            Err(late) => {
                changed(before, Away, &late);
                Away
            }
        };
        self.0.condition.send_replace(condition);
        condition == Serving
    }

    /// Whether the database answers, and is the one that was opened.
    async fn is_there(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if let Some(file) = &self.0.file {
            file.check()?;
        }
        let transactions = Arc::clone(&self.0.transactions);
        match &self.0.pools {
            Pools::Sqlite { heartbeat, .. } => {
                let mut lease = Lease::new(heartbeat.acquire().await?, transactions);
                sqlx::query(ANY_MIGRATION).execute(lease.start()).await?;
                lease.finish();
            }
            Pools::Postgres { heartbeat, .. } => {
                let mut lease = Lease::new(heartbeat.acquire().await?, transactions);
                sqlx::query(ANY_MIGRATION).execute(lease.start()).await?;
                self.0.transactions.look(lease.start()).await;
                lease.finish();
            }
        }
        Ok(())
    }

    /// Whether a database that is there is writable: tried where that is in doubt.
    async fn can_be_written(&self, before: Condition) -> Condition {
        let (has_doubts, is_due) = (self.0.tried.has_doubts(), self.0.tried.is_due());
        let is_in_doubt = has_doubts || before != Serving;
        let tried = match &self.0.pools {
            Pools::Sqlite { writer, .. } if is_in_doubt || is_due => self.write(writer).await,
            Pools::Sqlite { .. } => return Serving,
            Pools::Postgres { heartbeat, .. } => {
                let tried = self.look_for_primary(heartbeat, is_in_doubt).await;
                if is_in_doubt || tried.is_err() {
                    // What was opened before may lead to a server that is the primary no more.
                    self.0.sessions.distrust();
                }
                tried
            }
        };
        match tried {
            Ok(()) => Serving,
            // Somebody else writes, or everybody does.
            Err(error) if is_busy(&error) => before.max(ReadOnly),
            Err(error) => {
                changed(before, ReadOnly, &error);
                ReadOnly
            }
        }
    }

    /// Writes the way requests do, after those already waiting.
    async fn write(&self, writer: &SqlitePool) -> Result<(), sqlx::Error> {
        let mut lease = Lease::new(writer.acquire().await?, Arc::clone(&self.0.transactions));
        sqlx::Sqlite::run(lease.start(), WRITE).await?;
        lease.finish();
        Ok(())
    }

    /// Whether the session's server is a primary; where that is in doubt, whether it has space.
    async fn look_for_primary(&self, heartbeat: &PgPool, is_in_doubt: bool) -> Result<(), sqlx::Error> {
        let mut lease = Lease::new(heartbeat.acquire().await?, Arc::clone(&self.0.transactions));
        sqlx::Postgres::run(lease.start(), sqlx::Postgres::IDLE).await?;
        if is_in_doubt {
            unless_not_permitted(sqlx::Postgres::run(lease.start(), TAKE_ROOM)).await?;
        }
        lease.finish();
        Ok(())
    }
}

/// A role that may not create temporary tables cannot tell.
async fn unless_not_permitted(
    trying: impl Future<Output = Result<(), sqlx::Error>>,
) -> Result<(), sqlx::Error> {
    match trying.await {
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == NOT_PERMITTED) => Ok(()),
        tried => tried,
    }
}

fn changed(before: Condition, now: Condition, error: &(dyn std::error::Error + 'static)) {
    if before != now {
        let problem = if now == Away { "cannot be used" } else { "cannot be written" };
        tracing::warn!(error, "the database {problem}");
    }
}
