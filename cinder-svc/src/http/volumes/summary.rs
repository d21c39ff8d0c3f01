//! How many volumes there are, and of what size.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, extract::RawQuery};
use chassis::{
    http::{Problem, openapi::Refused, query::Query},
    scope::sees_all,
};
use common::{text::boolean, violations::Violations};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{ApiState, Call, openapi::VOLUMES, since};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::http) struct Summary {
    volume_summary: SummaryView,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VolumeSummary)]
struct SummaryView {
    total_count: i64,
    /// GiB.
    total_size: i64,
    /// Each key of their metadata with its values, 1000 at most in all; since 3.36.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<BTreeMap<String, BTreeSet<String>>>,
}

/// Show how many volumes there are
///
/// Since 3.12.
#[utoipa::path(
    get,
    path = "/v3/volumes/summary",
    operation_id = "summarizeVolumes",
    tag = VOLUMES,
    params(("all_tenants" = Option<bool>, Query, description = "For admins: of all projects.")),
    responses((status = 200, description = "The summary.", body = Summary), Refused::<404>),
)]
pub(in crate::http) async fn show(
    api: ApiState,
    call: Call,
    RawQuery(query): RawQuery,
) -> Result<Json<Summary>, Problem> {
    call.version.require(since(12))?;
    let mut violations = Violations::default();
    let query = Query::parse(&query.unwrap_or_default(), &mut violations);
    violations.check()?;
    let is_asked = query.iter().any(|(name, value)| name == "all_tenants" && boolean(value).unwrap_or(false));
    let all_projects = is_asked && sees_all(&call.caller);
    let summary = api.volumes.summarize_volumes(all_projects, &call.caller).await?;
    let metadata = call.version.is_in(since(36)).then_some(summary.metadata);
    let (total_count, total_size) = (summary.count, summary.size_gib);
    Ok(Json(Summary { volume_summary: SummaryView { total_count, total_size, metadata } }))
}
