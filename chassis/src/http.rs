//! The HTTP edge of an OpenStack API, without what is one service's own: request ids, errors in the form that clients
//! read, versions, bodies, conditions, ranges and queries, and the description of the API for programs.
//!
//! A service has a router of handlers that return [`Problem`]s, behind the layer [`Conventions`]. What differs between
//! Glance, Nova and Cinder are parameters of [`Conventions`], and whether there are [`microversion`]s.

use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

pub mod body;
pub mod conditions;
mod conventions;
mod endpoint;
mod error_body;
pub mod microversion;
pub mod openapi;
mod problem;
pub mod query;
pub mod range;
mod router;
pub mod versions;

pub use conventions::{Conventions, ConventionsService, ResponseFuture};
pub use endpoint::Endpoint;
pub use error_body::ErrorBody;
pub use problem::Problem;
pub use router::{Authenticated, beside, unknown};

pub(crate) use conventions::is_grpc;
pub(crate) use error_body::Form;
pub(crate) use problem::render;

/// An answer without a body.
#[must_use]
pub fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
