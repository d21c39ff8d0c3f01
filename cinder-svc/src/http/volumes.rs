//! Volumes over HTTP.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, RawQuery, Request},
    http::{Extensions, StatusCode},
};
use chassis::{
    edge::Room,
    http::{Problem, openapi::Refused, query::Query, versions::Link},
    page::{MAX_BYTES, Page},
};
use common::{id::Id, text::boolean, violations::Violations};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use super::{
    ApiState, Call, id_of,
    list::ListVolumes,
    openapi::VOLUMES,
    render::{self, Named, VolumeView},
    values::{Flag, Whole},
};
use crate::{
    error::Error,
    list::VolumeOrder,
    volume::{NewVolume, Volume},
    volumes::operations::{Action, ActionRequest, ActionResult, VolumeUpdate},
};

/// What the fields of a request are called here, by their names over gRPC.
const NAMES: [(&str, &str); 7] = [
    ("size_gib", "volume.size"),
    ("image_id", "volume.imageRef"),
    ("source_volume_id", "volume.source_volid"),
    ("snapshot_id", "volume.snapshot_id"),
    ("name", "volume.name"),
    ("description", "volume.description"),
    ("metadata", "volume.metadata"),
];

/// Bytes for a page: what is read for it, the values that are made of that, the JSON of each volume, and of all.
const PAGE: usize = 5 * MAX_BYTES;

/// How many copies of what a request writes are in memory: volume, rows, what the driver sends, and the answer.
const COPIES: usize = 6;

#[derive(Serialize, ToSchema)]
#[schema(as = OneVolume)]
pub(super) struct One {
    volume: VolumeView,
}

/// A page of volumes.
#[derive(Serialize, ToSchema)]
#[schema(as = Volumes)]
pub(super) struct List {
    #[schema(value_type = Vec<VolumeView>)]
    volumes: Vec<Box<RawValue>>,
    /// The next page, if there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes_links: Vec<Link>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CreateVolume)]
pub(super) struct Create {
    volume: New,
}

/// A volume to be created from an image, a snapshot or another volume, or a blank one. Other members are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewVolume)]
struct New {
    /// GiB; as the source needs it unless given.
    size: Option<Whole>,
    #[serde(alias = "display_name")]
    name: Option<String>,
    #[serde(alias = "display_description")]
    description: Option<String>,
    #[serde(rename = "imageRef", alias = "image_id")]
    image: Option<String>,
    snapshot_id: Option<String>,
    source_volid: Option<String>,
    /// Name or id of a volume type.
    volume_type: Option<String>,
    availability_zone: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    /// Not offered.
    backup_id: Option<String>,
    /// Not offered.
    group_id: Option<String>,
    /// Not offered.
    consistencygroup_id: Option<String>,
    /// Volume types decide.
    multiattach: Option<Flag>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = UpdateVolume)]
pub(super) struct Update {
    volume: Change,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = VolumeUpdate)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(alias = "display_name")]
    name: Option<String>,
    #[serde(alias = "display_description")]
    description: Option<String>,
    /// All of it.
    metadata: Option<BTreeMap<String, String>>,
}

/// Create a volume
#[utoipa::path(
    post,
    path = "/v3/volumes",
    operation_id = "createVolume",
    tag = VOLUMES,
    request_body(content = Create, example = json!({"volume": {"size": 1, "name": "data"}})),
    responses((status = 202, description = "The volume.", body = One), Refused::<403>, Refused::<404>),
)]
pub(super) async fn create(
    api: ApiState,
    call: Call,
    request: Request,
) -> Result<(StatusCode, Json<One>), Problem> {
    let extensions = request.extensions().clone();
    let Create { volume: new } = api.body(request).await?;
    let problems = new.violations();
    let request = new.plain().check(problems).map_err(|violations| violations.renamed(&NAMES))?;
    let _room = Room::of(&extensions, COPIES * request.size()).await;
    let volume = api.volumes.create_volume(request, &call.caller, call.deadline).await?;
    Ok((StatusCode::ACCEPTED, Json(One { volume: render::volume(volume, &call) })))
}

