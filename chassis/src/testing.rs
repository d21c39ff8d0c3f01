//! What the tests of every service need: a fresh database of either kind, a server in the process of the test, and
//! checks of errors.

use std::future::Future;

use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use common::id::Id;

mod errors;
mod server;

pub use errors::{Values, assert_error, assert_violation, bad_fields, fields, reason, violations};
pub use server::{connect, made_as, made_by, open, serve};

/// A database that lives as long as this value.
#[derive(Debug)]
pub struct TestDb {
    /// Its URL.
    pub url: String,
    drop: DropWith,
}

#[derive(Debug)]
enum DropWith {
    Folder { _folder: TempDir },
    Statement { server: String, statement: String },
}

impl TestDb {
    /// An SQLite file in its own folder.
    #[must_use]
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let url = format!("sqlite://{}", folder.path().join("test.sqlite").display());
        Self { url, drop: DropWith::Folder { _folder: folder } }
    }

    /// A database on the PostgreSQL server of `TEST_POSTGRES_URL`. Having no server is a failure, not a skip.
    pub async fn postgres() -> Self {
        let server = postgres_server();
        let name = format!("test_{}", Id::random().as_uuid().simple());
        execute(&server, format!("CREATE DATABASE {name}")).await;
        let (address, _) = server.rsplit_once('/').expect("TEST_POSTGRES_URL ends with /database");
        Self {
            url: format!("{address}/{name}"),
            drop: DropWith::Statement {
                server,
                statement: format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            },
        }
    }
}

impl TestDb {
    /// Like [`TestDb::postgres`], with the strictest isolation: transactions that overlap are refused all the time.
    pub async fn serializable() -> Self {
        let db = Self::postgres().await;
        let (_, name) = db.url.rsplit_once('/').expect("the URL ends with /database");
        let strict = format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'");
        execute(&postgres_server(), strict).await;
        db
    }

    /// Another database of the same kind.
    pub async fn another(&self) -> Self {
        match self.drop {
            DropWith::Folder { .. } => Self::sqlite(),
            DropWith::Statement { .. } => Self::postgres().await,
        }
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let DropWith::Statement { server, statement } = &mut self.drop else { return };
        let (server, statement) = (std::mem::take(server), std::mem::take(statement));
        block_on_new_thread(async move { execute(&server, statement).await });
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration but its environment")]
fn postgres_server() -> String {
    std::env::var("TEST_POSTGRES_URL").expect(
        "TEST_POSTGRES_URL must name a PostgreSQL server, such as postgres://postgres@127.0.0.1/postgres; \
         `cargo xtask test` starts one",
    )
}

async fn execute(server: &str, statement: String) {
    let mut connection = PgConnection::connect(server).await.expect("the PostgreSQL server answers");
    // A database name cannot be bound; this one is made of a UUID.
    connection.execute(sqlx::AssertSqlSafe(statement)).await.expect("the statement succeeds");
}

/// Dropping happens inside a runtime, where blocking on another future needs a thread of its own.
fn block_on_new_thread(future: impl Future<Output = ()> + Send + 'static) {
    let ended = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(future);
    })
    .join();
    drop(ended);
}

/// Turns each `async fn name(db: TestDb)` into one test on SQLite and one on PostgreSQL.
///
/// Each runs on several threads, so that clients go on talking while a test waits for a process.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::testing::TestDb::sqlite()).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::testing::TestDb::postgres().await).await;
                }
            )+
        }
    };
}
