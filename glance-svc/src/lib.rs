//! The image catalogue: images, their properties, and the history of both.
//!
//! `grpc` (the edge) → `images` (use cases) → `store` (SQL); `image` holds the rules and knows neither.

pub mod config;
pub mod error;
pub mod grpc;
pub mod image;
pub mod images;
pub mod list;
pub mod store;
