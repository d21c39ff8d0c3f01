//! The metadata of volumes over HTTP.

use axum::{
    Json,
    extract::{Path, Request},
    http::StatusCode,
};
use chassis::http::{Problem, openapi::Refused};

use super::volume_id;
use crate::http::{
    ApiState, Call,
    metadata::{self, Item, Metadata, Owner},
    openapi::VOLUMES,
};

/// Show the metadata of a volume
#[utoipa::path(
    get,
    path = "/v3/volumes/{volume_id}/metadata",
    operation_id = "listVolumeMetadata",
    tag = VOLUMES,
    params(("volume_id" = String, Path, description = "Id of the volume.")),
    responses((status = 200, description = "The metadata.", body = Metadata), Refused::<404>),
)]
pub(in crate::http) async fn list(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
) -> Result<Json<Metadata>, Problem> {
    metadata::list(&api, &call, Owner::Volume(volume_id(&id)?)).await
}

/// Add metadata to a volume
///
/// Other items stay.
#[utoipa::path(
    post,
    path = "/v3/volumes/{volume_id}/metadata",
    operation_id = "addVolumeMetadata",
    tag = VOLUMES,
    params(("volume_id" = String, Path, description = "Id of the volume.")),
    request_body = Metadata,
    responses(
        (status = 200, description = "All metadata of the volume.", body = Metadata),
        Refused::<403>, Refused::<404>,
    ),
)]
pub(in crate::http) async fn add(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Metadata>, Problem> {
    metadata::add(&api, &call, Owner::Volume(volume_id(&id)?), request).await
}

/// Replace the metadata of a volume
#[utoipa::path(
    put,
    path = "/v3/volumes/{volume_id}/metadata",
    operation_id = "replaceVolumeMetadata",
    tag = VOLUMES,
    params(("volume_id" = String, Path, description = "Id of the volume.")),
    request_body = Metadata,
    responses(
        (status = 200, description = "All metadata of the volume.", body = Metadata),
        Refused::<403>, Refused::<404>,
    ),
)]
pub(in crate::http) async fn replace(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Metadata>, Problem> {
    metadata::replace(&api, &call, Owner::Volume(volume_id(&id)?), request).await
}

/// Show an item of metadata
#[utoipa::path(
    get,
    path = "/v3/volumes/{volume_id}/metadata/{key}",
    operation_id = "showVolumeMetadataItem",
    tag = VOLUMES,
    params(
        ("volume_id" = String, Path, description = "Id of the volume."),
        ("key" = String, Path, description = "Its key."),
    ),
    responses((status = 200, description = "The item.", body = Item), Refused::<404>),
)]
pub(in crate::http) async fn show(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<Item>, Problem> {
    metadata::show(&api, &call, Owner::Volume(volume_id(&id)?), &key).await
}

/// Set an item of metadata
#[utoipa::path(
    put,
    path = "/v3/volumes/{volume_id}/metadata/{key}",
    operation_id = "setVolumeMetadataItem",
    tag = VOLUMES,
    params(
        ("volume_id" = String, Path, description = "Id of the volume."),
        ("key" = String, Path, description = "Its key."),
    ),
    request_body = Item,
    responses((status = 200, description = "The item.", body = Item), Refused::<403>, Refused::<404>),
)]
pub(in crate::http) async fn set(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
    request: Request,
) -> Result<Json<Item>, Problem> {
    metadata::set(&api, &call, (Owner::Volume(volume_id(&id)?), &key), request).await
}

/// Remove an item of metadata
#[utoipa::path(
    delete,
    path = "/v3/volumes/{volume_id}/metadata/{key}",
    operation_id = "removeVolumeMetadataItem",
    tag = VOLUMES,
    params(
        ("volume_id" = String, Path, description = "Id of the volume."),
        ("key" = String, Path, description = "Its key."),
    ),
    responses((status = 200, description = "It is gone."), Refused::<403>, Refused::<404>),
)]
pub(in crate::http) async fn remove(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    metadata::remove(&api, &call, Owner::Volume(volume_id(&id)?), &key).await.map(|()| StatusCode::OK)
}
