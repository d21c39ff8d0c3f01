//! The id of a resource: a UUID.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::violations::Violations;

#[cfg(feature = "sqlx")]
mod column;

/// The UUID of all zeros.
pub const NIL: Uuid = Uuid::nil();

/// A UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(Uuid);

/// The text is not a UUID of 36 characters.
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

    /// A new id that sorts by creation time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that makes ids that sort by time")]
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id of content with this hash (a UUID of version 8).
    #[must_use]
    pub fn from_hash(hash: &[u8; 16]) -> Self {
        Self(Uuid::new_v8(*hash))
    }

    /// The id in `field` of a request.
    pub fn from_field(field: &str, text: &str) -> Result<Self, Violations> {
        text.parse().map_err(|problem: NotAnId| Violations::one(field, problem.to_string()))
    }

    /// The id in `field` of a request; a malformed one is a violation, for which the request is refused before the id is
    /// used.
    pub fn read(field: &str, text: &str, violations: &mut Violations) -> Self {
        violations.take(field, text.parse()).unwrap_or(Self(NIL))
    }

    /// The id that sorts directly after this one, if there is one.
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

    /// Accepts only the form with hyphens, as Glance and Nova do.
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
