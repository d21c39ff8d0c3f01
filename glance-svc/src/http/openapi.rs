//! The description of this API for programs: what the handlers say of themselves, in one document.

use chassis::http::openapi::{Errors, complete, link};
use serde_json::Value;
use utoipa::OpenApi;

use super::{CONVENTIONS, routes};

pub(super) mod parameters;
pub(super) mod schema;

/// The groups of calls.
pub(super) const IMAGES: &str = "Images";
pub(super) const DATA: &str = "Data";
pub(super) const TAGS: &str = "Tags";
pub(super) const MEMBERS: &str = "Members";
pub(super) const VERSIONS: &str = "Versions";
pub(super) const NOT_OFFERED: &str = "Not offered";

/// What the document says beside its calls.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Image API",
        version = "2.17",
        license(name = "Apache 2.0", identifier = "Apache-2.0"),
        description = ABOUT,
    ),
    servers((url = "/")),
    tags(
        (name = IMAGES, description = "Register, find, change and delete images."),
        (name = DATA, description = "What is in an image."),
        (name = TAGS, description = "Words to find images by."),
        (name = MEMBERS, description = "Projects that an image is shared with."),
        (name = VERSIONS, description = "What this service is and what it speaks."),
        (name = NOT_OFFERED, description = "Calls of OpenStack's API, answered as where the feature is switched off."),
    ),
    components(schemas(
        schema::ImageId, schema::MemberId, schema::Tag, schema::Status, schema::Visibility,
        schema::MemberStatus, schema::PropertyValue, schema::Image,
    )),
)]
pub(super) struct Frame;

const ABOUT: &str = "The image catalogue over HTTP: OpenStack's Image API v2. The same images are served over gRPC \
                     on the same port.

An image has base attributes of fixed meaning and properties of any name; both stand side by side in its JSON. \
                     Every answer names its request in `x-openstack-request-id`. An error is a page of HTML, or JSON \
                     or plain text where `Accept` names application/json or text/plain; its reason also stands in \
                     `x-error-reason`. A resource that lacks a method answers 405, with `Allow`.";

/// What errors mean in this API, by their status.
const ERRORS: &Errors = &[
    (400, "Something in the request is wrong: all of it is listed."),
    (401, "The request does not say who is calling."),
    (
        403,
        "The caller must not do that, or the image forbids it: an attribute that only the service sets, an image \
         that is protected or not shared, a status that does not allow it.",
    ),
    (404, "There is no such resource, or the caller must not see it."),
    (
        409,
        "It is there already, or is not there to be replaced or removed, or the image has its data already.",
    ),
    (410, "The image was deleted or changed during the upload."),
    (
        412,
        "It has another etag than `If-Match` names, or is there already and must not be (`If-None-Match`).",
    ),
    (413, "The body, the data, or the image would be larger than allowed, or the data store is full."),
    (415, "The body is of a type that this call does not take, or is coded."),
    (416, "The part begins behind the end of the data."),
    (500, "A failure of the service; its log says more."),
    (503, "The service is busy, or the database or the data store is away; try again."),
];

/// The calls about one image, which a new one leads to.
const OF_AN_IMAGE: [&str; 11] = [
    "showImage",
    "updateImage",
    "deleteImage",
    "uploadData",
    "downloadData",
    "deactivateImage",
    "reactivateImage",
    "addTag",
    "removeTag",
    "listMembers",
    "addMember",
];

/// The calls about one member, which a new one leads to.
const OF_A_MEMBER: [&str; 3] = ["showMember", "updateMember", "removeMember"];

/// The description of the API for programs (OpenAPI 3.1).
#[must_use]
pub fn document() -> Value {
    let mut document = complete(&routes().into_openapi(), CONVENTIONS, ERRORS);
    let created = "/paths/~1v2~1images/post/responses/201";
    link(&mut document, created, &[("image_id", "id")], &OF_AN_IMAGE);
    let added = "/paths/~1v2~1images~1{image_id}~1members/post/responses/200";
    let member = [("image_id", "image_id"), ("member_id", "member_id")];
    link(&mut document, added, &member, &OF_A_MEMBER);
    document
}
