//! Images over HTTP.

use axum::{
    body::{Body, Bytes},
    extract::{Path, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chassis::http::{Problem, body, conditions, no_content, openapi::Refused};
use common::{clock, id::Id, violations::Violations};
use serde_json::Value;

use super::{
    ApiState, Authenticated, attribute, check_read, image_id,
    openapi::{
        IMAGES,
        parameters::{IfMatch, IfMatchShown, IfNoneMatch, ImageId},
        schema::{self, Etag, NewImage, Patch20, Patch21},
    },
    patch::{self, Format},
    render,
};
use crate::{
    error::Error,
    image::{Image, Status, cached::CachedImage},
};

/// Register an image
///
/// The new image is `queued`: it waits for its data. Names that are no base attributes become properties.
#[utoipa::path(
    post,
    path = "/v2/images",
    operation_id = "createImage",
    tag = IMAGES,
    request_body(content = NewImage, example = json!({
        "name": "ubuntu", "disk_format": "qcow2", "container_format": "bare", "tags": ["lts"], "os_distro": "ubuntu",
    })),
    responses(
        (
            status = 201, description = "The image.", body = schema::Image,
            headers(("ETag" = inline(Etag)), ("Location" = String, description = "URL of the new image.")),
        ),
        Refused::<403>, Refused::<409>,
    ),
)]
pub(super) async fn create(
    api: ApiState,
    Authenticated(caller): Authenticated,
    request: Request,
) -> Result<Response, Problem> {
    let host = api.endpoint.of(&request);
    let body = api.json(request).await?;
    let (image, problems) = new_image(&body, &caller)?;
    let created = api.images.create(image, problems, &caller).await?;
    let location = HeaderValue::try_from(format!("{host}/v2/images/{}", created.id)).ok();
    let mut response = (StatusCode::CREATED, answer(&created)).into_response();
    response.headers_mut().extend(location.map(|location| (header::LOCATION, location)));
    Ok(response)
}

/// The image to register, and what is wrong with it.
fn new_image(body: &Value, caller: &chassis::caller::Caller) -> Result<(Image, Violations), Problem> {
    let Some(body) = body.as_object() else {
        return Err(Violations::one("body", "must be an object").into());
    };
    let mut problems = Violations::default();
    let id = body.get("id").map(|id| id.as_str().unwrap_or_default().parse());
    let id = id.and_then(|id| problems.take("id", id)).unwrap_or_else(Id::random);
    let mut image = Image { status: Status::Queued, ..Image::blank(id, clock::now()) };
    image.owner.clone_from(&caller.actor.project_id);
    let (blank, mut read_only, mut values) = (image.clone(), Vec::new(), Violations::default());
    for (name, value) in body.iter().filter(|(name, _)| *name != "id") {
        let Some(target) = attribute::target(name, value) else {
            read_only.push(name.clone());
            continue;
        };
        if let Some(target) = problems.take(name, target) {
            target.check(&blank, &mut values);
            target.write(&mut image);
        }
    }
    if read_only.is_empty() {
        return Ok((image, problems));
    }
    // As in a patch: what can never be is told before what only the service sets.
    problems.append(values);
    problems.check()?;
    Err(Error::ReadOnly(read_only).into())
}

/// Show an image
#[utoipa::path(
    get,
    path = "/v2/images/{image_id}",
    operation_id = "showImage",
    tag = IMAGES,
    params(ImageId, IfMatchShown, IfNoneMatch),
    responses(
        (status = 200, description = "The image.", body = schema::Image, headers(("ETag" = inline(Etag)))),
        (status = 304, description = "The image is as the caller knows it.", headers(("ETag" = inline(Etag)))),
        Refused::<404>, Refused::<412>,
    ),
)]
pub(super) async fn show(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let image = api.images.get(image_id(&id)?, &caller).await?;
    if !check_read(request.headers(), image.id, &image.etag())? {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, quoted(&image.etag()))]).into_response());
    }
    Ok(answer(&image))
}

