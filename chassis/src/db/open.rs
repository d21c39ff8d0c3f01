//! How connections to each of the two databases are opened.

use std::{
    num::NonZero, path::PathBuf, str::FromStr as _, sync::Arc, thread::available_parallelism, time::Duration,
};

use sqlx::{
    Connection as _, Executor as _, PgConnection,
    pool::PoolOptions,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{OpenError, Pools, Sessions, heartbeat::HEARTBEAT_TIMEOUT};

/// How long a request queues up for a connection; its caller's deadline is usually shorter.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long SQLite waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Number of rows that SQLite reads ahead: a row may have some MB.
const ROWS_AHEAD: usize = 8;

/// A connection that has been idle for longer is checked before use: the database may have restarted.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Pages are read from indexes in order, only as far as needed. Left to itself, PostgreSQL collects and sorts
/// everything it expects to be little; reads whole tables rather than a hundred rows by their keys, as if they were
/// on a spinning disk; and JIT-compiles what it takes for long work.
const ORDERED: [&str; 3] = ["SET enable_bitmapscan = off", "SET random_page_cost = 1.1", "SET jit = off"];

/// Most connections that read an SQLite database: each is a thread, which keeps some of the memory that it has read large rows
/// into, and more of them than processors read no faster.
fn sqlite_readers() -> u32 {
    let processors = available_parallelism().map_or(1, NonZero::get);
    u32::try_from(processors).unwrap_or(u32::MAX).max(4)
}

/// Connections to the database in the file that `url` names, and that file, which must exist.
pub(super) fn open_sqlite(url: &str, max_connections: u32) -> Result<(Pools, PathBuf), OpenError> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(OpenError::Url("an SQLite database in memory is lost at once; name a file".to_owned()));
    }
    let options = SqliteConnectOptions::from_str(url).map_err(|error| OpenError::Url(error.to_string()))?;
    if options.get_filename().as_os_str().is_empty() {
        return Err(OpenError::Url("names no file: sqlite:FILE".to_owned()));
    }
    let file = options.get_filename().to_owned();
    let options = options
        .create_if_missing(false)
        .foreign_keys(true)
        .row_buffer_size(ROWS_AHEAD)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT);
    let pool = |connections| {
        PoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(QUEUE_TIMEOUT)
            .test_before_acquire(false)
            .connect_lazy_with(options.clone())
    };
    let reader = pool(max_connections.min(sqlite_readers()));
    Ok((Pools::Sqlite { reader, writer: pool(1), heartbeat: pool(1) }, file))
}

pub(super) fn open_postgres(
    url: &str,
    max_connections: u32,
    sessions: &Arc<Sessions>,
) -> Result<Pools, OpenError> {
    // The driver's own words could repeat a password that stands in the URL.
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        OpenError::Url("must look like postgres://user:password@host:5432/database".to_owned())
    })?;
    // The server's views tell by it whose a session is.
    let options = match options.get_application_name() {
        Some(_) => options,
        None => options.application_name(&program()),
    };
    let pool = |connections, patience| {
        let sessions = Arc::clone(sessions);
        PoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(patience)
            .test_before_acquire(false)
            .after_connect(|connection: &mut PgConnection, _| {
                Box::pin(async move {
                    for setting in ORDERED {
                        // A database that is no PostgreSQL need not know it.
                        let _ = connection.execute(setting).await;
                    }
                    Ok(())
                })
            })
            .before_acquire(move |connection: &mut PgConnection, idle| {
                let is_trusted = sessions.are_trusted(idle.age);
                Box::pin(async move {
                    if !is_trusted {
                        return Ok(false);
                    }
                    if idle.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options.clone())
    };
    Ok(Pools::Postgres { pool: pool(max_connections, QUEUE_TIMEOUT), heartbeat: pool(1, HEARTBEAT_TIMEOUT) })
}

/// The name of this program.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_name().map_or_else(|| "imprint".to_owned(), |name| name.to_string_lossy().into_owned())
}
