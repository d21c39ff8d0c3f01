//! Volume types over HTTP.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Json,
    extract::{Path, RawQuery, Request},
    http::StatusCode,
};
use chassis::{
    http::{
        Problem,
        openapi::Refused,
        query::{self, MARKER, Query},
        versions::Link,
    },
    page::{MAX_SIZE, Order, Page},
};
use common::{id::Id, image::update::PropertyUpdate, violations::Violations};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ApiState, Call, id_of, openapi::TYPES, render::TypeView, values::Flag};
use crate::{
    error::Error,
    list::{VOLUME_TYPE_ORDER, VolumeTypeOrder},
    volume::{
        VolumeType,
        volume_type::{NewVolumeType, ProjectsUpdate, VolumeTypeUpdate},
    },
};

#[derive(Serialize, ToSchema)]
#[schema(as = OneVolumeType)]
pub(super) struct One {
    volume_type: TypeView,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VolumeTypes)]
pub(super) struct List {
    volume_types: Vec<TypeView>,
    /// The next page, if there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volume_type_links: Vec<Link>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewVolumeType)]
pub(super) struct Create {
    volume_type: NewType,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewType {
    name: String,
    description: Option<String>,
    #[serde(rename = "os-volume-type-access:is_public")]
    is_public: Option<Flag>,
    extra_specs: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = VolumeTypeUpdate)]
pub(super) struct Update {
    volume_type: TypeUpdate,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TypeUpdate {
    name: Option<String>,
    description: Option<String>,
    is_public: Option<Flag>,
}

#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct ExtraSpecs {
    extra_specs: BTreeMap<String, String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct VolumeTypeAccess {
    volume_type_access: Vec<Access>,
}

#[derive(Serialize, ToSchema)]
struct Access {
    volume_type_id: String,
    project_id: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) enum ChangeAccess {
    #[serde(rename = "addProjectAccess")]
    Add(Project),
    #[serde(rename = "removeProjectAccess")]
    Remove(Project),
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Project {
    project: String,
}

/// List volume types
///
/// Shows those that the caller's project may use; to an admin, those that are public, unless `is_public` says otherwise.
#[utoipa::path(
    get,
    path = "/v3/types",
    operation_id = "listVolumeTypes",
    tag = TYPES,
    params(
        ("is_public" = Option<String>, Query, description = "For admins: `none` for all, or a boolean."),
        ("limit" = Option<i64>, Query, description = "Maximum number, 1000 at most."),
        ("marker" = Option<String>, Query, description = "Id of the last type of the previous page."),
    ),
    responses((status = 200, description = "The volume types.", body = List)),
)]
pub(super) async fn list(api: ApiState, call: Call, RawQuery(raw): RawQuery) -> Result<Json<List>, Problem> {
    let mut violations = Violations::default();
    let query = Query::parse(&raw.unwrap_or_default(), &mut violations);
    let (mut limit, mut marker, mut is_public) = (MAX_SIZE, None, call.caller.is_admin.then_some(true));
    for (name, value) in query.iter() {
        match name {
            "limit" => limit = violations.take(name, query::limit(value, MAX_SIZE)).unwrap_or(limit),
            MARKER => marker = violations.take(name, value.parse::<Id>()),
            "is_public" if call.caller.is_admin => {
                is_public = if value.eq_ignore_ascii_case("none") {
                    None
                } else {
                    violations.take(name, query::boolean(value))
                };
            }
            _ => {}
        }
    }
    violations.check()?;
    let behind = match marker {
        Some(id) => Some(api.volumes.volume_type(&id.to_string(), &call.caller).await?),
        None => None,
    };
    let key = behind.as_ref().map(|last| |by: VolumeTypeOrder| by.key(last));
    let page = Page::behind(limit, Order::new(vec![VOLUME_TYPE_ORDER]), key);
    let listed = api.volumes.list_volume_types(&page, is_public, &call.caller).await?;
    let bytes = |(_, view): &(Id, TypeView)| serde_json::to_string(view).map_or(0, |json| json.len());
    let render = |volume_type: VolumeType| (volume_type.id, volume_type.into());
    let (types, next) = page.finish(listed, |volume_type, by| by.key(volume_type), render, bytes);
    let marker = types.last().map(|(id, _)| *id).filter(|_| !next.is_empty());
    let link = marker.map(|id| Link { href: query.page(&call.url("types"), Some(&id)), rel: "next" });
    let volume_types = types.into_iter().map(|(_, view)| view).collect();
    Ok(Json(List { volume_types, volume_type_links: link.into_iter().collect() }))
}

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
    let new = NewVolumeType {
        name: new.name,
        description: new.description.unwrap_or_default(),
        is_public: new.is_public.is_none_or(|Flag(is_public)| is_public),
        project_ids: BTreeSet::new(),
        extra_specs: new.extra_specs.unwrap_or_default(),
    };
    Ok(one(api.volumes.create_volume_type(new, &call.caller).await?))
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
    Ok(one(named(&api, &call, &id).await?))
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
    let update = VolumeTypeUpdate {
        name: update.name,
        description: update.description,
        is_public: update.is_public.map(|Flag(is_public)| is_public),
        ..VolumeTypeUpdate::default()
    };
    Ok(one(api.volumes.update_volume_type(id, &update, "", &call.caller).await?))
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

/// List the extra specs of a volume type
#[utoipa::path(
    get,
    path = "/v3/types/{volume_type_id}/extra_specs",
    operation_id = "listExtraSpecs",
    tag = TYPES,
    params(("volume_type_id" = String, Path, description = "Id of the volume type.")),
    responses((status = 200, description = "Its extra specs.", body = ExtraSpecs), Refused::<404>),
)]
pub(super) async fn specs(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
) -> Result<Json<ExtraSpecs>, Problem> {
    Ok(Json(ExtraSpecs { extra_specs: named(&api, &call, &id).await?.extra_specs }))
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
pub(super) async fn set_specs(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<ExtraSpecs>, Problem> {
    let id = type_id(&id)?;
    let ExtraSpecs { extra_specs } = api.body(request).await?;
    let set = PropertyUpdate { set: extra_specs.clone(), ..PropertyUpdate::default() };
    change_specs(&api, &call, id, set).await?;
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
pub(super) async fn spec(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<BTreeMap<String, String>>, Problem> {
    let found = named(&api, &call, &id).await?.extra_specs.remove_entry(&key);
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
pub(super) async fn set_spec(
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
    change_specs(&api, &call, id, PropertyUpdate { set: set.clone(), ..PropertyUpdate::default() }).await?;
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
pub(super) async fn unset_spec(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let volume_type = named(&api, &call, &id).await?;
    if call.caller.is_admin && !volume_type.extra_specs.contains_key(&key) {
        return Err(Problem::no_such_resource());
    }
    let remove = PropertyUpdate { remove: [key].into(), ..PropertyUpdate::default() };
    change_specs(&api, &call, volume_type.id, remove).await?;
    Ok(StatusCode::ACCEPTED)
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
pub(super) async fn access(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
) -> Result<Json<VolumeTypeAccess>, Problem> {
    let volume_type = named(&api, &call, &id).await?;
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
pub(super) async fn change_access(
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

/// The volume type that a path names, as far as the caller may see it.
async fn named(api: &ApiState, call: &Call, id: &str) -> Result<VolumeType, Problem> {
    Ok(api.volumes.get_volume_type(&type_id(id)?.to_string(), &call.caller).await?)
}

async fn change_specs(api: &ApiState, call: &Call, id: Id, specs: PropertyUpdate) -> Result<(), Error> {
    let update = VolumeTypeUpdate { extra_specs: specs, ..VolumeTypeUpdate::default() };
    api.volumes.update_volume_type(id, &update, "", &call.caller).await.map(drop)
}

fn one(volume_type: VolumeType) -> Json<One> {
    Json(One { volume_type: volume_type.into() })
}

fn type_id(text: &str) -> Result<Id, Problem> {
    id_of(text, "VOLUME_TYPE_NOT_FOUND", "volume type")
}
