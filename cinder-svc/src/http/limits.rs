//! The limits of the caller's project.

use axum::Json;
use chassis::http::{Problem, openapi::Refused};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ApiState, Call, openapi::QUOTAS};

#[derive(Serialize, ToSchema)]
pub(super) struct Limits {
    limits: All,
}

#[derive(Serialize, ToSchema)]
struct All {
    /// There are none: `--rate-limit` is answered with 429.
    rate: Vec<String>,
    absolute: Absolute,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Absolute {
    max_total_volumes: i64,
    total_volumes_used: i64,
    max_total_snapshots: i64,
    total_snapshots_used: i64,
    max_total_volume_gigabytes: i64,
    total_gigabytes_used: i64,
    max_total_backups: i64,
    total_backups_used: i64,
    max_total_backup_gigabytes: i64,
    total_backup_gigabytes_used: i64,
}

/// Show the limits of the caller's project
#[utoipa::path(
    get,
    path = "/v3/limits",
    operation_id = "showLimits",
    tag = QUOTAS,
    responses((status = 200, description = "The limits; -1 for none.", body = Limits), Refused::<403>),
)]
pub(super) async fn show(api: ApiState, call: Call) -> Result<Json<Limits>, Problem> {
    let project_id = &call.caller.actor.project_id;
    let limits = api.volumes.get_quota(project_id, &call.caller).await?;
    let of = |resource: &str| {
        let found = limits.iter().find(|limit| limit.resource == resource);
        found.map_or((-1, 0), |limit| (limit.limit.unwrap_or(-1), limit.used))
    };
    let (volumes, snapshots, gigabytes) = (of("volumes"), of("snapshots"), of("gigabytes"));
    let absolute = Absolute {
        max_total_volumes: volumes.0,
        total_volumes_used: volumes.1,
        max_total_snapshots: snapshots.0,
        total_snapshots_used: snapshots.1,
        max_total_volume_gigabytes: gigabytes.0,
        total_gigabytes_used: gigabytes.1,
        max_total_backups: 0,
        total_backups_used: 0,
        max_total_backup_gigabytes: 0,
        total_backup_gigabytes_used: 0,
    };
    Ok(Json(Limits { limits: All { rate: Vec::new(), absolute } }))
}
