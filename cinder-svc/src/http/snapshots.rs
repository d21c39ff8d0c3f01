//! Snapshots over HTTP.

use axum::{
    Json,
    extract::{Path, Request},
    http::StatusCode,
};
use chassis::http::{Problem, openapi::Refused};
use common::{id::Id, violations::Violations};

use super::{ApiState, Call, id_of, no_such, openapi::SNAPSHOTS};
use crate::{volume::Snapshot, volumes::snapshots::SnapshotRequest};

pub(super) mod actions;
mod body;
pub(super) mod list;
pub(super) mod metadata;

use body::{Create, One, SnapshotView, Update};

/// Take a snapshot of a volume
#[utoipa::path(
    post,
    path = "/v3/snapshots",
    operation_id = "createSnapshot",
    tag = SNAPSHOTS,
    request_body = Create,
    responses((status = 202, description = "The snapshot.", body = One), Refused::<403>, Refused::<404>),
)]
pub(super) async fn create(
    api: ApiState,
    call: Call,
    request: Request,
) -> Result<(StatusCode, Json<One>), Problem> {
    let Create { snapshot: new } = api.body(request).await?;
    // Cinder looks for a volume without an id.
    let volume_id = new.volume_id.clone().ok_or_else(|| no_such("null", "VOLUME_NOT_FOUND", "volume"))?;
    let request = new.plain(volume_id).check().map_err(|violations| violations.within("snapshot."))?;
    let created = api.volumes.create_snapshot(&request, &call.caller).await?;
    Ok((StatusCode::ACCEPTED, Json(One { snapshot: SnapshotView::new(created, &call) })))
}

/// Show a snapshot
#[utoipa::path(
    get,
    path = "/v3/snapshots/{snapshot_id}",
    operation_id = "showSnapshot",
    tag = SNAPSHOTS,
    params(("snapshot_id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The snapshot.", body = One), Refused::<404>),
)]
pub(super) async fn show(api: ApiState, call: Call, Path(id): Path<String>) -> Result<Json<One>, Problem> {
    let snapshot = find(&api, &call, &id).await?;
    Ok(Json(One { snapshot: SnapshotView::new(snapshot, &call) }))
}

/// Change a snapshot
#[utoipa::path(
    put,
    path = "/v3/snapshots/{snapshot_id}",
    operation_id = "updateSnapshot",
    tag = SNAPSHOTS,
    params(("snapshot_id" = String, Path, description = "Its id.")),
    request_body = Update,
    responses(
        (status = 200, description = "The snapshot as it is now.", body = One),
        Refused::<403>, Refused::<404>,
    ),
)]
pub(super) async fn update(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<One>, Problem> {
    let id = snapshot_id(&id)?;
    let Update { snapshot: change } = api.body(request).await?;
    let request = SnapshotRequest { id, etag: "", caller: &call.caller };
    let changed = api.volumes.update_snapshot(request, &change.plain(), Violations::default()).await?;
    Ok(Json(One { snapshot: SnapshotView::new(changed, &call) }))
}

/// Delete a snapshot
#[utoipa::path(
    delete,
    path = "/v3/snapshots/{snapshot_id}",
    operation_id = "deleteSnapshot",
    tag = SNAPSHOTS,
    params(("snapshot_id" = String, Path, description = "Its id.")),
    responses((status = 202, description = "It is being deleted."), Refused::<403>, Refused::<404>),
)]
pub(super) async fn delete(api: ApiState, call: Call, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let request = SnapshotRequest { id: snapshot_id(&id)?, etag: "", caller: &call.caller };
    api.volumes.delete_snapshot(request, false, "").await?;
    Ok(StatusCode::ACCEPTED)
}

/// The snapshot that a path names, as far as the caller may see it.
async fn find(api: &ApiState, call: &Call, id: &str) -> Result<Snapshot, Problem> {
    Ok(api.volumes.get_snapshot(snapshot_id(id)?, &call.caller).await?)
}

/// The id of the snapshot that a path names.
fn snapshot_id(text: &str) -> Result<Id, Problem> {
    id_of(text, "SNAPSHOT_NOT_FOUND", "snapshot")
}
