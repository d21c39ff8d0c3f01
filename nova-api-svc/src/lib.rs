//! Instances: created from images, with the image's properties in their system metadata.
//!
//! `grpc` (the edge) → `pipeline` (create), `operations` (what happens then) and
//! `instances`, `drift`, `flavors` (the rest) → `glance` (the image catalogue) and
//! `store` (SQL); `instance` holds plain data and knows none of them.

pub mod config;
pub mod drift;
pub mod error;
pub mod flavors;
pub mod grpc;
pub mod instance;
pub mod instances;
pub mod list;
pub mod operations;
pub mod pipeline;
pub mod quota;
pub mod store;
