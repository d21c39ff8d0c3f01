//! The schema of a database, and who brings it up to date.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use sqlx::{
    Connection as _, PgPool, SqlitePool,
    migrate::{MigrateError, Migrator},
};

/// How often a process retries to migrate an SQLite database that another process has locked exclusively, each time
/// after the seconds that SQLite itself waits: a minute in total.
const BUSY_RETRIES: usize = 12;

/// SQLite's code for that.
const BUSY: u32 = 5;

/// The same schema for both databases.
#[derive(Debug)]
pub struct Migrations {
    /// For SQLite.
    pub sqlite: Migrator,
    /// For PostgreSQL.
    pub postgres: Migrator,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no database we know.
    #[error("database URL: {0}")]
    Url(String),
    /// It is away; retrying helps.
    #[error("the database is not available")]
    Unavailable(#[source] MigrateError),
    /// Its schema is older than this program, and somebody else is supposed to bring it up to date.
    #[error("the schema of the database is older than this program; run `migrate`")]
    Outdated,
    /// It is behind a pooler that the services cannot work with.
    #[error(
        "the database URL leads to a pooler that gives each transaction another session (pgbouncer with pool_mode \
         transaction or statement), where nothing stays prepared; use pool_mode session, or the address of the server"
    )]
    Pooler,
    /// Its schema cannot be brought up to date.
    #[error("the database cannot be migrated")]
    Migration(#[source] MigrateError),
}

/// A migrator that accepts versions it does not know: a newer program has been here, and may be gone again.
pub(super) fn tolerant(migrator: &Migrator) -> Migrator {
    Migrator { migrations: migrator.migrations.clone(), ignore_missing: true, ..Migrator::DEFAULT }
}

/// The migrator itself locks a PostgreSQL database, for the session, which ends if the migration fails.
pub(super) async fn migrate_postgres(pool: &PgPool, migrator: &Migrator) -> Result<(), MigrateError> {
    let mut connection = pool.acquire().await?;
    connection.close_on_drop();
    // `run` would do, but its future is not `Send` for a borrowed connection.
    migrator.run_direct(None, &mut *connection, false).await
}

/// The migrator does not lock an SQLite database. The first process switches a new file to write-ahead logging, and
/// SQLite does not let others wait for that.
pub(super) async fn migrate_sqlite(writer: &SqlitePool, migrator: &Migrator) -> Result<(), MigrateError> {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(10))
        .with_max_delay(Duration::from_secs(1))
        .with_max_times(BUSY_RETRIES)
        .with_jitter();
    (|| migrate_locked(writer, migrator)).retry(pauses).when(is_busy).await
}

async fn migrate_locked(writer: &SqlitePool, migrator: &Migrator) -> Result<(), MigrateError> {
    let mut connection = writer.acquire().await?;
    connection.close_on_drop();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    migrator.run_direct(None, &mut *transaction, false).await?;
    Ok(transaction.commit().await?)
}

/// Whether another process had an exclusive lock on an SQLite database.
pub(super) fn is_busy(error: &MigrateError) -> bool {
    let MigrateError::Execute(sqlx::Error::Database(error)) = error else { return false };
    error.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == BUSY)
}
