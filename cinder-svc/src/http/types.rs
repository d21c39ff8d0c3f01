//! Volume types over HTTP.

use axum::{
    Json,
    extract::{Path, Request},
    http::StatusCode,
};
use chassis::http::{Problem, openapi::Refused};
use common::id::Id;

use super::{ApiState, Call, id_of, openapi::TYPES};
use crate::volume::VolumeType;

pub(super) mod access;
mod body;
pub(super) mod list;
pub(super) mod specs;

use body::{Create, One, TypeView, Update};

/// Add a volume type
///
/// For admins.
#[utoipa::path(
    post,
    path = "/v3/types",
    operation_id = "createVolumeType",
    tag = TYPES,
    request_body = Create,
    responses((status = 200, description = "The volume type.", body = One), Refused::<403>, Refused::<409>),
)]
pub(super) async fn create(api: ApiState, call: Call, request: Request) -> Result<Json<One>, Problem> {
    let Create { volume_type: new } = api.body(request).await?;
    let created = api.volumes.create_volume_type(new.plain(), &call.caller).await?;
    Ok(Json(One { volume_type: TypeView::created(created) }))
}

/// Show the default volume type
#[utoipa::path(
    get,
    path = "/v3/types/default",
    operation_id = "showDefaultVolumeType",
    tag = TYPES,
    responses((status = 200, description = "The volume type.", body = One)),
)]
pub(super) async fn default(api: ApiState, call: Call) -> Result<Json<One>, Problem> {
    Ok(one(api.volumes.get_volume_type("", &call.caller).await?))
}

/// Show a volume type
#[utoipa::path(
    get,
    path = "/v3/types/{volume_type_id}",
    operation_id = "showVolumeType",
    tag = TYPES,
    params(("volume_type_id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The volume type.", body = One), Refused::<404>),
)]
pub(super) async fn show(api: ApiState, call: Call, Path(id): Path<String>) -> Result<Json<One>, Problem> {
    Ok(one(find(&api, &call, &id).await?))
}

/// Change a volume type
///
/// For admins.
#[utoipa::path(
    put,
    path = "/v3/types/{volume_type_id}",
    operation_id = "updateVolumeType",
    tag = TYPES,
    params(("volume_type_id" = String, Path, description = "Its id.")),
    request_body = Update,
    responses(
        (status = 200, description = "The volume type as it is now.", body = One),
        Refused::<403>, Refused::<404>, Refused::<409>,
    ),
)]
pub(super) async fn update(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<One>, Problem> {
    let id = type_id(&id)?;
    let Update { volume_type: update } = api.body(request).await?;
    Ok(one(api.volumes.update_volume_type(id, &update.plain(), "", &call.caller).await?))
}

/// Delete a volume type
///
/// For admins. A type that something has, and the default, stay.
#[utoipa::path(
    delete,
    path = "/v3/types/{volume_type_id}",
    operation_id = "deleteVolumeType",
    tag = TYPES,
    params(("volume_type_id" = String, Path, description = "Its id.")),
    responses((status = 202, description = "It is gone."), Refused::<403>, Refused::<404>),
)]
pub(super) async fn delete(api: ApiState, call: Call, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    api.volumes.delete_volume_type(type_id(&id)?, "", &call.caller).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The volume type that a path names, as far as the caller may see it.
async fn find(api: &ApiState, call: &Call, id: &str) -> Result<VolumeType, Problem> {
    Ok(api.volumes.get_volume_type(&type_id(id)?.to_string(), &call.caller).await?)
}

fn one(volume_type: VolumeType) -> Json<One> {
    Json(One { volume_type: volume_type.into() })
}

fn type_id(text: &str) -> Result<Id, Problem> {
    id_of(text, "VOLUME_TYPE_NOT_FOUND", "volume type")
}
