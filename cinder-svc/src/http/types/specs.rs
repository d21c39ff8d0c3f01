//! The extra specs of volume types over HTTP.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, Request},
    http::StatusCode,
};
use chassis::http::{Problem, openapi::Refused};
use common::{id::Id, image::update::PropertyUpdate, violations::Violations};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{find, type_id};
use crate::{
    error::Error,
    http::{ApiState, Call, openapi::TYPES},
    volume::volume_type::VolumeTypeUpdate,
};

#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct ExtraSpecs {
    extra_specs: BTreeMap<String, String>,
}

/// List the extra specs of a volume type
#[utoipa::path(
    get,
    path = "/v3/types/{volume_type_id}/extra_specs",
    operation_id = "listExtraSpecs",
    tag = TYPES,
    params(("volume_type_id" = String, Path, description = "Id of the volume type.")),
    responses((status = 200, description = "Its extra specs.", body = ExtraSpecs), Refused::<404>),
)]
pub(in crate::http) async fn list(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
) -> Result<Json<ExtraSpecs>, Problem> {
    Ok(Json(ExtraSpecs { extra_specs: find(&api, &call, &id).await?.extra_specs }))
}

/// Add extra specs
///
/// For admins. Others stay.
#[utoipa::path(
    post,
    path = "/v3/types/{volume_type_id}/extra_specs",
    operation_id = "setExtraSpecs",
    tag = TYPES,
    params(("volume_type_id" = String, Path, description = "Id of the volume type.")),
    request_body = ExtraSpecs,
    responses(
        (status = 200, description = "What was set.", body = ExtraSpecs),
        Refused::<403>, Refused::<404>,
    ),
)]
pub(in crate::http) async fn add(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<ExtraSpecs>, Problem> {
    let id = type_id(&id)?;
    let ExtraSpecs { extra_specs } = api.body(request).await?;
    let set = PropertyUpdate { set: extra_specs.clone(), ..PropertyUpdate::default() };
    change(&api, &call, id, set).await?;
    Ok(Json(ExtraSpecs { extra_specs }))
}

/// Show an extra spec
#[utoipa::path(
    get,
    path = "/v3/types/{volume_type_id}/extra_specs/{key}",
    operation_id = "showExtraSpec",
    tag = TYPES,
    params(
        ("volume_type_id" = String, Path, description = "Id of the volume type."),
        ("key" = String, Path, description = "Name of the extra spec."),
    ),
    responses(
        (status = 200, description = "The extra spec.", body = BTreeMap<String, String>),
        Refused::<404>,
    ),
)]
pub(in crate::http) async fn show(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<BTreeMap<String, String>>, Problem> {
    let found = find(&api, &call, &id).await?.extra_specs.remove_entry(&key);
    found.map(|spec| Json([spec].into())).ok_or_else(Problem::no_such_resource)
}

/// Change an extra spec
///
/// For admins.
#[utoipa::path(
    put,
    path = "/v3/types/{volume_type_id}/extra_specs/{key}",
    operation_id = "setExtraSpec",
    tag = TYPES,
    params(
        ("volume_type_id" = String, Path, description = "Id of the volume type."),
        ("key" = String, Path, description = "Name of the extra spec."),
    ),
    request_body = BTreeMap<String, String>,
    responses(
        (status = 200, description = "The extra spec.", body = BTreeMap<String, String>),
        Refused::<403>, Refused::<404>,
    ),
)]
pub(in crate::http) async fn set(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
    request: Request,
) -> Result<Json<BTreeMap<String, String>>, Problem> {
    let id = type_id(&id)?;
    let set: BTreeMap<String, String> = api.body(request).await?;
    if set.len() != 1 || !set.contains_key(&key) {
        return Err(Violations::one("body", "must have the key that the path names, and no other").into());
    }
    change(&api, &call, id, PropertyUpdate { set: set.clone(), ..PropertyUpdate::default() }).await?;
    Ok(Json(set))
}

/// Remove an extra spec
///
/// For admins.
#[utoipa::path(
    delete,
    path = "/v3/types/{volume_type_id}/extra_specs/{key}",
    operation_id = "unsetExtraSpec",
    tag = TYPES,
    params(
        ("volume_type_id" = String, Path, description = "Id of the volume type."),
        ("key" = String, Path, description = "Name of the extra spec."),
    ),
    responses((status = 202, description = "It is gone."), Refused::<403>, Refused::<404>),
)]
pub(in crate::http) async fn remove(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let volume_type = find(&api, &call, &id).await?;
    if call.caller.is_admin && !volume_type.extra_specs.contains_key(&key) {
        return Err(Problem::no_such_resource());
    }
    let remove = PropertyUpdate { remove: [key].into(), ..PropertyUpdate::default() };
    change(&api, &call, volume_type.id, remove).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn change(api: &ApiState, call: &Call, id: Id, specs: PropertyUpdate) -> Result<(), Error> {
    let update = VolumeTypeUpdate { extra_specs: specs, ..VolumeTypeUpdate::default() };
    api.volumes.update_volume_type(id, &update, "", &call.caller).await.map(drop)
}
