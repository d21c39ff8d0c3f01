//! Connections as they are handed out: whatever happens to the request that holds one, nobody who gets it next can
//! end up in that request's transaction. See docs/decisions/0007-connections-are-proved-idle.md.

use std::{future::Future, sync::Arc, time::Duration};

use sqlx::{Database, Executor as _, PgConnection, Postgres, Sqlite, SqliteConnection, pool::PoolConnection};
use tokio::{runtime::Handle, time::timeout};

use super::{
    Error,
    error::breaks,
    transactions::{Opened, Transactions},
};
use crate::metrics::METRICS;

/// How long a connection that was abandoned in the middle of something may take to finish it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A transaction that must be able to write.
macro_rules! writable {
    () => {
        "BEGIN; SELECT CASE current_setting('transaction_read_only') WHEN 'off' THEN 0 \
         ELSE ('transaction_read_only is ' || current_setting('transaction_read_only'))::int END; ROLLBACK"
    };
}

/// A database whose transactions we begin and end ourselves. The drivers count theirs, and their counts are wrong
/// once a future is dropped, or once SQLite has rolled back by itself.
pub(super) trait Engine: Database {
    /// Begins a transaction.
    const BEGIN: &'static str;

    /// Ends a transaction that may be open. Succeeds only if none is open afterwards, and the connection can begin
    /// the next one.
    const ROLLBACK: &'static str;

    /// The same where none should be open. Succeeds without a warning if none is.
    const IDLE: &'static str;

    /// Whether the last statement failed in such a way that nothing more should be tried on the same connection.
    fn is_broken(connection: &mut Self::Connection) -> impl Future<Output = bool> + Send;

    /// Runs a statement without values, after everything that is in flight.
    fn run(
        connection: &mut Self::Connection,
        statement: &'static str,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

impl Engine for Sqlite {
    // Lock now: a transaction that reads before it writes fails when another one wrote meanwhile.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    // An error where SQLite has rolled back by itself: the disk is full, say, and the connection is not to be trusted.
    const ROLLBACK: &'static str = "ROLLBACK";
    const IDLE: &'static str = "BEGIN; ROLLBACK";

    async fn is_broken(connection: &mut SqliteConnection) -> bool {
        let Ok(mut handle) = connection.lock_handle().await else { return true };
        handle.last_error().is_some_and(|error| breaks(&error))
    }

    async fn run(connection: &mut SqliteConnection, statement: &'static str) -> Result<(), sqlx::Error> {
        connection.execute(statement).await.map(drop)
    }
}

impl Engine for Postgres {
    const BEGIN: &'static str = "BEGIN";
    // No session of a server that is a standby now, or reads only, is used again: one that is opened later may lead to
    // the primary. What is no number makes the statement fail there, and says why.
    const ROLLBACK: &'static str = concat!("ROLLBACK; ", writable!());
    const IDLE: &'static str = writable!();

    async fn is_broken(_: &mut PgConnection) -> bool {
        // What it is in is asked of the server.
        false
    }

    async fn run(connection: &mut PgConnection, statement: &'static str) -> Result<(), sqlx::Error> {
        connection.execute(statement).await.map(drop)
    }
}

/// A connection on loan. It returns to its pool as it is only if it is known to be idle: its last statement has
/// succeeded, and its transaction, if it had one, was committed. If it is dropped in any other way (an error, a panic, a
/// caller that has left, at whatever await), it goes back once it is proved that nothing is in progress and no
/// transaction is open; if that fails or takes too long, it is closed.
#[derive(Debug)]
pub(super) struct Lease<DB: Engine> {
    /// None once it was returned.
    connection: Option<PoolConnection<DB>>,
    /// Set before BEGIN is sent.
    opened: Option<Opened>,
    /// Whether every statement has ended.
    is_idle: bool,
    transactions: Arc<Transactions>,
}

impl<DB: Engine> Lease<DB> {
    pub(super) const fn new(connection: PoolConnection<DB>, transactions: Arc<Transactions>) -> Self {
        Self { connection: Some(connection), opened: None, is_idle: true, transactions }
    }

    /// The connection for a statement, which is in progress until [`Lease::finish`].
    pub(super) fn start(&mut self) -> &mut DB::Connection {
        self.is_idle = false;
        self.connection.as_mut().expect("only what consumes the lease takes it")
    }

    /// Records that the last statement has succeeded.
    pub(super) const fn finish(&mut self) {
        self.is_idle = true;
    }

    pub(super) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.opened = Some(Transactions::open(&self.transactions));
        DB::run(self.start(), DB::BEGIN).await?;
        self.finish();
        Ok(())
    }

    /// Commits the transaction. A caller that leaves before the answer does not learn whether it was committed.
    pub(super) async fn commit(mut self) -> Result<(), Error> {
        DB::run(self.start(), "COMMIT").await?;
        self.opened = None;
        self.finish();
        Ok(())
    }
}

impl<DB: Engine> Drop for Lease<DB> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.is_idle && self.opened.is_none() {
            return drop(connection);
        }
        let doubtful = Doubtful { connection: Some(connection), opened: self.opened.take() };
        // A task of its own, which no caller can leave; there are as many at most as there are connections.
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn(doubtful.settle()));
        }
    }
}

/// A connection in an unknown state. Closed unless it is settled.
struct Doubtful<DB: Engine> {
    connection: Option<PoolConnection<DB>>,
    opened: Option<Opened>,
}

impl<DB: Engine> Doubtful<DB> {
    /// Ends whatever is open, and returns the connection if that succeeds.
    async fn settle(mut self) {
        let proof = if self.opened.is_some() { DB::ROLLBACK } else { DB::IDLE };
        let Some(connection) = &mut self.connection else { return };
        let proving = async {
            if DB::is_broken(connection).await {
                return Ok(false);
            }
            DB::run(connection, proof).await.map(|()| true)
        };
        match timeout(PATIENCE, proving).await {
            Ok(Ok(true)) => drop(self.connection.take()),
            Ok(Ok(false)) => {
                tracing::warn!("closing a connection to the database after a failure of its file");
            }
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "closing a connection to the database that was left in use");
            }
            Err(_) => {
                tracing::warn!("closing a connection to the database that is still busy after {PATIENCE:?}");
            }
        }
    }
}

impl<DB: Engine> Drop for Doubtful<DB> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        METRICS.connections_discarded.inc();
        if Handle::try_current().is_ok() {
            // In good order, and before the pool opens another one in its place.
            connection.close_on_drop();
        } else {
            drop(connection.detach());
        }
    }
}
