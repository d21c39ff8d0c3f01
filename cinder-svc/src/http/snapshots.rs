//! Snapshots over HTTP.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, RawQuery, Request},
    http::{Extensions, StatusCode},
};
use chassis::{
    edge::Room,
    http::{
        Problem,
        openapi::Refused,
        query::{self, MARKER, Query, Sort},
        versions::Link,
    },
    page::{MAX_BYTES, MAX_SIZE, Order, Page},
    scope::sees_all,
};
use common::{
    id::Id,
    text::{boolean, clip},
    violations::Violations,
};
use serde::{Deserialize, Serialize};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use utoipa::ToSchema;

use super::{
    ApiState, Call, id_of,
    metadata::Metadata,
    openapi::SNAPSHOTS,
    render::{NOTHING, some, time},
    since,
    values::{Anything, Flag, dictionary},
};
use crate::{
    error::Error,
    list::{SnapshotFilter, SnapshotOrder},
    volume::{
        Snapshot, SnapshotStatus,
        snapshot::{NewSnapshot, SnapshotReport, SnapshotUpdate},
    },
    volumes::snapshots::SnapshotRequest,
};

/// Bytes for a page: what is read for it, the values that are made of that, the JSON of each snapshot, and of all.
const PAGE: usize = 5 * MAX_BYTES;

/// How often a change of metadata is decided again if others change the snapshot in the meantime.
const TRIES: usize = 10;

/// The names of sort keys.
const SORT_KEYS: [(&str, SnapshotOrder); 5] = [
    ("created_at", SnapshotOrder::CreateTime),
    ("name", SnapshotOrder::Name),
    ("status", SnapshotOrder::Status),
    ("size", SnapshotOrder::SizeGib),
    ("id", SnapshotOrder::Id),
];

/// A snapshot.
#[derive(Serialize, ToSchema)]
#[schema(as = Snapshot)]
pub(super) struct SnapshotView {
    id: String,
    name: String,
    description: Option<String>,
    volume_id: String,
    status: &'static str,
    /// GiB.
    size: i32,
    created_at: String,
    updated_at: Option<String>,
    metadata: BTreeMap<String, String>,
    #[serde(rename = "os-extended-snapshot-attributes:project_id")]
    project_id: String,
    #[serde(rename = "os-extended-snapshot-attributes:progress")]
    progress: &'static str,
    /// Since 3.14.
    #[serde(skip_serializing_if = "Option::is_none")]
    group_snapshot_id: Option<Value>,
    /// Since 3.41.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// Since 3.65.
    #[serde(skip_serializing_if = "Option::is_none")]
    consumes_quota: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OneSnapshot)]
pub(super) struct One {
    snapshot: SnapshotView,
}

/// A page of snapshots.
#[derive(Serialize, ToSchema)]
#[schema(as = Snapshots)]
pub(super) struct List {
    #[schema(value_type = Vec<SnapshotView>)]
    snapshots: Vec<Box<RawValue>>,
    /// The next page, if there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    snapshots_links: Vec<Link>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CreateSnapshot)]
pub(super) struct Create {
    snapshot: New,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewSnapshot)]
#[serde(deny_unknown_fields)]
struct New {
    volume_id: String,
    #[serde(alias = "display_name")]
    name: Option<String>,
    #[serde(alias = "display_description")]
    description: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    /// Says nothing: a volume that is in use can be snapshot.
    #[serde(rename = "force")]
    _force: Option<Flag>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = UpdateSnapshot)]
pub(super) struct Update {
    snapshot: Change,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = SnapshotUpdate)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(alias = "display_name")]
    name: Option<String>,
    #[serde(alias = "display_description")]
    description: Option<String>,
}

/// What is to be done with a snapshot, for admins: an object with one member.
#[derive(Deserialize, ToSchema)]
pub(super) enum SnapshotAction {
    #[serde(rename = "os-reset_status")]
    ResetStatus(ResetStatus),
    #[serde(rename = "os-force_delete")]
    ForceDelete(Anything),
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ResetSnapshotStatus)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetStatus {
    /// `available` or `error`.
    status: String,
}

