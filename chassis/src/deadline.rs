//! The time a caller is willing to wait, read from `grpc-timeout` and passed on to peers.

use std::time::{Duration, Instant};

use axum::http::HeaderMap;

/// Minimum time reserved for the answer's way back; timers are no more precise than a millisecond.
const WAY_BACK: Duration = Duration::from_millis(2);

/// When the answer to a request must have been sent.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline of a request that arrived now; `None` if its caller waits for as long as it takes.
    ///
    /// A twentieth of the caller's time is reserved for the way back, at least 2 ms, so that a caller gets our answer
    /// and not its own timeout or the gRPC library's.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let timeout = parse(headers.get("grpc-timeout")?.to_str().ok()?)?;
        let kept = (timeout / 20).max(WAY_BACK);
        Instant::now().checked_add(timeout.saturating_sub(kept)).map(Self)
    }

    /// The deadline, or the end of `longest` from now if that is earlier.
    #[must_use]
    pub fn earlier(deadline: Option<Self>, longest: Duration) -> Option<Self> {
        let end = Instant::now().checked_add(longest).map(Self);
        match (deadline, end) {
            (Some(deadline), Some(end)) => Some(Self(deadline.0.min(end.0))),
            (deadline, end) => deadline.or(end),
        }
    }

    /// The time that is left.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The instant itself, for timers.
    #[must_use]
    pub fn instant(self) -> tokio::time::Instant {
        self.0.into()
    }

    /// How long a call to a peer may take: four fifths of what is left, at most `limit`, so that time remains
    /// to act on its answer.
    #[must_use]
    pub fn share(deadline: Option<Self>, limit: Duration) -> Duration {
        deadline.map_or(limit, |deadline| (deadline.remaining() * 4 / 5).min(limit))
    }
}

/// Reads `grpc-timeout`: at most eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit_and_refuses_the_rest() {
        assert_eq!(parse("2H"), Some(Duration::from_hours(2)));
        assert_eq!(parse("3M"), Some(Duration::from_mins(3)));
        assert_eq!(parse("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("7u"), Some(Duration::from_micros(7)));
        assert_eq!(parse("7n"), Some(Duration::from_nanos(7)));
        for bad in ["", "S", "1", "1x", "-1S", "+1S", "123456789S", "1é"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
