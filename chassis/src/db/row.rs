//! Rows of either driver, and what they are read as.

use sqlx::{postgres::PgRow, sqlite::SqliteRow};

/// What a row of either database can be read as: `#[derive(sqlx::FromRow)]` does for a struct, and tuples are.
pub trait FromRow: Sized + for<'r> sqlx::FromRow<'r, SqliteRow> + for<'r> sqlx::FromRow<'r, PgRow> {}

impl<T> FromRow for T where T: for<'r> sqlx::FromRow<'r, SqliteRow> + for<'r> sqlx::FromRow<'r, PgRow> {}

/// A row.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// What it says.
    pub(super) fn read<T: FromRow>(self) -> Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => T::from_row(&row),
            Self::Postgres(row) => T::from_row(&row),
        }
    }
}
