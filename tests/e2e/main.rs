//! The services as real programs, called by real clients.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod article;
mod backup;
mod boot_volumes;
mod bucket;
mod clients;
mod concurrency;
mod conformance;
mod crash;
mod database_is_away;
mod documents;
mod drift;
mod glance_is_away;
mod http;
mod keystone;
mod leaving;
mod limits;
mod memory;
mod metrics;
mod openapi;
mod operations;
mod pooler;
mod process;
mod readme;
mod records;
mod replicas;
mod retry;
mod stalls;
mod telemetry;
mod terminal;
mod tls;
mod uploads;
mod volume_data;
mod volumes;
mod world;
mod writing;
