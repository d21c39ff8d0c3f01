//! Tags over HTTP.

use axum::{extract::Path, http::HeaderMap, response::Response};
use chassis::http::{
    Problem,
    conditions::{self, Unmet},
    no_content,
    openapi::Refused,
};
use common::{text, violations::Violations};

use super::{
    ApiState, Authenticated, image_id,
    openapi::{
        TAGS,
        parameters::{IfMatch, IfNoneMatchNew, ImageId, Tag},
    },
};
use crate::error::Error;

/// Add a tag
///
/// A tag that is there already stays as it is.
#[utoipa::path(
    put,
    path = "/v2/images/{image_id}/tags/{tag}",
    operation_id = "addTag",
    tag = TAGS,
    params(ImageId, Tag, IfMatch, IfNoneMatchNew),
    responses(
        (status = 204, description = "The image has the tag."),
        Refused::<403>, Refused::<404>, Refused::<412>, Refused::<413>,
    ),
)]
pub(super) async fn add(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path((id, tag)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = image_id(&id)?;
    text::name(&tag).map_err(|problem| Violations::one("tag", problem))?;
    let there: fn() -> Result<(), Error> =
        if conditions::must_be_new(&headers) { || Err(Unmet::exists("the tag").into()) } else { || Ok(()) };
    api.images.add_tag(id, &tag, conditions::of_change(&headers), &caller, there).await?;
    Ok(no_content())
}

/// Remove a tag
#[utoipa::path(
    delete,
    path = "/v2/images/{image_id}/tags/{tag}",
    operation_id = "removeTag",
    tag = TAGS,
    params(ImageId, Tag, IfMatch),
    responses(
        (status = 204, description = "The image has the tag no longer."),
        Refused::<403>, Refused::<404>, Refused::<412>,
    ),
)]
pub(super) async fn remove(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path((id, tag)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let etags = conditions::of_change(&headers);
    api.images.remove_tag(image_id(&id)?, &tag, etags, &caller).await?;
    Ok(no_content())
}
