//! The id of a resource: a UUID, kept as each database keeps it best.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sqlx::{
    Database, Decode, Encode, Postgres, Sqlite, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo},
};
use uuid::Uuid;

use crate::violations::Violations;

/// The UUID of all zeros.
pub const NIL: Uuid = Uuid::nil();

/// A UUID. PostgreSQL keeps it as UUID, SQLite as text, so that people can read it in both.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(Uuid);

/// The text is no UUID of 36 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID such as 6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11")]
pub struct NotAnId;

impl Id {
    /// A new random id.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that makes random ids")]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// A new id that sorts by the time it was made.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that makes ids that sort by time")]
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id of a content with this hash (a UUID of version 8).
    #[must_use]
    pub fn from_hash(hash: &[u8; 16]) -> Self {
        Self(Uuid::new_v8(*hash))
    }

    /// The id that `field` of a request holds.
    pub fn from_field(field: &str, text: &str) -> Result<Self, Violations> {
        text.parse().map_err(|problem: NotAnId| Violations::one(field, problem.to_string()))
    }

    /// The id that sorts right behind this one, if any does.
    #[must_use]
    pub fn next(&self) -> Option<Self> {
        self.0.as_u128().checked_add(1).map(|next| Self(Uuid::from_u128(next)))
    }

    /// The UUID itself.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl From<Uuid> for Id {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for Id {
    type Err = NotAnId;

    /// Takes the form with hyphens only, as Glance and Nova do.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != 36 {
            return Err(NotAnId);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| NotAnId)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(formatter)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Type<Postgres> for Id {
    fn type_info() -> <Postgres as Database>::TypeInfo {
        <Uuid as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Id {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode_by_ref(&self.0, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Id {
    fn decode(value: <Postgres as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Decode::<Postgres>::decode(value).map(Self)
    }
}

impl PgHasArrayType for Id {
    fn array_type_info() -> PgTypeInfo {
        <Uuid as PgHasArrayType>::array_type_info()
    }
}

impl Type<Sqlite> for Id {
    fn type_info() -> <Sqlite as Database>::TypeInfo {
        <str as Type<Sqlite>>::type_info()
    }
}

impl Encode<'_, Sqlite> for Id {
    fn encode_by_ref(
        &self,
        buffer: &mut <Sqlite as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        Encode::<Sqlite>::encode(self.to_string(), buffer)
    }
}

impl<'r> Decode<'r, Sqlite> for Id {
    fn decode(value: <Sqlite as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(<&str as Decode<Sqlite>>::decode(value)?.parse()?)
    }
}
