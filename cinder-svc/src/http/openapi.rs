//! The description of this API for programs: what the handlers say of themselves, in one document.

use chassis::http::openapi::{Errors, complete};
use serde_json::Value;
use utoipa::OpenApi;

use super::{CONVENTIONS, routes};

/// The groups of calls.
pub(super) const VOLUMES: &str = "Volumes";
pub(super) const SNAPSHOTS: &str = "Snapshots";
pub(super) const ATTACHMENTS: &str = "Attachments";
pub(super) const TRANSFERS: &str = "Transfers";
pub(super) const TYPES: &str = "Volume types";
pub(super) const QUOTAS: &str = "Quotas";
pub(super) const VERSIONS: &str = "Versions";

/// What the document says beside its calls.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Block Storage API",
        version = "3.71",
        license(name = "Apache 2.0", identifier = "Apache-2.0"),
        description = ABOUT,
    ),
    servers((url = "/")),
    tags(
        (name = VOLUMES, description = "Create, find, change and delete volumes."),
        (name = SNAPSHOTS, description = "Volumes as they were."),
        (name = ATTACHMENTS, description = "Who uses a volume."),
        (name = TRANSFERS, description = "Volumes that are offered to other projects."),
        (name = TYPES, description = "Kinds of volumes."),
        (name = QUOTAS, description = "How much a project may use, and uses."),
        (name = VERSIONS, description = "What this service is and what it speaks."),
    ),
)]
pub(super) struct Frame;

const ABOUT: &str = "Volumes over HTTP: OpenStack's Block Storage API v3. The same volumes are served over gRPC on the \
                     same port.

A path may name the caller's project behind `/v3/`, as in `/v3/PROJECT/volumes`. A request chooses the version that it \
                     speaks in `OpenStack-API-Version: volume 3.71`; without that, it speaks 3.0. Every answer names \
                     its request in `x-openstack-request-id`; the reason of an error stands in `x-error-reason`.";

/// What errors mean in this API, by their status.
const ERRORS: &Errors = &[
    (400, "Something in the request is wrong, or the state of the volume does not allow it."),
    (401, "The request does not say who is calling."),
    (403, "The caller must not do that."),
    (404, "There is no such resource, or the caller must not see it."),
    (409, "It is there already, or is being changed by others."),
    (413, "The body is larger than allowed, or the project would use more than it may."),
    (415, "The body is of a type that this call does not take, or is coded."),
    (500, "A failure of the service; its log says more."),
    (503, "The service is busy, or the database or the image service is away; try again."),
];

/// The description of the API for programs (OpenAPI 3.1).
#[must_use]
pub fn document() -> Value {
    complete(&routes().into_openapi(), CONVENTIONS, ERRORS)
}
