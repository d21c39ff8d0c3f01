//! Values of statements. Each is written down when it is bound, in the form of the database that it is for.

use std::fmt;

use serde::Serialize;
use sqlx::{
    Arguments as _, Database, Encode, Postgres, Sqlite, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgHasArrayType, PgTypeInfo},
    sqlite::SqliteArguments,
};

use super::Dialect;

/// A value that either database can take.
pub trait Value<'v>: Encode<'v, Sqlite> + Type<Sqlite> + Encode<'v, Postgres> + Type<Postgres> {}

impl<'v, T> Value<'v> for T where T: Encode<'v, Sqlite> + Type<Sqlite> + Encode<'v, Postgres> + Type<Postgres> {}

/// The values of a statement so far.
pub(super) struct Arguments {
    values: Values,
    /// Why one of them could not be written down.
    problem: Option<BoxDynError>,
}

/// In the form of one of the two databases.
pub(super) enum Values {
    Sqlite(SqliteArguments),
    Postgres(PgArguments),
}

impl Arguments {
    pub(super) fn new(dialect: Dialect) -> Self {
        let values = match dialect {
            Dialect::Sqlite => Values::Sqlite(SqliteArguments::default()),
            Dialect::Postgres => Values::Postgres(PgArguments::default()),
        };
        Self { values, problem: None }
    }

    /// Adds a value. If it cannot be written down, the statement will fail.
    pub(super) fn add<'v>(&mut self, value: impl Value<'v>) {
        let added = match &mut self.values {
            Values::Sqlite(values) => values.add(value),
            Values::Postgres(values) => values.add(value),
        };
        if let Err(problem) = added {
            self.problem.get_or_insert(problem);
        }
    }

    /// Writes the placeholder of the last value.
    pub(super) fn write_placeholder(&self, text: &mut String) -> fmt::Result {
        match &self.values {
            Values::Sqlite(values) => values.format_placeholder(text),
            Values::Postgres(values) => values.format_placeholder(text),
        }
    }

    /// The values, all of which could be written down.
    pub(super) fn values(self) -> Result<Values, sqlx::Error> {
        self.problem.map_or(Ok(self.values), |problem| Err(sqlx::Error::Encode(problem)))
    }
}

impl fmt::Debug for Arguments {
    /// Without the values, which nobody is to find in a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Arguments").field("problem", &self.problem).finish_non_exhaustive()
    }
}

/// Any number of values in one place of a statement: an array in PostgreSQL (`= ANY($1)`), JSON in SQLite
/// (`IN (SELECT value FROM json_each($1))`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Many<T>(pub Vec<T>);

impl<T: PgHasArrayType> Type<Postgres> for Many<T> {
    fn type_info() -> PgTypeInfo {
        T::array_type_info()
    }
}

impl<'q, T> Encode<'q, Postgres> for Many<T>
where
    Vec<T>: Encode<'q, Postgres>,
{
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        self.0.encode_by_ref(buffer)
    }
}

impl<T> Type<Sqlite> for Many<T> {
    fn type_info() -> <Sqlite as Database>::TypeInfo {
        <str as Type<Sqlite>>::type_info()
    }
}

impl<T: Serialize> Encode<'_, Sqlite> for Many<T> {
    fn encode_by_ref(
        &self,
        buffer: &mut <Sqlite as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        Encode::<Sqlite>::encode(serde_json::to_string(&self.0)?, buffer)
    }
}
