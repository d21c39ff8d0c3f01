//! The image catalogue: images, their properties, and the history of both.
//!
//! `api` (gRPC) → `images` (use cases) → `store` (SQL); `image` holds the rules and knows neither.

pub mod api;
pub mod config;
pub mod error;
pub mod image;
pub mod images;
pub mod list;
pub mod store;
