//! The metadata of snapshots over HTTP.

use axum::{
    Json,
    extract::{Path, Request},
    http::StatusCode,
};
use chassis::http::{Problem, openapi::Refused};

use super::snapshot_id;
use crate::http::{
    ApiState, Call,
    metadata::{self, Item, Metadata, Owner},
    openapi::SNAPSHOTS,
};

/// Show the metadata of a snapshot
#[utoipa::path(
    get,
    path = "/v3/snapshots/{snapshot_id}/metadata",
    operation_id = "listSnapshotMetadata",
    tag = SNAPSHOTS,
    params(("snapshot_id" = String, Path, description = "Id of the snapshot.")),
    responses((status = 200, description = "The metadata.", body = Metadata), Refused::<404>),
)]
pub(in crate::http) async fn list(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
) -> Result<Json<Metadata>, Problem> {
    metadata::list(&api, &call, Owner::Snapshot(snapshot_id(&id)?)).await
}

/// Add metadata to a snapshot
///
/// Other items stay.
#[utoipa::path(
    post,
    path = "/v3/snapshots/{snapshot_id}/metadata",
    operation_id = "addSnapshotMetadata",
    tag = SNAPSHOTS,
    params(("snapshot_id" = String, Path, description = "Id of the snapshot.")),
    request_body = Metadata,
    responses(
        (status = 200, description = "All metadata of the snapshot.", body = Metadata),
        Refused::<403>, Refused::<404>,
    ),
)]
pub(in crate::http) async fn add(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Metadata>, Problem> {
    metadata::add(&api, &call, Owner::Snapshot(snapshot_id(&id)?), request).await
}

/// Replace the metadata of a snapshot
#[utoipa::path(
    put,
    path = "/v3/snapshots/{snapshot_id}/metadata",
    operation_id = "replaceSnapshotMetadata",
    tag = SNAPSHOTS,
    params(("snapshot_id" = String, Path, description = "Id of the snapshot.")),
    request_body = Metadata,
    responses(
        (status = 200, description = "All metadata of the snapshot.", body = Metadata),
        Refused::<403>, Refused::<404>,
    ),
)]
pub(in crate::http) async fn replace(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Metadata>, Problem> {
    metadata::replace(&api, &call, Owner::Snapshot(snapshot_id(&id)?), request).await
}

/// Show an item of metadata
#[utoipa::path(
    get,
    path = "/v3/snapshots/{snapshot_id}/metadata/{key}",
    operation_id = "showSnapshotMetadataItem",
    tag = SNAPSHOTS,
    params(
        ("snapshot_id" = String, Path, description = "Id of the snapshot."),
        ("key" = String, Path, description = "Its key."),
    ),
    responses((status = 200, description = "The item.", body = Item), Refused::<404>),
)]
pub(in crate::http) async fn show(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<Item>, Problem> {
    metadata::show(&api, &call, Owner::Snapshot(snapshot_id(&id)?), &key).await
}

/// Set an item of metadata
#[utoipa::path(
    put,
    path = "/v3/snapshots/{snapshot_id}/metadata/{key}",
    operation_id = "setSnapshotMetadataItem",
    tag = SNAPSHOTS,
    params(
        ("snapshot_id" = String, Path, description = "Id of the snapshot."),
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
    metadata::set(&api, &call, (Owner::Snapshot(snapshot_id(&id)?), &key), request).await
}

/// Remove an item of metadata
#[utoipa::path(
    delete,
    path = "/v3/snapshots/{snapshot_id}/metadata/{key}",
    operation_id = "removeSnapshotMetadataItem",
    tag = SNAPSHOTS,
    params(
        ("snapshot_id" = String, Path, description = "Id of the snapshot."),
        ("key" = String, Path, description = "Its key."),
    ),
    responses((status = 200, description = "It is gone."), Refused::<403>, Refused::<404>),
)]
pub(in crate::http) async fn remove(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    metadata::remove(&api, &call, Owner::Snapshot(snapshot_id(&id)?), &key).await.map(|()| StatusCode::OK)
}
