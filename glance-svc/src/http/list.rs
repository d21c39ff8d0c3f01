//! Lists of images over HTTP.

use std::sync::Arc;

use axum::{
    Json,
    body::HttpBody as _,
    extract::RawQuery,
    http::Extensions,
    response::{IntoResponse as _, Response},
};
use chassis::{
    caller::Caller,
    edge::Room,
    http::Problem,
    page::{MAX_BYTES, Page},
};
use common::{id::Id, violations::Violations};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    Api, ApiState, Authenticated,
    openapi::{IMAGES, schema},
    query::{self, ListImages},
    render,
};
use crate::{
    error::Error,
    image::{Image, cached::CachedImage, listed::ListedImage},
    list::ImageOrder,
};

/// A page of images.
#[derive(Serialize, ToSchema)]
// For its description: there are no other members.
#[serde(deny_unknown_fields)]
#[schema(as = Images)]
struct ImageList {
    #[schema(value_type = Vec<schema::Image>)]
    images: Vec<Box<RawValue>>,
    /// Path of the first page.
    first: String,
    /// Path of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
    /// Path of the schema of lists.
    schema: &'static str,
}

/// Bytes for a page: what is read for it, the values that are made of that, the JSON of each image, and of all.
const PAGE: usize = 5 * MAX_BYTES;

/// List images
///
/// Shows the caller's own images, public images, and images that are shared with the caller's project and accepted.
/// Hidden images are left out unless `os_hidden` asks for them. All filters must hold. Any parameter that is not named
/// here filters by the property of that name. One request may have 64 filters.
#[utoipa::path(
    get,
    path = "/v2/images",
    operation_id = "listImages",
    tag = IMAGES,
    params(ListImages),
    responses(
        (status = 200, description = "A page of images. `next` is there when more follow.", body = ImageList),
    ),
)]
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
async fn marker_image(api: &Api, marker: &str, caller: &Caller) -> Result<Arc<CachedImage>, Problem> {
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
