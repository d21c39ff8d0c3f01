//! Images over HTTP.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes, HttpBody as _},
    extract::{Path, RawQuery, Request},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chassis::{
    edge::Room,
    http::{Problem, body, conditions, no_content},
    page::{MAX_BYTES, Page},
};
use common::{clock, id::Id, violations::Violations};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::{
    Api, ApiState, Authenticated,
    attribute::{self, Name},
    check_read, image_id,
    patch::{self, Format},
    query::{self, ListImages},
    render,
};
use crate::{
    error::Error,
    image::{Image, Status, cached::CachedImage, listed::ListedImage},
    list::ImageOrder,
};

/// A page of images.
#[derive(Serialize)]
struct ImageList {
    images: Vec<Box<RawValue>>,
    first: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    schema: &'static str,
}

/// Bytes for a page: what is read for it, the values that are made of that, the JSON of each image, and of all.
const PAGE: usize = 5 * MAX_BYTES;

pub(super) async fn list(
    api: ApiState,
    Authenticated(caller): Authenticated,
    RawQuery(query): RawQuery,
    request: Extensions,
) -> Result<Response, Problem> {
    let room = Room::of(&request, PAGE).await;
    let list = query::parse(&query.unwrap_or_default())?;
    let behind = match &list.marker {
        None => None,
        Some(marker) => Some(marker_image(&api, marker, &caller).await?),
    };
    let key = behind.as_ref().map(|image| |order: ImageOrder| order.key(image));
    let page = Page::behind(list.limit, list.order.clone(), key);
    let listed = api.images.list(&list.filter, &page, &caller).await?.try_map(ListedImage::image)?;
    let (images, next) =
        page.finish(listed, |image, by| by.key(image), render_item, |(_, json)| json.get().len());
    let mut answer = Json(page_of(&list, images, !next.is_empty())).into_response();
    if let Some(room) = room {
        let bytes = answer.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
        room.keep(answer.extensions_mut(), bytes.unwrap_or(PAGE));
    }
    Ok(answer)
}

/// The last image of the page before.
async fn marker_image(
    api: &Api,
    marker: &str,
    caller: &chassis::caller::Caller,
) -> Result<Arc<CachedImage>, Problem> {
    let no_marker = || Violations::one("marker", "names no image that you can see");
    let id: Id = marker.parse().map_err(|_| no_marker())?;
    match api.images.attributes(id, caller).await {
        Err(Error::NotFound(_)) => Err(no_marker().into()),
        found => Ok(found?),
    }
}

fn render_item(image: Image) -> (Id, Box<RawValue>) {
    let id = image.id;
    let json = serde_json::value::to_raw_value(&render::image(image)).expect("an image is plain data");
    (id, json)
}

fn page_of(list: &ListImages, images: Vec<(Id, Box<RawValue>)>, has_next: bool) -> ImageList {
    let marker = images.last().map(|(id, _)| *id).filter(|_| has_next);
    ImageList {
        images: images.into_iter().map(|(_, json)| json).collect(),
        first: list.link(None),
        next: marker.map(|id| list.link(Some(id))),
        schema: "/v2/schemas/images",
    }
}

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
        let target = match attribute::name(name) {
            Name::ReadOnly => {
                read_only.push(name.clone());
                continue;
            }
            Name::Attribute(attribute) => attribute::attribute(attribute, value),
            Name::Property => attribute::property(name, value),
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

pub(super) async fn delete(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    api.images.delete(image_id(&id)?, &conditions::of_change(&headers), &caller).await?;
    Ok(no_content())
}

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