impl New {
    /// What is asked for that there is not.
    fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        let not_offered = [
            ("volume.backup_id", &self.backup_id),
            ("volume.group_id", &self.group_id),
            ("volume.consistencygroup_id", &self.consistencygroup_id),
        ];
        for (field, given) in not_offered {
            if given.is_some() {
                violations.add(field, "is not offered");
            }
        }
        if self.multiattach == Some(Flag(true)) {
            let problem =
                "is decided by the volume type: name one whose extra spec multiattach is `<is> True`";
            violations.add("volume.multiattach", problem);
        }
        violations
    }

    fn plain(self) -> NewVolume {
        NewVolume {
            name: self.name.unwrap_or_default(),
            description: self.description.unwrap_or_default(),
            size_gib: self.size.map(|Whole(size)| size),
            image_id: self.image,
            snapshot_id: self.snapshot_id,
            source_volume_id: self.source_volid,
            volume_type: self.volume_type.unwrap_or_default(),
            availability_zone: self.availability_zone.unwrap_or_default(),
            metadata: self.metadata.unwrap_or_default(),
            ..NewVolume::default()
        }
    }
}

/// List volumes, with their names alone
#[utoipa::path(
    get,
    path = "/v3/volumes",
    operation_id = "listVolumes",
    tag = VOLUMES,
    params(
        ("limit" = Option<i64>, Query, description = "Maximum number, 1000 at most."),
        ("marker" = Option<String>, Query, description = "Id of the last volume of the previous page."),
        ("sort" = Option<String>, Query, description = "Such as `name:asc,created_at`."),
        ("all_tenants" = Option<bool>, Query, description = "For admins: volumes of all projects."),
        ("name" = Option<String>, Query, description = "Only those of that name."),
        ("status" = Option<String>, Query, description = "Only those with that status."),
        ("glance_metadata" = Option<String>, Query, description = "Only those with these image properties."),
    ),
    responses((status = 200, description = "A page of volumes.", body = List), Refused::<404>),
)]
pub(super) async fn list(
    api: ApiState,
    call: Call,
    RawQuery(query): RawQuery,
    request: Extensions,
) -> Result<Json<List>, Problem> {
    let brief = |volume: Volume| {
        let id = volume.id.to_string();
        let named = Named { links: call.links(&format!("volumes/{id}")), id, name: volume.name };
        to_raw_value(&named).expect("names are plain data")
    };
    page(&api, &call, ("volumes", query), &request, brief).await
}

/// List volumes
#[utoipa::path(
    get,
    path = "/v3/volumes/detail",
    operation_id = "listVolumesDetail",
    tag = VOLUMES,
    params(
        ("limit" = Option<i64>, Query, description = "Maximum number, 1000 at most."),
        ("marker" = Option<String>, Query, description = "Id of the last volume of the previous page."),
        ("sort" = Option<String>, Query, description = "Such as `name:asc,created_at`."),
        ("all_tenants" = Option<bool>, Query, description = "For admins: volumes of all projects."),
        ("name" = Option<String>, Query, description = "Only those of that name."),
        ("status" = Option<String>, Query, description = "Only those with that status."),
        ("glance_metadata" = Option<String>, Query, description = "Only those with these image properties."),
    ),
    responses((status = 200, description = "A page of volumes.", body = List), Refused::<404>),
)]
pub(super) async fn detail(
    api: ApiState,
    call: Call,
    RawQuery(query): RawQuery,
    request: Extensions,
) -> Result<Json<List>, Problem> {
    let whole =
        |volume: Volume| to_raw_value(&render::volume(volume, &call)).expect("a volume is plain data");
    page(&api, &call, ("volumes/detail", query), &request, whole).await
}

