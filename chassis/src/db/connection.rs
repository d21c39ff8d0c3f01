//! Connections and transactions, whichever of the two drivers is behind them.

use std::{
    future::Future,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use sqlx::{Pool, Postgres, Sqlite};

use super::{
    Db, Dialect, Engine, Error, FromRow, Lease, Pools, Query, QueryBuilder, Sql, condition::Condition,
    retrying, row::Row,
};

/// A connection, for statements that commit by themselves. When it is dropped, it goes back to its pool: at once if its
/// last statement has succeeded, else once it is proved that nothing is in progress. Nobody asks for a second one while
/// holding one: with all connections held that way, everybody would wait.
#[derive(Debug)]
pub struct Connection(pub(super) Leased);

/// A connection on loan, of either driver.
#[derive(Debug)]
pub(super) enum Leased {
    Sqlite(Lease<Sqlite>),
    Postgres(Lease<Postgres>),
}

/// A connection with an open transaction, which is rolled back unless it is committed: also when its future is dropped,
/// at whatever await.
#[derive(Debug)]
pub struct Transaction(Connection);

impl Connection {
    /// Which of the two databases it leads to.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        match self.0 {
            Leased::Sqlite(_) => Dialect::Sqlite,
            Leased::Postgres(_) => Dialect::Postgres,
        }
    }

    /// A statement to be executed. It is prepared once, and stays prepared on this connection.
    pub fn query(&mut self, sql: impl Into<Sql>) -> Query<'_> {
        Query::new(self, sql.into(), |_| Ok(()))
    }

    /// A statement that reads rows.
    pub fn query_as<O: FromRow>(&mut self, sql: impl Into<Sql>) -> Query<'_, O> {
        Query::new(self, sql.into(), Row::read)
    }

    /// A statement that reads rows of one value.
    pub fn query_scalar<O>(&mut self, sql: impl Into<Sql>) -> Query<'_, O>
    where
        (O,): FromRow,
    {
        Query::new(self, sql.into(), |row| row.read().map(|(value,)| value))
    }

    /// A statement for this connection that is written piece by piece, beginning with `sql`.
    #[must_use]
    pub fn builder(&self, sql: &'static str) -> QueryBuilder {
        QueryBuilder::new(self.dialect(), sql)
    }
}

impl Transaction {
    /// Commits the transaction. A caller that leaves before the answer does not learn whether it was committed.
    pub async fn commit(self) -> Result<(), Error> {
        match self.0.0 {
            Leased::Sqlite(lease) => lease.commit().await,
            Leased::Postgres(lease) => lease.commit().await,
        }
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

impl Db {
    /// Which of the two databases it is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self.0.pools {
            Pools::Sqlite { .. } => Dialect::Sqlite,
            Pools::Postgres { .. } => Dialect::Postgres,
        }
    }

    /// A statement that is written piece by piece, beginning with `sql`.
    #[must_use]
    pub fn builder(&self, sql: &'static str) -> QueryBuilder {
        QueryBuilder::new(self.dialect(), sql)
    }

    /// A connection to read from; one statement sees one state of the database.
    pub async fn reader(&self) -> Result<Connection, Error> {
        let needed = Condition::ReadOnly;
        Ok(Connection(match self.pools_for(needed)? {
            Pools::Sqlite { reader, .. } => Leased::Sqlite(self.lease(reader, needed).await?),
            Pools::Postgres { pool, .. } => Leased::Postgres(self.lease(pool, needed).await?),
        }))
    }

    /// A connection to write with.
    pub async fn writer(&self) -> Result<Connection, Error> {
        let needed = Condition::Serving;
        Ok(Connection(match self.pools_for(needed)? {
            Pools::Sqlite { writer, .. } => Leased::Sqlite(self.lease(writer, needed).await?),
            Pools::Postgres { pool, .. } => Leased::Postgres(self.lease(pool, needed).await?),
        }))
    }

    /// Executes one statement, which commits by itself, again while other transactions are in its way; gives the number
    /// of rows that it inserted, updated or deleted.
    pub async fn execute(&self, query: impl Fn(&mut Connection) -> Query<'_>) -> Result<u64, Error> {
        retrying(async || {
            let mut connection = self.writer().await?;
            query(&mut connection).execute().await
        })
        .await
    }

    /// Begins a transaction that may write.
    pub async fn begin(&self) -> Result<Transaction, Error> {
        let mut connection = self.writer().await?;
        match &mut connection.0 {
            Leased::Sqlite(lease) => self.while_there(lease.begin(), Condition::Serving).await?,
            Leased::Postgres(lease) => self.while_there(lease.begin(), Condition::Serving).await?,
        }
        Ok(Transaction(connection))
    }

    /// Waits for a connection, in the order of arrival.
    async fn lease<DB: Engine>(&self, pool: &Pool<DB>, needed: Condition) -> Result<Lease<DB>, Error> {
        let connection = self.while_there(pool.acquire(), needed).await?;
        Ok(Lease::new(connection, Arc::clone(&self.0.transactions)))
    }

    /// Waits for as long as the database is in the needed condition.
    async fn while_there<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
        needed: Condition,
    ) -> Result<T, Error> {
        let mut condition = self.0.condition.subscribe();
        tokio::select! {
            biased;
            done = work => Ok(done?),
            _ = condition.wait_for(|condition| *condition < needed) => Err(Error::Unavailable(None)),
        }
    }
}
