//! The metadata of volumes and of snapshots.

use std::collections::BTreeMap;

use axum::{Json, extract::Request};
use chassis::{
    http::Problem,
    status::{Code, Description},
};
use common::{id::Id, text::clip, violations::Violations};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ApiState, Call, volumes::run};
use crate::{
    error::Error,
    volume::snapshot::SnapshotUpdate,
    volumes::{
        operations::{Action, VolumeUpdate},
        snapshots::SnapshotRequest,
    },
};

/// How often a change is decided again if others change the same resource in the meantime.
const TRIES: usize = 10;

pub(super) type Entries = BTreeMap<String, String>;

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

/// Whose metadata it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    Volume(Id),
    Snapshot(Id),
}

/// Shows all items.
pub(super) async fn list(api: &ApiState, call: &Call, owner: Owner) -> Result<Json<Metadata>, Problem> {
    Ok(Json(Metadata { metadata: owner.metadata(api, call).await?.0 }))
}

/// Adds the items of a request; others stay.
pub(super) async fn add(
    api: &ApiState,
    call: &Call,
    owner: Owner,
    request: Request,
) -> Result<Json<Metadata>, Problem> {
    let Metadata { metadata: added } = api.body(request).await?;
    let merge = |before: Entries| Ok(before.into_iter().chain(added.clone()).collect());
    Ok(Json(Metadata { metadata: owner.change(api, call, merge).await? }))
}

/// Replaces all items by those of a request.
pub(super) async fn replace(
    api: &ApiState,
    call: &Call,
    owner: Owner,
    request: Request,
) -> Result<Json<Metadata>, Problem> {
    let Metadata { metadata } = api.body(request).await?;
    Ok(Json(Metadata { metadata: owner.change(api, call, |_| Ok(metadata.clone())).await? }))
}

/// Shows one item.
pub(super) async fn show(
    api: &ApiState,
    call: &Call,
    owner: Owner,
    key: &str,
) -> Result<Json<Item>, Problem> {
    let (mut metadata, _) = owner.metadata(api, call).await?;
    let item = metadata.remove_entry(key).ok_or_else(|| owner.no_such_key(key))?;
    Ok(Json(Item { meta: [item].into() }))
}

/// Sets one item to what a request says.
pub(super) async fn set(
    api: &ApiState,
    call: &Call,
    (owner, key): (Owner, &str),
    request: Request,
) -> Result<Json<Item>, Problem> {
    let Item { meta } = api.body(request).await?;
    if meta.len() != 1 || !meta.contains_key(key) {
        return Err(Violations::one("meta", "must have the key that the path names, and no other").into());
    }
    let merge = |before: Entries| Ok(before.into_iter().chain(meta.clone()).collect());
    owner.change(api, call, merge).await?;
    Ok(Json(Item { meta }))
}

/// Removes one item.
pub(super) async fn remove(api: &ApiState, call: &Call, owner: Owner, key: &str) -> Result<(), Problem> {
    let without =
        |mut before: Entries| before.remove(key).map(|_| before).ok_or_else(|| owner.no_such_key(key));
    owner.change(api, call, without).await.map(drop)
}

impl Owner {
    /// All items, and the etag of the owner.
    async fn metadata(self, api: &ApiState, call: &Call) -> Result<(Entries, String), Error> {
        Ok(match self {
            Self::Volume(id) => {
                let volume = api.volumes.get_volume(id, &call.caller).await?;
                let etag = volume.etag();
                (volume.metadata, etag)
            }
            Self::Snapshot(id) => {
                let snapshot = api.volumes.get_snapshot(id, &call.caller).await?;
                let etag = snapshot.etag();
                (snapshot.metadata, etag)
            }
        })
    }

    /// Writes all items, if the etag still is that of the owner.
    async fn write(
        self,
        api: &ApiState,
        call: &Call,
        metadata: Entries,
        etag: String,
    ) -> Result<Entries, Error> {
        let metadata = Some(metadata);
        Ok(match self {
            Self::Volume(id) => {
                let update = VolumeUpdate { metadata, ..VolumeUpdate::default() };
                run(api, call, id, Action::Update(update), etag).await?.volume()?.metadata.clone()
            }
            Self::Snapshot(id) => {
                let update = SnapshotUpdate { metadata, ..SnapshotUpdate::default() };
                let request = SnapshotRequest { id, etag: &etag, caller: &call.caller };
                api.volumes.update_snapshot(request, &update, Violations::default()).await?.metadata
            }
        })
    }

    /// Changes the items on top of whatever others change at the same time; gives all of them.
    async fn change(
        self,
        api: &ApiState,
        call: &Call,
        decide: impl Fn(Entries) -> Result<Entries, Problem>,
    ) -> Result<Entries, Problem> {
        let (kind, id) = self.name();
        let field = format!("{kind}.metadata");
        for _ in 0..TRIES {
            let (before, etag) = self.metadata(api, call).await?;
            match self.write(api, call, decide(before)?, etag).await {
                Err(Error::StaleEtag { .. }) => {}
                Err(Error::Invalid(violations)) => {
                    return Err(violations.renamed(&[(&field, "metadata")]).into());
                }
                done => return Ok(done?),
            }
        }
        Err(Error::Contended { kind, id }.into())
    }

    fn name(self) -> (&'static str, Id) {
        match self {
            Self::Volume(id) => ("volume", id),
            Self::Snapshot(id) => ("snapshot", id),
        }
    }

    fn no_such_key(self, key: &str) -> Problem {
        let (kind, id) = self.name();
        let sentence = format!("{kind} {id} has no metadata with key {:?}", clip(key, 100));
        let description = Description::new(Code::NotFound, "METADATA_NOT_FOUND");
        Problem::new(sentence, description.with("id", id).with("key", clip(key, 255)))
    }
}
