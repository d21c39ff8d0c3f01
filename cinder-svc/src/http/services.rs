//! What runs: this service alone, which does everything that Cinder has several programs for.

use axum::{Json, extract::RawQuery};
use chassis::{
    http::{Problem, openapi::Refused, query::Query},
    scope::check_admin,
};
use common::{clock, violations::Violations};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{ApiState, Call, openapi::VERSIONS, render::time};
use crate::error::Error;

/// The program of Cinder that has volumes.
const BINARY: &str = "cinder-volume";

/// What stands for the host: any replica serves any volume.
pub(super) const HOST: &str = "cinder-svc";

#[derive(Serialize, ToSchema)]
pub(super) struct Services {
    services: Vec<Service>,
}

#[derive(Serialize, ToSchema)]
struct Service {
    binary: &'static str,
    host: &'static str,
    zone: String,
    /// Always `enabled`.
    status: &'static str,
    /// Always `up`: it answers.
    state: &'static str,
    updated_at: String,
    disabled_reason: Option<Value>,
}

/// List services
///
/// For admins. One for each zone, in which every replica serves every volume.
#[utoipa::path(
    get,
    path = "/v3/os-services",
    operation_id = "listServices",
    tag = VERSIONS,
    params(
        ("host" = Option<String>, Query, description = "Only those of that host."),
        ("binary" = Option<String>, Query, description = "Only those of that program."),
    ),
    responses((status = 200, description = "The services.", body = Services), Refused::<403>),
)]
pub(super) async fn list(
    api: ApiState,
    call: Call,
    RawQuery(query): RawQuery,
) -> Result<Json<Services>, Problem> {
    check_admin(&call.caller, "list services").map_err(Error::from)?;
    let mut violations = Violations::default();
    let query = Query::parse(&query.unwrap_or_default(), &mut violations);
    violations.check()?;
    let matches = query.iter().all(|(name, value)| match name {
        "host" => value == HOST,
        "binary" => value == BINARY,
        _ => true,
    });
    let service = |zone: &String| Service {
        binary: BINARY,
        host: HOST,
        zone: zone.clone(),
        status: "enabled",
        state: "up",
        updated_at: time(clock::now()),
        disabled_reason: None,
    };
    let zones = api.volumes.availability_zones.iter().filter(|_| matches);
    Ok(Json(Services { services: zones.map(service).collect() }))
}
