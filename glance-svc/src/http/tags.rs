//! Tags over HTTP.

use axum::{extract::Path, http::HeaderMap, response::Response};
use chassis::http::{
    Problem,
    conditions::{self, Unmet},
    no_content,
};
use common::{text, violations::Violations};

use super::{ApiState, Authenticated, image_id};
use crate::error::Error;

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