/// Change an image
///
/// All changes are made, or none. The media type of version 2.1 is JSON Patch with add, replace and remove alone;
/// there, add also replaces. In that of version 2.0 the operation's name holds the path, and add is refused where the
/// property exists. Base attributes cannot be removed: replace them by null.
#[utoipa::path(
    patch,
    path = "/v2/images/{image_id}",
    operation_id = "updateImage",
    tag = IMAGES,
    params(ImageId, IfMatch),
    request_body(content(
        (Patch21 = "application/openstack-images-v2.1-json-patch", example = json!([
            {"op": "add", "path": "/hw_disk_bus", "value": "virtio"},
            {"op": "replace", "path": "/min_ram", "value": 512},
            {"op": "remove", "path": "/os_distro"},
        ])),
        (Patch20 = "application/openstack-images-v2.0-json-patch", example = json!([
            {"add": "/hw_disk_bus", "value": "virtio"},
            {"replace": "/min_ram", "value": 512},
            {"remove": "/os_distro"},
        ])),
    )),
    responses(
        (
            status = 200, description = "The image as it is now.", body = schema::Image,
            headers(("ETag" = inline(Etag))),
        ),
        Refused::<403>, Refused::<404>, Refused::<409>, Refused::<412>,
    ),
)]
pub(super) async fn update(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let id = image_id(&id)?;
    let media_type = body::media_type(request.headers());
    let format = Format::of(media_type).ok_or_else(|| wrong_patch(media_type))?;
    let etags = conditions::of_change(request.headers());
    let patch = patch::parse(format, &api.read_json(request).await?)?;
    let updated = api.images.update(id, etags, &caller, move |image| patch.apply(image)).await?;
    Ok(answer(&updated))
}

fn wrong_patch(given: &str) -> Problem {
    let accepted = Format::ALL.map(|(media_type, _)| media_type).join(", ");
    let value = HeaderValue::try_from(&accepted).expect("media types are visible ASCII");
    body::unsupported_media_type(given, &accepted).with_header(HeaderName::from_static("accept-patch"), value)
}

/// Delete an image and its data
///
/// A protected image cannot be deleted.
#[utoipa::path(
    delete,
    path = "/v2/images/{image_id}",
    operation_id = "deleteImage",
    tag = IMAGES,
    params(ImageId, IfMatch),
    responses(
        (status = 204, description = "The image is deleted."),
        Refused::<403>, Refused::<404>, Refused::<412>,
    ),
)]
pub(super) async fn delete(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    api.images.delete(image_id(&id)?, &conditions::of_change(&headers), &caller).await?;
    Ok(no_content())
}

/// Deactivate an image
///
/// Nobody but operators can read the data of an image that is deactivated. Only an active image can be deactivated;
/// doing so again changes nothing.
#[utoipa::path(
    post,
    path = "/v2/images/{image_id}/actions/deactivate",
    operation_id = "deactivateImage",
    tag = IMAGES,
    params(ImageId, IfMatch),
    responses((status = 204, description = "Done."), Refused::<403>, Refused::<404>, Refused::<412>),
)]
pub(super) async fn deactivate(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let etags = conditions::of_change(&headers);
    api.images.deactivate(image_id(&id)?, etags, &caller).await.map_err(forbidden_move)?;
    Ok(no_content())
}

/// Reactivate an image
///
/// Makes the data readable again. Only a deactivated image can be reactivated; doing so again changes nothing.
#[utoipa::path(
    post,
    path = "/v2/images/{image_id}/actions/reactivate",
    operation_id = "reactivateImage",
    tag = IMAGES,
    params(ImageId, IfMatch),
    responses((status = 204, description = "Done."), Refused::<403>, Refused::<404>, Refused::<412>),
)]
pub(super) async fn reactivate(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let etags = conditions::of_change(&headers);
    api.images.reactivate(image_id(&id)?, etags, &caller).await.map_err(forbidden_move)?;
    Ok(no_content())
}

/// Glance answers 403 where the status of the image forbids one of its actions.
fn forbidden_move(error: Error) -> Problem {
    let is_move = matches!(error, Error::StatusMove { .. });
    let problem = Problem::from(error);
    if is_move { problem.with_status(StatusCode::FORBIDDEN) } else { problem }
}

/// An image with its etag, which keeps its room until it has been sent.
fn answer(image: &CachedImage) -> Response {
    let json = |image: &Image| Bytes::from(render::image(image.clone()).to_string());
    let json = image.json(json);
    let bytes = json.len();
    let mut response = Response::new(Body::from(json));
    if let Some(room) = image.room() {
        room.keep(response.extensions_mut(), bytes);
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ETAG, quoted(&image.etag()));
    response
}

fn quoted(etag: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{etag}\"")).expect("an etag is visible ASCII")
}
