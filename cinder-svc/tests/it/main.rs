//! cinder-svc as its callers see it: a real server, a real client, and each test on both databases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod attachments;
mod create;
mod http;
mod list;
mod operations;
mod quota;
mod snapshots;
mod storage;
mod support;
mod transfers;
mod upload;
mod volume_type;
