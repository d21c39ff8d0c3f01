//! The one place that reads the clock.

use chrono::{DateTime, SubsecRound as _, Utc};

/// Now, in the whole microseconds that both databases keep.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
