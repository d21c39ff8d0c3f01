//! What is done with volumes over HTTP: `POST /v3/volumes/ID/action`.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, Request},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use chassis::http::{Problem, openapi::Refused};
use common::{id::Id, violations::Violations};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    attach::{self, Attach, ConnectionInfo, ConnectorOf, Detach},
    image_metadata, run,
    upload::{UploadImage, Uploading, upload_image},
    volume_id,
};
use crate::{
    error::Error,
    http::{
        ApiState, Call,
        metadata::Metadata,
        openapi::VOLUMES,
        since,
        values::{Anything, Flag, Whole},
    },
    volume::Status,
    volumes::operations::{Action, Report, VolumeUpdate},
};

/// What is to be done with a volume: an object with one member, named after it.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) enum VolumeAction {
    #[serde(rename = "os-extend")]
    Extend(Extend),
    #[serde(rename = "os-retype")]
    Retype(Retype),
    #[serde(rename = "os-set_bootable")]
    SetBootable(SetBootable),
    #[serde(rename = "os-update_readonly_flag")]
    UpdateReadonlyFlag(UpdateReadonlyFlag),
    #[serde(rename = "os-set_image_metadata")]
    SetImageMetadata(ImageMetadata),
    #[serde(rename = "os-unset_image_metadata")]
    UnsetImageMetadata(Key),
    #[serde(rename = "os-show_image_metadata")]
    ShowImageMetadata(Anything),
    #[serde(rename = "os-reset_status")]
    ResetStatus(ResetStatus),
    #[serde(rename = "os-force_delete")]
    ForceDelete(Anything),
    #[serde(rename = "os-volume_upload_image")]
    UploadImage(UploadImage),
    #[serde(rename = "os-reserve")]
    Reserve(Anything),
    #[serde(rename = "os-unreserve")]
    Unreserve(Anything),
    #[serde(rename = "os-attach")]
    Attach(Attach),
    #[serde(rename = "os-detach")]
    Detach(Option<Detach>),
    #[serde(rename = "os-begin_detaching")]
    BeginDetaching(Anything),
    #[serde(rename = "os-roll_detaching")]
    RollDetaching(Anything),
    #[serde(rename = "os-initialize_connection")]
    InitializeConnection(ConnectorOf),
    #[serde(rename = "os-terminate_connection")]
    TerminateConnection(ConnectorOf),
    /// Since 3.68.
    #[serde(rename = "os-reimage")]
    Reimage(Reimage),
    /// Since 3.40.
    #[serde(rename = "revert")]
    Revert(Revert),
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Extend {
    /// GiB.
    new_size: Whole,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Retype {
    /// Name or id of a volume type.
    new_type: String,
    /// `never` and `on-demand` are the same here.
    #[serde(rename = "migration_policy")]
    _migration_policy: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SetBootable {
    bootable: Flag,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct UpdateReadonlyFlag {
    readonly: Flag,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ImageMetadata {
    metadata: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Key {
    key: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ResetStatus {
    /// `available` or `error`.
    status: Option<String>,
    /// Attachments alone decide.
    #[serde(rename = "attach_status")]
    _attach_status: Option<String>,
    /// Volumes do not migrate.
    #[serde(rename = "migration_status")]
    _migration_status: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Reimage {
    image_id: String,
    reimage_reserved: Option<Flag>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Revert {
    /// The latest snapshot.
    snapshot_id: String,
}

/// Do something with a volume
///
/// The body has one member, which says what is to be done.
#[utoipa::path(
    post,
    path = "/v3/volumes/{volume_id}/action",
    operation_id = "doVolumeAction",
    tag = VOLUMES,
    params(("volume_id" = String, Path, description = "Id of the volume.")),
    request_body(content = VolumeAction, example = json!({"os-extend": {"new_size": 2}})),
    responses(
        (
            status = 200,
            description = "It is done; of image metadata, all there is; of os-initialize_connection, the connection.",
            content((Metadata = "application/json"), (ConnectionInfo = "application/json")),
        ),
        (status = 202, description = "It is done, or has begun; of an upload, the image.", body = Uploading),
        Refused::<403>, Refused::<404>, Refused::<409>,
    ),
)]
pub(in crate::http) async fn run_action(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let id = volume_id(&id)?;
    match api.body(request).await? {
        VolumeAction::Extend(Extend { new_size: Whole(size_gib) }) => {
            accepted(&api, &call, id, Action::Extend { size_gib }).await
        }
        VolumeAction::Retype(Retype { new_type: volume_type, .. }) => {
            accepted(&api, &call, id, Action::Retype { volume_type }).await
        }
        VolumeAction::SetBootable(SetBootable { bootable: Flag(bootable) }) => {
            let update = VolumeUpdate { bootable: Some(bootable), ..VolumeUpdate::default() };
            run(&api, &call, id, Action::Update(update), String::new()).await?;
            Ok(StatusCode::OK.into_response())
        }
        VolumeAction::UpdateReadonlyFlag(UpdateReadonlyFlag { readonly: Flag(read_only) }) => {
            let update = VolumeUpdate { read_only: Some(read_only), ..VolumeUpdate::default() };
            accepted(&api, &call, id, Action::Update(update)).await
        }
        VolumeAction::ForceDelete(Anything { .. }) => {
            accepted(&api, &call, id, Action::Delete { cascade: false, force: true }).await
        }
        VolumeAction::Reimage(reimage) => {
            call.version.require(since(68))?;
            accepted(&api, &call, id, reimage.plain()?).await
        }
        VolumeAction::Revert(Revert { snapshot_id }) => {
            call.version.require(since(40))?;
            let snapshot_id = Id::from_field("revert.snapshot_id", &snapshot_id)?;
            accepted(&api, &call, id, Action::Revert { snapshot_id }).await
        }
        VolumeAction::ResetStatus(ResetStatus { status, .. }) => {
            reset_status(&api, &call, id, status.as_deref()).await
        }
        VolumeAction::UploadImage(upload) => upload_image(&api, &call, id, upload).await,
        VolumeAction::Reserve(Anything { .. }) => done(attach::reserve_volume(&api, &call, id).await),
        VolumeAction::Unreserve(Anything { .. }) => done(attach::unreserve(&api, &call, id).await),
        VolumeAction::Attach(target) => done(attach::attach(&api, &call, id, target).await),
        VolumeAction::Detach(of) => done(attach::detach(&api, &call, id, of.unwrap_or_default()).await),
        VolumeAction::BeginDetaching(Anything { .. }) => done(attach::begin_detaching(&api, &call, id).await),
        VolumeAction::RollDetaching(Anything { .. }) => done(attach::roll_detaching(&api, &call, id).await),
        VolumeAction::InitializeConnection(of) => {
            Ok(attach::initialize_connection(&api, &call, id, of).await?.into_response())
        }
        VolumeAction::TerminateConnection(of) => {
            done(attach::terminate_connection(&api, &call, id, of).await)
        }
        VolumeAction::ShowImageMetadata(Anything { .. }) => image_metadata::show(&api, &call, id).await,
        VolumeAction::SetImageMetadata(ImageMetadata { metadata }) => {
            image_metadata::set(&api, &call, id, &metadata).await
        }
        VolumeAction::UnsetImageMetadata(Key { key }) => image_metadata::unset(&api, &call, id, &key).await,
    }
}

/// What the fields of an action are called here, by their names over gRPC.
const NAMES: [(&str, &str); 2] = [("size_gib", "os-extend.new_size"), ("volume_type", "os-retype.new_type")];

fn done(outcome: Result<(), Problem>) -> Result<Response, Problem> {
    outcome.map(|()| StatusCode::ACCEPTED.into_response())
}

async fn accepted(api: &ApiState, call: &Call, id: Id, action: Action) -> Result<Response, Problem> {
    match run(api, call, id, action, String::new()).await {
        Err(Error::Invalid(violations)) => Err(violations.renamed(&NAMES).into()),
        done => Ok(done.map(|_| StatusCode::ACCEPTED.into_response())?),
    }
}

impl Reimage {
    fn plain(self) -> Result<Action, Violations> {
        Ok(Action::Reimage {
            image_id: Id::from_field("os-reimage.image_id", &self.image_id)?,
            image_revision: 0,
            image_properties: BTreeMap::new(),
            reimage_reserved: self.reimage_reserved == Some(Flag(true)),
        })
    }
}

/// What an operator says that a volume is. Its attachments decide whether it is in use.
async fn reset_status(
    api: &ApiState,
    call: &Call,
    id: Id,
    status: Option<&str>,
) -> Result<Response, Problem> {
    let status = match status {
        Some("available") => Status::Available,
        Some("error") => Status::Error,
        _ => return Err(Violations::one("os-reset_status.status", "must be available or error").into()),
    };
    let volume = api.volumes.get_volume(id, &call.caller).await?;
    let report = Report {
        seen_status: volume.status,
        seen_task_state: volume.task_state(),
        status: Some(status),
        outcome: None,
        host: None,
        message: "os-reset_status".to_owned(),
    };
    accepted(api, call, id, Action::ReportState(report)).await
}