/// Take a snapshot of a volume
#[utoipa::path(
    post,
    path = "/v3/snapshots",
    operation_id = "createSnapshot",
    tag = SNAPSHOTS,
    request_body = Create,
    responses((status = 202, description = "The snapshot.", body = One), Refused::<403>, Refused::<404>),
)]
pub(super) async fn create(
    api: ApiState,
    call: Call,
    request: Request,
) -> Result<(StatusCode, Json<One>), Problem> {
    let Create { snapshot: new } = api.body(request).await?;
    let new = NewSnapshot {
        volume_id: new.volume_id,
        name: new.name.unwrap_or_default(),
        description: new.description.unwrap_or_default(),
        metadata: new.metadata.unwrap_or_default(),
        quiesced: false,
        request_id: String::new(),
        volume_etag: String::new(),
    };
    let request = new.check().map_err(|violations| violations.within("snapshot."))?;
    let created = api.volumes.create_snapshot(&request, &call.caller).await?;
    Ok((StatusCode::ACCEPTED, Json(One { snapshot: view(created, &call) })))
}

/// List snapshots, with what others may call details
#[utoipa::path(
    get,
    path = "/v3/snapshots",
    operation_id = "listSnapshots",
    tag = SNAPSHOTS,
    params(
        ("limit" = Option<i64>, Query, description = "Maximum number, 1000 at most."),
        ("marker" = Option<String>, Query, description = "Id of the last snapshot of the previous page."),
        ("sort" = Option<String>, Query, description = "Such as `name:asc,created_at`."),
        ("all_tenants" = Option<bool>, Query, description = "For admins: snapshots of all projects."),
        ("volume_id" = Option<String>, Query, description = "Only those of that volume."),
        ("name" = Option<String>, Query, description = "Only those of that name."),
        ("status" = Option<String>, Query, description = "Only those with that status."),
    ),
    responses((status = 200, description = "A page of snapshots.", body = List), Refused::<404>),
)]
pub(super) async fn list(
    api: ApiState,
    call: Call,
    RawQuery(raw): RawQuery,
    request: Extensions,
) -> Result<Json<List>, Problem> {
    let _room = Room::of(&request, PAGE).await;
    let list = ListSnapshots::parse(&raw.unwrap_or_default(), &call)?;
    let behind = match &list.marker {
        None => None,
        Some(marker) => Some(api.volumes.get_snapshot(snapshot_id(marker)?, &call.caller).await?),
    };
    let scope = list.filter.scope(list.all_projects, &call.caller)?;
    let key = behind.as_ref().map(|snapshot| |by: SnapshotOrder| by.key(snapshot));
    let page = Page::behind(list.limit, list.order, key);
    let listed = api.volumes.list_snapshots(&list.filter, &page, &scope).await?;
    let (snapshots, next) = page.finish(
        listed,
        |snapshot, by| by.key(snapshot),
        |snapshot| {
            let id = snapshot.id;
            (id, to_raw_value(&view(snapshot, &call)).expect("a snapshot is plain data"))
        },
        |(_, json)| json.get().len(),
    );
    let marker = snapshots.last().map(|(id, _)| *id).filter(|_| !next.is_empty());
    let url = call.url("snapshots/detail");
    let link = marker.map(|id| Link { href: list.query.page(&url, Some(&id)), rel: "next" });
    let snapshots = snapshots.into_iter().map(|(_, json)| json).collect();
    Ok(Json(List { snapshots, snapshots_links: link.into_iter().collect() }))
}

/// What the query of a list asks for.
struct ListSnapshots {
    filter: SnapshotFilter,
    limit: usize,
    order: Order<SnapshotOrder>,
    marker: Option<String>,
    all_projects: bool,
    query: Query,
}

