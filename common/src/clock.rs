//! Time: the one place that reads the clock, and how messages carry it.

use chrono::{DateTime, SubsecRound as _, Utc};
use prost_types::Timestamp;

/// Now, in the whole microseconds that both databases keep.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// A time as messages carry it.
#[must_use]
pub fn timestamp(time: DateTime<Utc>) -> Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    Timestamp { seconds: time.timestamp(), nanos }
}
