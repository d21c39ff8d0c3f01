//! nova-api-svc as its callers see it: a real server, a real client, and each test on both databases. Its
//! peers, the image catalogue and the volume service, are doubles on the network.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod batch;
mod boot;
mod checks;
mod cinder;
mod clock;
mod create;
mod database;
mod delete;
mod flavor;
mod idempotency;
mod inherited;
mod list;
mod malformed;
mod merged;
mod operations;
mod paging;
mod peer;
mod quota;
mod records;
mod support;
mod system_metadata;
mod together;
mod volumes;
mod wire;

use peers::testing::glance;
