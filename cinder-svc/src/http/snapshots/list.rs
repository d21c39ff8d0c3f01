//! Lists of snapshots.

use axum::{Json, extract::RawQuery, http::Extensions};
use chassis::{
    http::{Problem, openapi::Refused},
    page::Key,
};
use common::id::Id;

use super::{
    body::{SnapshotView, Snapshots},
    find,
};
use crate::{
    http::{
        ApiState, Call,
        list::{List, Listed, Paging, room},
        openapi::SNAPSHOTS,
        values::entries,
    },
    list::{SnapshotFilter, SnapshotOrder},
    volume::Snapshot,
};

impl Listed for Snapshot {
    type Order = SnapshotOrder;

    const SORT_KEYS: &'static [(&'static str, SnapshotOrder)] = &[
        ("created_at", SnapshotOrder::CreateTime),
        ("name", SnapshotOrder::Name),
        ("display_name", SnapshotOrder::Name),
        ("status", SnapshotOrder::Status),
        ("size", SnapshotOrder::SizeGib),
        ("id", SnapshotOrder::Id),
    ];

    const CREATED: SnapshotOrder = SnapshotOrder::CreateTime;

    async fn find(api: &ApiState, call: &Call, id: &str) -> Result<Self, Problem> {
        find(api, call, id).await
    }

    fn id(&self) -> Id {
        self.id
    }

    fn key(&self, by: SnapshotOrder) -> Key {
        by.key(self)
    }
}

/// List snapshots, with what others may call details
#[utoipa::path(
    get,
    path = "/v3/snapshots",
    operation_id = "listSnapshots",
    tag = SNAPSHOTS,
    params(
        Paging,
        ("volume_id" = Option<String>, Query, description = "Only those of that volume."),
        ("name" = Option<String>, Query, description = "Only those of that name."),
        ("status" = Option<String>, Query, description = "Only those with that status."),
    ),
    responses((status = 200, description = "A page of snapshots.", body = Snapshots), Refused::<404>),
)]
pub(in crate::http) async fn list(
    api: ApiState,
    call: Call,
    RawQuery(query): RawQuery,
    request: Extensions,
) -> Result<Json<Snapshots>, Problem> {
    let _room = room(&request).await;
    let mut filter = SnapshotFilter::default();
    let list = List::<Snapshot>::parse(query, &call, |name, value| add(&mut filter, name, value))?;
    let page = list.page(&api, &call).await?;
    let scope = filter.scope(list.all_projects, &call.caller)?;
    let listed = api.volumes.list_snapshots(&filter, &page, &scope).await?;
    let view = |snapshot| SnapshotView::new(snapshot, &call);
    Ok(Json(list.answer(&page, listed, &call.url("snapshots/detail"), view).into()))
}

/// Adds a condition; `false` if there is no such filter.
fn add(filter: &mut SnapshotFilter, name: &str, value: &str) -> Result<bool, String> {
    match name {
        "metadata" => filter.metadata.extend(entries(value)?),
        "name" | "status" | "volume_id" | "project_id" | "user_id" => {
            filter.add_field(name, value.to_owned())?;
        }
        "display_name" => filter.add_field("name", value.to_owned())?,
        _ => return Ok(false),
    }
    Ok(true)
}
