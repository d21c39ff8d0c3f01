//! One SQL text, two databases: SQLite (embedded, the default) and PostgreSQL (production), chosen by the URL.
//!
//! A store writes its statements once, for a [`Connection`] or a [`Transaction`], whichever of the two drivers is behind
//! it. What differs between the databases (types, views) lives in the migrations; a statement that must differ has a text
//! for each ([`ByDialect`]).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prometheus_client::collector::Collector;
use sqlx::{PgPool, SqlitePool, migrate::MigrateError};
use tokio::sync::watch;

mod builder;
mod clock;
mod collector;
mod condition;
mod connection;
mod error;
mod file;
mod heartbeat;
mod lease;
mod micros;
mod migrations;
mod open;
mod pooler;
mod query;
mod row;
mod rows;
mod sessions;
mod sql;
mod transactions;
mod value;

pub use builder::{QueryBuilder, Separated};
pub use connection::{Connection, Transaction};
pub use error::{Error, Transient, all_or_each, retrying};
pub use micros::Micros;
pub use migrations::{Migrations, OpenError};
pub use query::Query;
pub use row::FromRow;
pub use rows::{as_micros, as_text, json};
pub use sql::{ByDialect, Dialect, Sql};
pub use value::{Many, Value};

use collector::Database;
use condition::{Condition, WriteProbe};
use error::is_unavailable;
use file::DatabaseFile;
use lease::{Engine, Lease};
use migrations::{is_busy, migrate_postgres, migrate_sqlite, tolerant};
use open::{open_postgres, open_sqlite};
use pooler::mixes_sessions;
use sessions::Sessions;
use transactions::Transactions;

/// A database with its schema.
#[derive(Debug, Clone)]
pub struct Db(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pools: Pools,
    migrations: &'static Migrations,
    /// Whether this process brings the schema up to date, or waits until somebody else has.
    migrates: AtomicBool,
    is_migrated: AtomicBool,
    /// What could be done with the database when it was last checked.
    condition: watch::Sender<Condition>,
    /// When a write was last tried.
    tried: WriteProbe,
    /// The file of an SQLite database.
    file: Option<DatabaseFile>,
    /// Which PostgreSQL sessions may be reused.
    sessions: Arc<Sessions>,
    /// The open transactions.
    transactions: Arc<Transactions>,
}

/// The connections of one of the two databases.
#[derive(Debug)]
pub enum Pools {
    /// SQLite has one writer at a time: requests waiting for it queue up here, in order, and not in its busy handler,
    /// which is not fair.
    Sqlite {
        /// Connections for reading.
        reader: SqlitePool,
        /// The connection for writing.
        writer: SqlitePool,
        /// The connection for checking whether the file is there.
        heartbeat: SqlitePool,
    },
    /// PostgreSQL.
    Postgres {
        /// Connections for everything.
        pool: PgPool,
        /// The connection for checking whether the server is there, which no load keeps busy.
        heartbeat: PgPool,
    },
}

