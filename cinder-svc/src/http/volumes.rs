//! Volumes over HTTP.

use axum::{
    Json,
    extract::{Path, RawQuery, Request},
    http::StatusCode,
};
use chassis::{
    edge::Room,
    http::{Problem, openapi::Refused, query::Query},
};
use common::{id::Id, text::boolean, violations::Violations};

use super::{ApiState, Call, id_of, openapi::VOLUMES};
use crate::{
    error::Error,
    volume::Volume,
    volumes::operations::{Action, ActionRequest, ActionResult, VolumeUpdate},
};

pub(super) mod actions;
mod attach;
mod body;
mod image_metadata;
pub(super) mod list;
pub(super) mod metadata;
pub(super) mod summary;
mod upload;
mod view;

use body::{Change, Create, One, Update, VolumeView};

/// How many copies of what a request writes are in memory: volume, rows, what the driver sends, and the answer.
const COPIES: usize = 6;

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
    Ok((StatusCode::ACCEPTED, Json(One { volume: VolumeView::changed(volume, &call) })))
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
    let volume = find(&api, &call, &id).await?;
    Ok(Json(One { volume: VolumeView::new(volume, &call) }))
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
    Ok(Json(One { volume: VolumeView::changed(done.volume()?.clone(), &call) }))
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

/// The volume that a path names, as far as the caller may see it.
async fn find(api: &ApiState, call: &Call, id: &str) -> Result<Volume, Problem> {
    Ok(api.volumes.get_volume(volume_id(id)?, &call.caller).await?)
}

/// The id of the volume that a path names.
pub(super) fn volume_id(text: &str) -> Result<Id, Problem> {
    id_of(text, "VOLUME_NOT_FOUND", "volume")
}
