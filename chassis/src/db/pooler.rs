//! Poolers between a service and PostgreSQL that give each transaction another session: what the driver prepares is
//! gone by the next statement, and what is set is set for somebody else.

use sqlx::{Executor as _, PgConnection, PgPool, Row as _};

/// How often to try: other clients of the pooler may hide it.
const TRIES: usize = 3;

/// Whether two connections turn out, behind a pooler, to be the same session, or one does not stay the same for long.
/// Without a pooler, or behind one that keeps sessions apart, each has its own server process.
pub(super) async fn mixes_sessions(one: &PgPool, other: &PgPool) -> Result<bool, sqlx::Error> {
    let (mut one, mut other) = (one.acquire().await?, other.acquire().await?);
    one.close_on_drop();
    other.close_on_drop();
    for _ in 0..TRIES {
        let before = process(&mut one).await?;
        match other.execute("BEGIN").await {
            // Not even a transaction has a session to itself.
            Err(sqlx::Error::Database(_)) => return Ok(true),
            begun => begun?,
        };
        let others = process(&mut other).await?;
        let after = process(&mut one).await?;
        other.execute("ROLLBACK").await?;
        // A database that is no PostgreSQL may have no processes.
        if before > 0 && (before != after || before == others) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The server process that answers; nothing is prepared for that.
async fn process(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    connection.fetch_one(sqlx::raw_sql("SELECT pg_backend_pid()")).await?.try_get(0)
}
