//! Availability zones.

use axum::Json;
use chassis::http::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::{ApiState, Call, openapi::VERSIONS};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AvailabilityZones {
    availability_zone_info: Vec<Zone>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Zone {
    zone_name: String,
    zone_state: ZoneState,
}

#[derive(Serialize, ToSchema)]
struct ZoneState {
    available: bool,
}

/// List availability zones
///
/// The first one is the default.
#[utoipa::path(
    get,
    path = "/v3/os-availability-zone",
    operation_id = "listAvailabilityZones",
    tag = VERSIONS,
    responses((status = 200, description = "The zones.", body = AvailabilityZones)),
)]
pub(super) async fn list(api: ApiState, _: Call) -> Result<Json<AvailabilityZones>, Problem> {
    let zone = |name: &String| Zone { zone_name: name.clone(), zone_state: ZoneState { available: true } };
    let zones = api.volumes.availability_zones.iter().map(zone).collect();
    Ok(Json(AvailabilityZones { availability_zone_info: zones }))
}
