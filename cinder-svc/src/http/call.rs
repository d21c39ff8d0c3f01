//! What each handler needs to know of a request.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, OriginalUri},
    http::request::Parts,
};
use chassis::{
    caller::{Actor, Caller},
    deadline::Deadline,
    http::{Problem, microversion::Microversion, versions::Link},
    identity,
};
use common::violations::Violations;

use super::{Api, path};

/// Who makes a request, until when it must be answered, in which version, and where its links lead.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) caller: Arc<Caller>,
    pub(super) deadline: Option<Deadline>,
    pub(super) version: Microversion,
    /// The URL of the version, with the project if the request names it; no slash at its end.
    base: String,
}

impl FromRequestParts<Arc<Api>> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let version = Microversion::from_request_parts(parts, api).await?;
        let caller = identity::caller(&parts.extensions)?;
        let endpoint = api.endpoint.at(&parts.uri, &parts.headers, &parts.extensions);
        let original = parts.extensions.get::<OriginalUri>();
        let (caller, base) = match original.and_then(|uri| path::project(uri.path())) {
            None => (caller, format!("{endpoint}/v3")),
            Some(project) => (in_project(caller, project)?, format!("{endpoint}/v3/{project}")),
        };
        Ok(Self { caller, deadline: parts.extensions.get().copied(), version, base })
    }
}

/// The caller, whose project must be the one that the path names. An operator without a project works in that one.
fn in_project(caller: Arc<Caller>, project: &str) -> Result<Arc<Caller>, Violations> {
    match caller.project() {
        Some(own) if own == project => Ok(caller),
        None if caller.is_admin => {
            let actor = Actor { project_id: project.to_owned(), ..caller.actor.clone() };
            Ok(Arc::new(Caller { actor, ..Caller::clone(&caller) }))
        }
        _ => Err(Violations::one("project_id", "in the path must be the caller's project")),
    }
}

impl Call {
    /// The URL of a path of the API, such as `volumes`.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    /// The links to a resource that is at this path.
    pub(super) fn links(&self, path: &str) -> Vec<Link> {
        ["self", "bookmark"].map(|rel| Link { href: self.url(path), rel }).into()
    }
}