impl Db {
    /// Prepares connections to the database at `url`, without connecting yet.
    pub fn open(url: &str, max_connections: u32, migrations: &'static Migrations) -> Result<Self, OpenError> {
        let sessions = Arc::default();
        let (pools, file) = match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => {
                let (pools, file) = open_sqlite(url, max_connections)?;
                (pools, Some(DatabaseFile::new(file)))
            }
            Some("postgres" | "postgresql") => (open_postgres(url, max_connections, &sessions)?, None),
            _ => {
                return Err(OpenError::Url(
                    "must start with sqlite: (a file) or postgres: (a server)".to_owned(),
                ));
            }
        };
        let (migrates, is_migrated) = (AtomicBool::new(true), AtomicBool::new(false));
        let condition = watch::Sender::new(Condition::Away);
        let (transactions, tried) = (Arc::default(), WriteProbe::default());
        Ok(Self(Arc::new(Inner {
            pools,
            migrations,
            migrates,
            is_migrated,
            condition,
            tried,
            file,
            sessions,
            transactions,
        })))
    }

    /// Leaves it to somebody else to bring the schema up to date.
    pub fn skip_migrations(&self) {
        self.0.migrates.store(false, Ordering::Relaxed);
    }

    /// Brings the schema up to date, or checks whether it is; a newer one will do. Until this has succeeded once,
    /// every use of the database is [`Error::Unavailable`].
    pub async fn migrate(&self) -> Result<(), OpenError> {
        if let Pools::Postgres { pool, heartbeat } = &self.0.pools {
            // Whatever else is wrong is found below.
            if mixes_sessions(heartbeat, pool).await.unwrap_or(false) {
                return Err(OpenError::Pooler);
            }
        }
        let migrated = if self.0.migrates.load(Ordering::Relaxed) {
            self.run_migrations().await
        } else if self.version().await? < self.newest_version() {
            return Err(OpenError::Outdated);
        } else {
            Ok(())
        };
        migrated.map_err(|error| match error {
            MigrateError::Execute(ref cause) if is_unavailable(cause) && !self.is_embedded() => {
                OpenError::Unavailable(error)
            }
            busy if is_busy(&busy) => OpenError::Unavailable(busy),
            other => OpenError::Migration(other),
        })?;
        self.0.file.iter().for_each(DatabaseFile::note);
        self.0.is_migrated.store(true, Ordering::Release);
        self.0.condition.send_replace(Condition::Serving);
        Ok(())
    }

    fn is_migrated(&self) -> bool {
        self.0.is_migrated.load(Ordering::Acquire)
    }

    async fn run_migrations(&self) -> Result<(), MigrateError> {
        let Migrations { sqlite, postgres } = self.0.migrations;
        if let Some(file) = &self.0.file {
            // If there is none afterwards, SQLite says so.
            let _ = file.create();
        }
        match &self.0.pools {
            Pools::Sqlite { writer, .. } => migrate_sqlite(writer, &tolerant(sqlite)).await,
            Pools::Postgres { heartbeat, .. } => migrate_postgres(heartbeat, &tolerant(postgres)).await,
        }
    }

    /// The version of the schema; 0 if there is none.
    async fn version(&self) -> Result<i64, OpenError> {
        const VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations WHERE success";
        let version = match &self.0.pools {
            Pools::Sqlite { heartbeat, .. } => sqlx::query_scalar(VERSION).fetch_one(heartbeat).await,
            Pools::Postgres { heartbeat, .. } => sqlx::query_scalar(VERSION).fetch_one(heartbeat).await,
        };
        match version {
            Err(sqlx::Error::Database(_)) => Ok(0),
            other => other.map_err(|error| OpenError::Unavailable(MigrateError::Execute(error))),
        }
    }

    fn newest_version(&self) -> i64 {
        let Migrations { sqlite, postgres } = self.0.migrations;
        let migrator = if self.is_embedded() { sqlite } else { postgres };
        migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
    }

    /// Like [`Db::migrate`], but a database that is away is not a failure: [`Db::heartbeat`] tries again.
    pub async fn migrate_or_wait(&self) -> Result<(), OpenError> {
        match self.migrate().await {
            Err(error @ (OpenError::Unavailable(_) | OpenError::Outdated)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "starting without the database");
                Ok(())
            }
            migrated => migrated,
        }
    }

    /// How long the oldest transaction of this service has been open: of this process and, on PostgreSQL, of all its
    /// replicas, as the server knew at the last heartbeat.
    #[must_use]
    pub fn oldest_transaction(&self) -> Duration {
        self.0.transactions.oldest()
    }

    /// What metrics report about it, looked up on request.
    #[must_use]
    pub fn collector(&self) -> Box<dyn Collector> {
        Box::new(Database(self.clone()))
    }

    /// The connections, provided the database is there and has its schema.
    pub fn pools(&self) -> Result<&Pools, Error> {
        self.pools_for(Condition::ReadOnly)
    }

    /// Whether the database is there, has its schema, and is writable.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.0.condition.borrow() == Condition::Serving
    }

    fn pools_for(&self, needed: Condition) -> Result<&Pools, Error> {
        if *self.0.condition.borrow() >= needed { Ok(&self.0.pools) } else { Err(Error::Unavailable(None)) }
    }

    /// Closes every connection.
    pub async fn close(&self) {
        match &self.0.pools {
            Pools::Sqlite { reader, writer, heartbeat } => {
                heartbeat.close().await;
                reader.close().await;
                writer.close().await;
            }
            Pools::Postgres { pool, heartbeat } => {
                heartbeat.close().await;
                pool.close().await;
            }
        }
    }

    fn is_embedded(&self) -> bool {
        matches!(self.0.pools, Pools::Sqlite { .. })
    }
}
