//! How a service runs: its database, its edge, its callers, its answers and its metrics. Nothing here knows a
//! service's nouns.

pub mod background;
pub mod caller;
pub mod data;
pub mod db;
pub mod deadline;
pub mod edge;
pub mod filter;
pub mod group;
pub mod grpc;
pub mod http;
pub mod identity;
pub mod keystone;
pub mod metrics;
pub mod page;
pub mod peer;
pub mod program;
pub mod quota;
pub mod scope;
pub mod server;
pub mod status;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
pub mod turns;
