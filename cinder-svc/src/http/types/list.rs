//! Lists of volume types.

use axum::{Json, extract::RawQuery, http::Extensions};
use chassis::{
    http::{Problem, query},
    page::Key,
};
use common::id::Id;

use super::{
    body::{TypeView, VolumeTypes},
    find,
};
use crate::{
    http::{
        ApiState, Call,
        list::{List, Listed, Paging, room},
        openapi::TYPES,
    },
    list::VolumeTypeOrder,
    volume::VolumeType,
};

impl Listed for VolumeType {
    type Order = VolumeTypeOrder;

    const SORT_KEYS: &'static [(&'static str, VolumeTypeOrder)] =
        &[("created_at", VolumeTypeOrder::CreateTime), ("id", VolumeTypeOrder::Id)];

    const CREATED: VolumeTypeOrder = VolumeTypeOrder::CreateTime;

    async fn find(api: &ApiState, call: &Call, id: &str) -> Result<Self, Problem> {
        find(api, call, id).await
    }

    fn id(&self) -> Id {
        self.id
    }

    fn key(&self, by: VolumeTypeOrder) -> Key {
        by.key(self)
    }
}

/// List volume types
///
/// Shows those that the caller's project may use; to an admin, those that are public, unless `is_public` says otherwise.
#[utoipa::path(
    get,
    path = "/v3/types",
    operation_id = "listVolumeTypes",
    tag = TYPES,
    params(
        Paging,
        ("is_public" = Option<String>, Query, description = "For admins: `none` for all, or a boolean."),
    ),
    responses((status = 200, description = "The volume types.", body = VolumeTypes)),
)]
pub(in crate::http) async fn list(
    api: ApiState,
    call: Call,
    RawQuery(query): RawQuery,
    request: Extensions,
) -> Result<Json<VolumeTypes>, Problem> {
    let _room = room(&request).await;
    let mut is_public = call.caller.is_admin.then_some(true);
    let list = List::<VolumeType>::parse(query, &call, |name, value| {
        if name == "is_public" && call.caller.is_admin {
            let is_any = value.eq_ignore_ascii_case("none");
            is_public = if is_any { None } else { Some(query::boolean(value)?) };
        }
        // Clients of everybody send `is_public`, and some filter the list themselves.
        Ok(true)
    })?;
    let page = list.page(&api, &call).await?;
    let listed = api.volumes.list_volume_types(&page, is_public, &call.caller).await?;
    Ok(Json(list.answer(&page, listed, &call.url("types"), TypeView::from).into()))
}
