//! The calls of an API over HTTP, beside those over gRPC.

use std::sync::Arc;

use axum::{Router, extract::FromRequestParts, http::request::Parts, routing::MethodRouter};

use super::{Conventions, Problem};
use crate::{caller::Caller, identity};

/// Who is calling, for a handler that is not open to everybody.
#[derive(Debug, Clone)]
pub struct Authenticated(pub Arc<Caller>);

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(identity::caller(&parts.extensions)?))
    }
}

/// Serves `api`, whose calls follow these conventions, and `grpc` on one port. `unknown` answers what neither has.
pub fn beside(grpc: Router, api: Router, unknown: MethodRouter, conventions: Conventions) -> Router {
    grpc.merge(api.layer(conventions)).fallback_service(unknown.layer(conventions))
}

/// Answers that there is no such resource.
pub async fn unknown() -> Problem {
    Problem::no_such_resource()
}
