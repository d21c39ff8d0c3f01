//! Doubles of our own services for tests of those that call them: they remember who asked, and misbehave on request.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a test may panic"
)]

pub mod glance;
