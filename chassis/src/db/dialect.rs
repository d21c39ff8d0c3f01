//! One SQL text for both databases, and helpers for statements that need different words, or take many values in
//! different forms.

use serde::Serialize;
use sqlx::{
    Database, Encode, PgConnection, Postgres, Sqlite, SqliteConnection, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo},
};

/// Which of the two databases a connection leads to, for the few statements whose texts differ.
pub trait Dialect {
    /// The text for this database.
    fn pick(&self, sqlite: &'static str, postgres: &'static str) -> &'static str;
}

impl Dialect for SqliteConnection {
    fn pick(&self, sqlite: &'static str, _: &'static str) -> &'static str {
        sqlite
    }
}

impl Dialect for PgConnection {
    fn pick(&self, _: &'static str, postgres: &'static str) -> &'static str {
        postgres
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
