//! Quotas over HTTP.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, RawQuery, Request},
    http::StatusCode,
};
use chassis::http::{Problem, openapi::Refused, query::Query};
use common::{text::boolean, violations::Violations};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{ApiState, Call, openapi::QUOTAS, values::Whole};
use crate::{quota::QuotaLimit, volumes::quotas::QuotaUpdate};

#[derive(Serialize, ToSchema)]
pub(super) struct QuotaSet {
    /// The project as `id`, and each resource with its limit, -1 for any amount; with `usage`, each with `limit`, `in_use`
    /// and `reserved`.
    quota_set: BTreeMap<String, Value>,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct QuotaSetUpdate {
    /// Resources with their new limits.
    quota_set: BTreeMap<String, Value>,
}

/// Show the quota of a project
///
/// A project sees its own, admins see all.
#[utoipa::path(
    get,
    path = "/v3/os-quota-sets/{project_id}",
    operation_id = "showQuota",
    tag = QUOTAS,
    params(
        ("project_id" = String, Path, description = "The project."),
        ("usage" = Option<bool>, Query, description = "Whether to show what is used, too."),
    ),
    responses((status = 200, description = "The quota.", body = QuotaSet), Refused::<403>),
)]
pub(super) async fn show(
    api: ApiState,
    call: Call,
    Path(project_id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<QuotaSet>, Problem> {
    let mut violations = Violations::default();
    let query = Query::parse(&raw.unwrap_or_default(), &mut violations);
    violations.check()?;
    let usage = query.iter().any(|(name, value)| name == "usage" && boolean(value).unwrap_or(false));
    let limits = api.volumes.get_quota(&project_id, &call.caller).await?;
    Ok(quota_set(Some(project_id), limits, usage))
}

/// Show the limits of projects that have none of their own
#[utoipa::path(
    get,
    path = "/v3/os-quota-sets/{project_id}/defaults",
    operation_id = "showDefaultQuota",
    tag = QUOTAS,
    params(("project_id" = String, Path, description = "The project.")),
    responses((status = 200, description = "The limits.", body = QuotaSet), Refused::<403>),
)]
pub(super) async fn defaults(
    api: ApiState,
    call: Call,
    Path(project_id): Path<String>,
) -> Result<Json<QuotaSet>, Problem> {
    let limits = api.volumes.default_quota(&project_id, &call.caller).await?;
    Ok(quota_set(Some(project_id), limits, false))
}

/// Set limits of a project
///
/// For admins. A limit below what is used only refuses more.
#[utoipa::path(
    put,
    path = "/v3/os-quota-sets/{project_id}",
    operation_id = "updateQuota",
    tag = QUOTAS,
    params(("project_id" = String, Path, description = "The project.")),
    request_body(content = QuotaSetUpdate, example = json!({"quota_set": {"volumes": 20, "gigabytes_ssd": -1}})),
    responses((status = 200, description = "All limits.", body = QuotaSet), Refused::<403>),
)]
pub(super) async fn update(
    api: ApiState,
    call: Call,
    Path(project_id): Path<String>,
    request: Request,
) -> Result<Json<QuotaSet>, Problem> {
    let QuotaSetUpdate { quota_set: given } = api.body(request).await?;
    let mut violations = Violations::default();
    let limits = given.into_iter().filter(|(resource, _)| !is_ignored(resource));
    let limits = limits.filter_map(|(resource, limit)| {
        let Whole(limit) =
            violations.take(&format!("quota_set.{resource}"), serde_json::from_value(limit))?;
        Some((resource, Some(limit)))
    });
    let update = QuotaUpdate(limits.collect());
    violations.check()?;
    let limits = api.volumes.update_quota(&project_id, update, &call.caller).await?;
    Ok(quota_set(None, limits, false))
}

/// What clients send beside limits: the project once more, and whether to allow limits below what is used, which is
/// always so.
const IGNORED: [&str; 3] = ["tenant_id", "skip_validation", "force"];

/// Clients also send back all that they were shown, and are shown again what stays 0.
fn is_ignored(resource: &str) -> bool {
    IGNORED.contains(&resource) || ABSENT.contains(&resource)
}

/// Take its own limits from a project
///
/// For admins.
#[utoipa::path(
    delete,
    path = "/v3/os-quota-sets/{project_id}",
    operation_id = "resetQuota",
    tag = QUOTAS,
    params(("project_id" = String, Path, description = "The project.")),
    responses((status = 200, description = "It has the configured limits."), Refused::<403>),
)]
pub(super) async fn reset(
    api: ApiState,
    call: Call,
    Path(project_id): Path<String>,
) -> Result<StatusCode, Problem> {
    api.volumes.reset_quota(&project_id, &call.caller).await?;
    Ok(StatusCode::OK)
}

/// Resources of Cinder that there are not.
const ABSENT: [&str; 3] = ["backup_gigabytes", "backups", "groups"];

fn quota_set(project_id: Option<String>, limits: Vec<QuotaLimit>, usage: bool) -> Json<QuotaSet> {
    let value = |QuotaLimit { resource, limit, used }| {
        let limit = limit.unwrap_or(-1);
        let with_usage = || json!({"limit": limit, "in_use": used, "reserved": 0});
        (resource, if usage { with_usage() } else { json!(limit) })
    };
    // What there is none of, and clients look for.
    let absent = ABSENT.map(|resource| QuotaLimit { resource: resource.to_owned(), limit: Some(0), used: 0 });
    let id = project_id.map(|project_id| ("id".to_owned(), json!(project_id)));
    Json(QuotaSet { quota_set: limits.into_iter().chain(absent).map(value).chain(id).collect() })
}
