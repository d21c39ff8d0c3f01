//! The metadata of volumes over HTTP.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, Request},
    http::StatusCode,
};
use chassis::{
    http::{Problem, openapi::Refused},
    status::{Code, Description},
};
use common::{id::Id, text::clip, violations::Violations};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ApiState, Call,
    openapi::VOLUMES,
    volumes::{run, volume_id},
};
use crate::{
    error::Error,
    volumes::operations::{Action, VolumeUpdate},
};

/// How often a change is decided again if others change the volume in the meantime.
const TRIES: usize = 10;

type Entries = BTreeMap<String, String>;

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Metadata {
    pub(super) metadata: Entries,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    /// One item.
    meta: Entries,
}

/// Show the metadata of a volume
#[utoipa::path(
    get,
    path = "/v3/volumes/{volume_id}/metadata",
    operation_id = "listVolumeMetadata",
    tag = VOLUMES,
    params(("volume_id" = String, Path, description = "Id of the volume.")),
    responses((status = 200, description = "The metadata.", body = Metadata), Refused::<404>),
)]
pub(super) async fn list(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
) -> Result<Json<Metadata>, Problem> {
    let metadata = api.volumes.get_volume(volume_id(&id)?, &call.caller).await?.metadata;
    Ok(Json(Metadata { metadata }))
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
pub(super) async fn add(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Metadata>, Problem> {
    let id = volume_id(&id)?;
    let Metadata { metadata: added } = api.body(request).await?;
    let merge = |before: &Entries| Ok(before.clone().into_iter().chain(added.clone()).collect());
    Ok(Json(Metadata { metadata: change(&api, &call, id, merge).await? }))
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
pub(super) async fn replace(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Metadata>, Problem> {
    let id = volume_id(&id)?;
    let Metadata { metadata } = api.body(request).await?;
    Ok(Json(Metadata { metadata: change(&api, &call, id, |_| Ok(metadata.clone())).await? }))
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
pub(super) async fn show(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<Item>, Problem> {
    let id = volume_id(&id)?;
    let mut metadata = api.volumes.get_volume(id, &call.caller).await?.metadata;
    let item = metadata.remove_entry(&key).ok_or_else(|| no_such_key(id, &key))?;
    Ok(Json(Item { meta: [item].into() }))
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
pub(super) async fn set(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
    request: Request,
) -> Result<Json<Item>, Problem> {
    let id = volume_id(&id)?;
    let Item { meta } = api.body(request).await?;
    if meta.len() != 1 || !meta.contains_key(&key) {
        return Err(Violations::one("meta", "must have the key that the path names, and no other").into());
    }
    let merge = |before: &Entries| Ok(before.clone().into_iter().chain(meta.clone()).collect());
    change(&api, &call, id, merge).await?;
    Ok(Json(Item { meta }))
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
pub(super) async fn remove(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let id = volume_id(&id)?;
    let without = |before: &Entries| {
        let mut metadata = before.clone();
        metadata.remove(&key).map(|_| metadata).ok_or_else(|| no_such_key(id, &key))
    };
    change(&api, &call, id, without).await?;
    Ok(StatusCode::OK)
}

/// Changes the metadata of a volume on top of whatever others change at the same time; gives all of it.
async fn change(
    api: &ApiState,
    call: &Call,
    id: Id,
    decide: impl Fn(&Entries) -> Result<Entries, Problem>,
) -> Result<Entries, Problem> {
    for _ in 0..TRIES {
        let volume = api.volumes.get_volume(id, &call.caller).await?;
        let metadata = decide(&volume.metadata)?;
        let update = VolumeUpdate { metadata: Some(metadata), ..VolumeUpdate::default() };
        match run(api, call, id, Action::Update(update), volume.etag()).await {
            Err(Error::StaleEtag { .. }) => {}
            Err(Error::Invalid(violations)) => {
                return Err(violations.renamed(&[("volume.metadata", "metadata")]).into());
            }
            done => return Ok(done?.volume()?.metadata.clone()),
        }
    }
    Err(Error::Contended { kind: "volume", id }.into())
}

fn no_such_key(id: Id, key: &str) -> Problem {
    let sentence = format!("volume {id} has no metadata with key {:?}", clip(key, 100));
    let description = Description::new(Code::NotFound, "METADATA_NOT_FOUND");
    Problem::new(sentence, description.with("volume_id", id).with("key", clip(key, 255)))
}
