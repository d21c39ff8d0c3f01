//! Rows to be written. All rows of a statement are sent as one JSON text, so that the statement stays the same, and
//! prepared, however many there are.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

/// Rows in the form that a statement takes.
///
/// # Panics
///
/// If they are not plain data.
pub fn json(rows: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(rows).expect("rows are plain data")
}

/// A time as SQLite's driver writes it, which PostgreSQL can read as well; for `serialize_with`.
pub fn as_text<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, false))
}

/// A time as [`Micros`](super::Micros) in SQLite, for `serialize_with`.
pub fn as_micros<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(time.timestamp_micros())
}
