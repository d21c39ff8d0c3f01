//! What is done with snapshots over HTTP: `POST /v3/snapshots/ID/action`.

use axum::{
    extract::{Path, Request},
    http::StatusCode,
};
use chassis::http::{Problem, openapi::Refused};
use common::violations::Violations;
use serde::Deserialize;
use utoipa::ToSchema;

use super::snapshot_id;
use crate::{
    http::{ApiState, Call, openapi::SNAPSHOTS, values::Anything},
    volume::{SnapshotStatus, snapshot::SnapshotReport},
    volumes::snapshots::SnapshotRequest,
};

/// What is to be done with a snapshot, for admins: an object with one member.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) enum SnapshotAction {
    #[serde(rename = "os-reset_status")]
    ResetStatus(ResetStatus),
    #[serde(rename = "os-force_delete")]
    ForceDelete(Anything),
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ResetSnapshotStatus)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ResetStatus {
    /// `available` or `error`.
    status: String,
}

/// Do something with a snapshot
///
/// For admins.
#[utoipa::path(
    post,
    path = "/v3/snapshots/{snapshot_id}/action",
    operation_id = "doSnapshotAction",
    tag = SNAPSHOTS,
    params(("snapshot_id" = String, Path, description = "Id of the snapshot.")),
    request_body = SnapshotAction,
    responses((status = 202, description = "It is done, or has begun."), Refused::<403>, Refused::<404>),
)]
pub(in crate::http) async fn run_action(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let id = snapshot_id(&id)?;
    let action = api.body(request).await?;
    let request = SnapshotRequest { id, etag: "", caller: &call.caller };
    match action {
        SnapshotAction::ForceDelete(Anything { .. }) => {
            api.volumes.delete_snapshot(request, true, "").await?;
        }
        SnapshotAction::ResetStatus(ResetStatus { status }) => {
            let seen_status = api.volumes.get_snapshot(id, &call.caller).await?.status;
            let status = match status.as_str() {
                "available" => SnapshotStatus::Available,
                "error" => SnapshotStatus::Error,
                _ => {
                    let problem = "must be available or error";
                    return Err(Violations::one("os-reset_status.status", problem).into());
                }
            };
            let message = "os-reset_status".to_owned();
            let report = SnapshotReport { seen_status, status: Some(status), message };
            api.volumes.report_snapshot(request, &report, Violations::default()).await?;
        }
    }
    Ok(StatusCode::ACCEPTED)
}
