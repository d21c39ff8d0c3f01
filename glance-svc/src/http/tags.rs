//! Tags over HTTP.

use axum::{extract::Path, response::Response};
use common::{http::Problem, text, violations::Violations};

use super::{By, Of, image_id, no_content};

pub(super) async fn add(
    api: Of,
    By(caller): By,
    Path((id, tag)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let id = image_id(&id)?;
    text::name(&tag).map_err(|problem| Violations::one("tag", problem))?;
    api.images.add_tag(id, &tag, &caller).await?;
    Ok(no_content())
}

pub(super) async fn remove(
    api: Of,
    By(caller): By,
    Path((id, tag)): Path<(String, String)>,
) -> Result<Response, Problem> {
    api.images.remove_tag(image_id(&id)?, &tag, &caller).await?;
    Ok(no_content())
}