impl ListSnapshots {
    fn parse(query: &str, call: &Call) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let query = Query::parse(query, &mut violations);
        let (mut sort, mut filter) = (Sort::default(), SnapshotFilter::default());
        let (mut limit, mut marker, mut all_projects) = (MAX_SIZE, None, false);
        let sees_all = sees_all(&call.caller);
        for (name, value) in query.iter() {
            match name {
                "limit" => limit = violations.take(name, query::limit(value, MAX_SIZE)).unwrap_or(limit),
                MARKER => marker = Some(value.to_owned()),
                "all_tenants" => all_projects = sees_all && boolean(value).unwrap_or(false),
                "project_id" if !sees_all => {}
                "metadata" => match dictionary(value) {
                    Some(entries) => filter.metadata.extend(entries),
                    None => violations.add(name, "must be a dictionary, such as {'key': 'value'}"),
                },
                "name" | "status" | "volume_id" | "project_id" | "user_id" => {
                    violations.take(name, filter.add_field(name, value.to_owned()));
                }
                _ if sort.take(name, value) => {}
                _ if call.version.is_in(since(31)) => {
                    violations.add(clip(name, 60), "is no filter of this list");
                }
                _ => {}
            }
        }
        let keys = violations.take("sort", sort.keys(&SORT_KEYS, SnapshotOrder::CreateTime));
        violations.check()?;
        let order = Order::new(keys.unwrap_or_default());
        Ok(Self { filter, limit, order, marker, all_projects, query })
    }
}

/// Show a snapshot
#[utoipa::path(
    get,
    path = "/v3/snapshots/{snapshot_id}",
    operation_id = "showSnapshot",
    tag = SNAPSHOTS,
    params(("snapshot_id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The snapshot.", body = One), Refused::<404>),
)]
pub(super) async fn show(api: ApiState, call: Call, Path(id): Path<String>) -> Result<Json<One>, Problem> {
    let snapshot = api.volumes.get_snapshot(snapshot_id(&id)?, &call.caller).await?;
    Ok(Json(One { snapshot: view(snapshot, &call) }))
}

/// Change a snapshot
#[utoipa::path(
    put,
    path = "/v3/snapshots/{snapshot_id}",
    operation_id = "updateSnapshot",
    tag = SNAPSHOTS,
    params(("snapshot_id" = String, Path, description = "Its id.")),
    request_body = Update,
    responses(
        (status = 200, description = "The snapshot as it is now.", body = One),
        Refused::<403>, Refused::<404>,
    ),
)]
pub(super) async fn update(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<One>, Problem> {
    let id = snapshot_id(&id)?;
    let Update { snapshot: Change { name, description } } = api.body(request).await?;
    let update = SnapshotUpdate { name, description, ..SnapshotUpdate::default() };
    let request = SnapshotRequest { id, etag: "", caller: &call.caller };
    let changed = api.volumes.update_snapshot(request, &update, Violations::default()).await?;
    Ok(Json(One { snapshot: view(changed, &call) }))
}

/// Delete a snapshot
#[utoipa::path(
    delete,
    path = "/v3/snapshots/{snapshot_id}",
    operation_id = "deleteSnapshot",
    tag = SNAPSHOTS,
    params(("snapshot_id" = String, Path, description = "Its id.")),
    responses((status = 202, description = "It is being deleted."), Refused::<403>, Refused::<404>),
)]
pub(super) async fn delete(api: ApiState, call: Call, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let request = SnapshotRequest { id: snapshot_id(&id)?, etag: "", caller: &call.caller };
    api.volumes.delete_snapshot(request, false, "").await?;
    Ok(StatusCode::ACCEPTED)
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
pub(super) async fn run_action(
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

/// Show the metadata of a snapshot
#[utoipa::path(
    get,
    path = "/v3/snapshots/{snapshot_id}/metadata",
    operation_id = "listSnapshotMetadata",
    tag = SNAPSHOTS,
    params(("snapshot_id" = String, Path, description = "Id of the snapshot.")),
    responses((status = 200, description = "The metadata.", body = Metadata), Refused::<404>),
)]
pub(super) async fn metadata(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
) -> Result<Json<Metadata>, Problem> {
    let metadata = api.volumes.get_snapshot(snapshot_id(&id)?, &call.caller).await?.metadata;
    Ok(Json(Metadata { metadata }))
}

