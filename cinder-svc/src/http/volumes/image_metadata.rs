//! What volumes remember of their images, as the actions `os-show_image_metadata`, `os-set_image_metadata` and
//! `os-unset_image_metadata` show and change it.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use chassis::{
    http::Problem,
    status::{Code, Description},
};
use common::{
    id::Id,
    image::update::PropertyUpdate,
    text::clip,
    volume_image_metadata::{set_flat, unset_flat},
};

use super::run;
use crate::{
    error::Error,
    http::{ApiState, Call, metadata::Metadata},
    volume::Volume,
    volumes::operations::Action,
};

/// What the fields of a request are called here, by their names over gRPC.
const NAMES: [(&str, &str); 1] = [("set", "metadata")];

/// Shows all there is.
pub(super) async fn show(api: &ApiState, call: &Call, id: Id) -> Result<Response, Problem> {
    let metadata = api.volumes.get_volume(id, &call.caller).await?.record.metadata.flat().entries;
    if metadata.is_empty() {
        return Err(no_image_metadata(id, None));
    }
    Ok(Json(Metadata { metadata }).into_response())
}

/// Sets entries; others stay. Those that are unchanged may be attributes of the image.
pub(super) async fn set(
    api: &ApiState,
    call: &Call,
    id: Id,
    entries: &BTreeMap<String, String>,
) -> Result<Response, Problem> {
    let volume = api.volumes.get_volume(id, &call.caller).await?;
    let update = set_flat(&volume.record.metadata, entries);
    let update = update.map_err(|violations| violations.renamed(&NAMES))?;
    let changed = if update == PropertyUpdate::default() {
        volume
    } else {
        edit(api, call, id, update).await?.ok_or(Error::VolumeNotFound(id))?
    };
    Ok(Json(Metadata { metadata: changed.record.metadata.flat().entries }).into_response())
}

/// Removes an entry.
pub(super) async fn unset(api: &ApiState, call: &Call, id: Id, key: &str) -> Result<Response, Problem> {
    let volume = api.volumes.get_volume(id, &call.caller).await?;
    let Some(update) = unset_flat(&volume.record.metadata, key)? else {
        return Err(no_image_metadata(id, Some(key)));
    };
    edit(api, call, id, update).await?;
    Ok(StatusCode::OK.into_response())
}

async fn edit(api: &ApiState, call: &Call, id: Id, update: PropertyUpdate) -> Result<Option<Volume>, Error> {
    let PropertyUpdate { set, remove, purge } = update;
    let action = Action::UpdateImageProperties { set, remove: remove.into_iter().collect(), purge };
    Ok(run(api, call, id, action, String::new()).await?.volume)
}

fn no_image_metadata(id: Id, key: Option<&str>) -> Problem {
    let of_key = key.map(|key| format!(" with key {:?}", clip(key, 100))).unwrap_or_default();
    let description = Description::new(Code::NotFound, "IMAGE_METADATA_NOT_FOUND").with("volume_id", id);
    Problem::new(format!("volume {id} has no image metadata{of_key}"), description)
}
