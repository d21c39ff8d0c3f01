//! Instances: created from images, with the image's properties in their system metadata.
//!
//! `grpc` (the edge) → `compute` (the use cases) → `peers::glance` (the image catalogue) and `store` (SQL); `instance`
//! holds plain data and knows none of them.

pub mod compute;
pub mod config;
pub mod error;
pub mod grpc;
pub mod instance;
pub mod list;
pub mod quota;
pub mod store;