/// The page of a list at `path` that a query asks for.
async fn page(
    api: &ApiState,
    call: &Call,
    (path, query): (&str, Option<String>),
    request: &Extensions,
    mut render: impl FnMut(Volume) -> Box<RawValue>,
) -> Result<Json<List>, Problem> {
    let _room = Room::of(request, PAGE).await;
    let list = ListVolumes::parse(&query.unwrap_or_default(), call.version, &call.caller)?;
    let behind = match &list.marker {
        None => None,
        Some(marker) => Some(api.volumes.get_volume(volume_id(marker)?, &call.caller).await?),
    };
    let Some(filter) = list.filter else {
        return Ok(Json(List { volumes: Vec::new(), volumes_links: Vec::new() }));
    };
    let scope = filter.scope(list.all_projects, &call.caller)?;
    let key = behind.as_ref().map(|volume| |by: VolumeOrder| by.key(volume));
    let page = Page::behind(list.limit, list.order, key);
    let listed = api.volumes.list_volumes(&filter, &page, &scope).await?;
    let (volumes, next) = page.finish(
        listed,
        |volume, by| by.key(volume),
        |volume| (volume.id, render(volume)),
        |(_, json)| json.get().len(),
    );
    let marker = volumes.last().map(|(id, _)| *id).filter(|_| !next.is_empty());
    let link = marker.map(|id| Link { href: list.query.page(&call.url(path), Some(&id)), rel: "next" });
    let volumes = volumes.into_iter().map(|(_, json)| json).collect();
    Ok(Json(List { volumes, volumes_links: link.into_iter().collect() }))
}

/// Show a volume
#[utoipa::path(
    get,
    path = "/v3/volumes/{volume_id}",
    operation_id = "showVolume",
    tag = VOLUMES,
    params(("volume_id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The volume.", body = One), Refused::<404>),
)]
pub(super) async fn show(api: ApiState, call: Call, Path(id): Path<String>) -> Result<Json<One>, Problem> {
    let volume = api.volumes.get_volume(volume_id(&id)?, &call.caller).await?;
    Ok(Json(One { volume: render::volume(volume, &call) }))
}

/// Change a volume
///
/// `metadata` replaces all of it.
#[utoipa::path(
    put,
    path = "/v3/volumes/{volume_id}",
    operation_id = "updateVolume",
    tag = VOLUMES,
    params(("volume_id" = String, Path, description = "Its id.")),
    request_body = Update,
    responses(
        (status = 200, description = "The volume as it is now.", body = One),
        Refused::<403>, Refused::<404>,
    ),
)]
pub(super) async fn update(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<One>, Problem> {
    let id = volume_id(&id)?;
    let Update { volume: Change { name, description, metadata } } = api.body(request).await?;
    let update = VolumeUpdate { name, description, metadata, ..VolumeUpdate::default() };
    if update == VolumeUpdate::default() {
        let problem = "must have a name, a description or metadata";
        return Err(Error::from(Violations::one("volume", problem)).into());
    }
    let done = run(&api, &call, id, Action::Update(update), String::new()).await?;
    Ok(Json(One { volume: render::volume(done.volume()?.clone(), &call) }))
}

/// Delete a volume
#[utoipa::path(
    delete,
    path = "/v3/volumes/{volume_id}",
    operation_id = "deleteVolume",
    tag = VOLUMES,
    params(
        ("volume_id" = String, Path, description = "Its id."),
        ("cascade" = Option<bool>, Query, description = "Whether to delete its snapshots, too."),
        ("force" = Option<bool>, Query, description = "For admins: whatever its state."),
    ),
    responses((status = 202, description = "It is being deleted."), Refused::<403>, Refused::<404>),
)]
pub(super) async fn delete(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<StatusCode, Problem> {
    let id = volume_id(&id)?;
    let mut violations = Violations::default();
    let query = Query::parse(&raw.unwrap_or_default(), &mut violations);
    violations.check()?;
    let is_set =
        |wanted: &str| query.iter().any(|(name, value)| name == wanted && boolean(value).unwrap_or(false));
    let action = Action::Delete { cascade: is_set("cascade"), force: is_set("force") };
    run(&api, &call, id, action, String::new()).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Does something with a volume. A non-empty `etag` must be its current one.
pub(super) async fn run(
    api: &ApiState,
    call: &Call,
    volume_id: Id,
    action: Action,
    etag: String,
) -> Result<ActionResult, Error> {
    let (request_id, deadline) = (String::new(), call.deadline);
    let request = ActionRequest { volume_id, action, request_id, etag, caller: &call.caller, deadline };
    api.volumes.run_action(&request, Violations::default()).await
}

/// The volume that a path names.
pub(super) fn volume_id(text: &str) -> Result<Id, Problem> {
    id_of(text, "VOLUME_NOT_FOUND", "volume")
}
