//! A statement on its connection.

use sqlx::{
    PgConnection, Postgres, SqlStr, Sqlite, SqliteConnection, postgres::PgArguments, sqlite::SqliteArguments,
};
use tokio_stream::StreamExt as _;

use super::{
    Connection, Error,
    connection::Leased,
    row::Row,
    sql::Sql,
    value::{Arguments, Value, Values},
};

/// A statement on its connection, to which values are bound. `O` is what its rows are read as.
#[must_use = "a query does nothing until it is executed or fetched"]
#[derive(Debug)]
pub struct Query<'c, O = ()> {
    connection: &'c mut Connection,
    text: SqlStr,
    arguments: Arguments,
    is_persistent: bool,
    read: fn(Row) -> Result<O, sqlx::Error>,
}

/// A statement in progress.
enum Running<'c> {
    Sqlite(&'c mut SqliteConnection, sqlx::query::Query<'static, Sqlite, SqliteArguments>),
    Postgres(&'c mut PgConnection, sqlx::query::Query<'static, Postgres, PgArguments>),
}

impl<'c, O> Query<'c, O> {
    pub(super) fn new(
        connection: &'c mut Connection,
        sql: Sql,
        read: fn(Row) -> Result<O, sqlx::Error>,
    ) -> Self {
        let (text, arguments) = sql.prepare(connection.dialect());
        Self { connection, text, arguments, is_persistent: true, read }
    }

    /// Binds the value of the next placeholder: `$1`, `$2`, ….
    pub fn bind<'v>(mut self, value: impl Value<'v>) -> Self {
        self.arguments.add(value);
        self
    }

    /// Whether it stays prepared on its connection, as it does unless said otherwise.
    pub const fn persistent(mut self, is_persistent: bool) -> Self {
        self.is_persistent = is_persistent;
        self
    }

    /// All rows.
    pub async fn fetch_all(self) -> Result<Vec<O>, Error> {
        let mut rows = Vec::new();
        self.for_each(|row| rows.push(row)).await?;
        Ok(rows)
    }

    /// The only row; an error if there is none.
    pub async fn fetch_one(self) -> Result<O, Error> {
        self.fetch_optional().await?.ok_or_else(|| sqlx::Error::RowNotFound.into())
    }

    /// The first row, if there is one.
    pub async fn fetch_optional(self) -> Result<Option<O>, Error> {
        let Self { connection, text, arguments, is_persistent, read } = self;
        let row = match connection.start(text, arguments, is_persistent)? {
            Running::Sqlite(connection, query) => query.fetch_optional(connection).await?.map(Row::Sqlite),
            Running::Postgres(connection, query) => {
                query.fetch_optional(connection).await?.map(Row::Postgres)
            }
        };
        connection.finish();
        Ok(row.map(read).transpose()?)
    }

    /// Gives the rows one by one as they arrive, so that not all of them need be in memory.
    pub async fn for_each(self, mut take: impl FnMut(O)) -> Result<(), Error> {
        let Self { connection, text, arguments, is_persistent, read } = self;
        match connection.start(text, arguments, is_persistent)? {
            Running::Sqlite(connection, query) => {
                let mut rows = query.fetch(connection);
                while let Some(row) = rows.next().await {
                    take(read(Row::Sqlite(row?))?);
                }
            }
            Running::Postgres(connection, query) => {
                let mut rows = query.fetch(connection);
                while let Some(row) = rows.next().await {
                    take(read(Row::Postgres(row?))?);
                }
            }
        }
        connection.finish();
        Ok(())
    }
}

impl Query<'_> {
    /// Executes it; gives the number of rows that it inserted, updated or deleted.
    pub async fn execute(self) -> Result<u64, Error> {
        let Self { connection, text, arguments, is_persistent, .. } = self;
        let affected = match connection.start(text, arguments, is_persistent)? {
            Running::Sqlite(connection, query) => query.execute(connection).await?.rows_affected(),
            Running::Postgres(connection, query) => query.execute(connection).await?.rows_affected(),
        };
        connection.finish();
        Ok(affected)
    }
}

impl Connection {
    /// Begins a statement, which is in progress until [`Connection::finish`].
    fn start(
        &mut self,
        text: SqlStr,
        arguments: Arguments,
        is_persistent: bool,
    ) -> Result<Running<'_>, sqlx::Error> {
        match (&mut self.0, arguments.values()?) {
            (Leased::Sqlite(lease), Values::Sqlite(values)) => {
                Ok(Running::Sqlite(lease.start(), sqlx::query_with(text, values).persistent(is_persistent)))
            }
            (Leased::Postgres(lease), Values::Postgres(values)) => {
                Ok(Running::Postgres(lease.start(), sqlx::query_with(text, values).persistent(is_persistent)))
            }
            _ => Err(sqlx::Error::Configuration("the statement was written for the other database".into())),
        }
    }

    /// Records that the last statement has succeeded.
    const fn finish(&mut self) {
        match &mut self.0 {
            Leased::Sqlite(lease) => lease.finish(),
            Leased::Postgres(lease) => lease.finish(),
        }
    }
}