/// Add metadata to a snapshot
///
/// Other items stay.
#[utoipa::path(
    post,
    path = "/v3/snapshots/{snapshot_id}/metadata",
    operation_id = "addSnapshotMetadata",
    tag = SNAPSHOTS,
    params(("snapshot_id" = String, Path, description = "Id of the snapshot.")),
    request_body = Metadata,
    responses(
        (status = 200, description = "All metadata of the snapshot.", body = Metadata),
        Refused::<403>, Refused::<404>,
    ),
)]
pub(super) async fn add_metadata(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Metadata>, Problem> {
    let id = snapshot_id(&id)?;
    let Metadata { metadata: added } = api.body(request).await?;
    change_metadata(&api, &call, id, |metadata| metadata.extend(added.clone())).await
}

/// Replace the metadata of a snapshot
#[utoipa::path(
    put,
    path = "/v3/snapshots/{snapshot_id}/metadata",
    operation_id = "replaceSnapshotMetadata",
    tag = SNAPSHOTS,
    params(("snapshot_id" = String, Path, description = "Id of the snapshot.")),
    request_body = Metadata,
    responses(
        (status = 200, description = "All metadata of the snapshot.", body = Metadata),
        Refused::<403>, Refused::<404>,
    ),
)]
pub(super) async fn replace_metadata(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Metadata>, Problem> {
    let id = snapshot_id(&id)?;
    let Metadata { metadata: given } = api.body(request).await?;
    change_metadata(&api, &call, id, |metadata| metadata.clone_from(&given)).await
}

/// Remove an item of metadata
///
/// One that is not there is no error.
#[utoipa::path(
    delete,
    path = "/v3/snapshots/{snapshot_id}/metadata/{key}",
    operation_id = "removeSnapshotMetadataItem",
    tag = SNAPSHOTS,
    params(
        ("snapshot_id" = String, Path, description = "Id of the snapshot."),
        ("key" = String, Path, description = "Its key."),
    ),
    responses((status = 200, description = "It is gone."), Refused::<403>, Refused::<404>),
)]
pub(super) async fn remove_metadata(
    api: ApiState,
    call: Call,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let without = |metadata: &mut BTreeMap<String, String>| drop(metadata.remove(&key));
    change_metadata(&api, &call, snapshot_id(&id)?, without).await.map(|_| StatusCode::OK)
}

/// Changes the metadata of a snapshot on top of whatever others change at the same time; gives all of it.
async fn change_metadata(
    api: &ApiState,
    call: &Call,
    id: Id,
    change: impl Fn(&mut BTreeMap<String, String>),
) -> Result<Json<Metadata>, Problem> {
    for _ in 0..TRIES {
        let snapshot = api.volumes.get_snapshot(id, &call.caller).await?;
        let mut metadata = snapshot.metadata.clone();
        change(&mut metadata);
        let update = SnapshotUpdate { metadata: Some(metadata), ..SnapshotUpdate::default() };
        let request = SnapshotRequest { id, etag: &snapshot.etag(), caller: &call.caller };
        match api.volumes.update_snapshot(request, &update, Violations::default()).await {
            Err(Error::StaleEtag { .. }) => {}
            changed => return Ok(Json(Metadata { metadata: changed?.metadata })),
        }
    }
    Err(Error::Contended { kind: "snapshot", id }.into())
}

/// A snapshot as `call` shows it.
fn view(snapshot: Snapshot, call: &Call) -> SnapshotView {
    SnapshotView {
        id: snapshot.id.to_string(),
        name: snapshot.name,
        description: some(snapshot.description),
        volume_id: snapshot.volume_id.to_string(),
        status: snapshot.status.as_str(),
        size: snapshot.size_gib,
        created_at: time(snapshot.create_time),
        updated_at: (snapshot.revision > 1).then(|| time(snapshot.update_time)),
        metadata: snapshot.metadata,
        project_id: snapshot.project_id,
        progress: if snapshot.status == SnapshotStatus::Available { "100%" } else { "0%" },
        group_snapshot_id: if call.version.is_in(since(14)) { NOTHING } else { None },
        user_id: call.version.is_in(since(41)).then_some(snapshot.user_id),
        consumes_quota: call.version.is_in(since(65)).then_some(true),
    }
}

fn snapshot_id(text: &str) -> Result<Id, Problem> {
    id_of(text, "SNAPSHOT_NOT_FOUND", "snapshot")
}
