//! Values of resources in the forms in which clients read them.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// A time as clients read it: in UTC, without saying so (gophercloud refuses a `Z`).
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// A text, or none if it is empty.
pub(super) fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// What `null` stands for: what this service does not have.
pub(super) const NOTHING: Option<Value> = Some(Value::Null);
