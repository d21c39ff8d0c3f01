//! Database access of the benchmark itself.

use std::path::Path;

use anyhow::Context as _;
use sqlx::{
    ConnectOptions as _, Connection as _, Database, Executor, IntoArguments, PgConnection, SqliteConnection,
    query::Query, sqlite::SqliteConnectOptions,
};

/// Runs statements that the benchmark composes.
pub(crate) async fn execute<'c, E: Executor<'c>>(connection: E, sql: String) -> anyhow::Result<()> {
    connection.execute(sqlx::AssertSqlSafe(sql)).await?;
    Ok(())
}

/// A statement that the benchmark composes, kept prepared.
pub(crate) fn query<DB: Database>(sql: &str) -> Query<'static, DB, DB::Arguments>
where
    DB::Arguments: IntoArguments<DB>,
{
    sqlx::query(sqlx::AssertSqlSafe(sql))
}

/// A connection to the database at `url`.
pub(crate) async fn connect(url: &str) -> anyhow::Result<PgConnection> {
    PgConnection::connect(url).await.context("the throwaway PostgreSQL answers")
}

/// Number of rows of `instances`.
pub(crate) async fn count_instances(connection: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT COUNT(*) FROM instances").fetch_one(connection).await?)
}

/// Vacuums the database, and returns its size, in bytes.
pub(crate) async fn size(connection: &mut PgConnection) -> anyhow::Result<i64> {
    execute(&mut *connection, "VACUUM (ANALYZE)".to_owned()).await?;
    execute(&mut *connection, "CHECKPOINT".to_owned()).await?;
    Ok(sqlx::query_scalar("SELECT pg_database_size(current_database())").fetch_one(connection).await?)
}

/// A connection to an SQLite file.
pub(crate) async fn connect_sqlite(file: &Path) -> anyhow::Result<SqliteConnection> {
    Ok(SqliteConnectOptions::new().filename(file).connect().await?)
}

/// Size of an SQLite file after a checkpoint, in bytes.
pub(crate) async fn sqlite_size(file: &Path) -> anyhow::Result<u64> {
    let mut connection = connect_sqlite(file).await?;
    execute(&mut connection, "PRAGMA wal_checkpoint(TRUNCATE)".to_owned()).await?;
    Ok(std::fs::metadata(file)?.len())
}
