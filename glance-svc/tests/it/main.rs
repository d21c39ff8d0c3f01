//! glance-svc as its callers see it: a real server, a real client, and each test on both databases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod attributes;
mod batch;
mod concurrency;
mod connections;
mod create;
mod data;
mod database;
mod delete;
mod filter;
mod formats;
mod history;
mod http;
mod large;
mod leases;
mod list_model;
mod list_scale;
mod members;
mod openapi;
mod outage;
mod page;
mod page_token;
mod properties;
mod property_limits;
mod schema;
mod statements;
mod status;
mod support;
mod tags;
mod time_machine;
mod together;
mod wire;
