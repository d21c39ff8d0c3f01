//! Which projects may use a volume type, over HTTP.

use axum::{
    Json,
    extract::{Path, Request},
    http::StatusCode,
};
use chassis::http::{Problem, openapi::Refused};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{find, type_id};
use crate::{
    http::{ApiState, Call, openapi::TYPES},
    volume::volume_type::{ProjectsUpdate, VolumeTypeUpdate},
};

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct VolumeTypeAccess {
    volume_type_access: Vec<Access>,
}

#[derive(Serialize, ToSchema)]
struct Access {
    volume_type_id: String,
    project_id: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) enum ChangeAccess {
    #[serde(rename = "addProjectAccess")]
    Add(Project),
    #[serde(rename = "removeProjectAccess")]
    Remove(Project),
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Project {
    project: String,
}

/// List the projects that may use a volume type
///
/// For admins, of a type that is not public.
#[utoipa::path(
    get,
    path = "/v3/types/{volume_type_id}/os-volume-type-access",
    operation_id = "listVolumeTypeAccess",
    tag = TYPES,
    params(("volume_type_id" = String, Path, description = "Id of the volume type.")),
    responses((status = 200, description = "The projects.", body = VolumeTypeAccess), Refused::<404>),
)]
pub(in crate::http) async fn list(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
) -> Result<Json<VolumeTypeAccess>, Problem> {
    let volume_type = find(&api, &call, &id).await?;
    if volume_type.is_public {
        return Err(Problem::no_such_resource());
    }
    let projects = volume_type.project_ids.into_iter();
    let access = projects.map(|project_id| Access { volume_type_id: id.clone(), project_id });
    Ok(Json(VolumeTypeAccess { volume_type_access: access.collect() }))
}

/// Change which projects may use a volume type
///
/// For admins, of a type that is not public.
#[utoipa::path(
    post,
    path = "/v3/types/{volume_type_id}/action",
    operation_id = "changeVolumeTypeAccess",
    tag = TYPES,
    params(("volume_type_id" = String, Path, description = "Id of the volume type.")),
    request_body = ChangeAccess,
    responses((status = 202, description = "It is changed."), Refused::<403>, Refused::<404>),
)]
pub(in crate::http) async fn change(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let id = type_id(&id)?;
    let projects = match api.body(request).await? {
        ChangeAccess::Add(Project { project }) => {
            ProjectsUpdate { add: [project].into(), ..ProjectsUpdate::default() }
        }
        ChangeAccess::Remove(Project { project }) => {
            ProjectsUpdate { remove: [project].into(), ..ProjectsUpdate::default() }
        }
    };
    let update = VolumeTypeUpdate { projects, ..VolumeTypeUpdate::default() };
    api.volumes.update_volume_type(id, &update, "", &call.caller).await?;
    Ok(StatusCode::ACCEPTED)
}
