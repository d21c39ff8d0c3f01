//! Lists of volumes.

use axum::{Json, extract::RawQuery, http::Extensions};
use chassis::{
    http::{Problem, openapi::Refused},
    page::Key,
};
use common::id::Id;
use serde::Serialize;

use super::{
    body::{Named, NamedVolumes, VolumeView, Volumes},
    find,
};
use crate::{
    http::{
        ApiState, Call,
        list::{List, Listed, Listing, Paging, room},
        openapi::VOLUMES,
        values::entries,
    },
    list::{VolumeFilter, VolumeOrder},
    volume::{TaskState, Volume},
};

/// What a status that Cinder has only while something is being done stands for.
const TASKS: [(&str, TaskState); 6] = [
    ("extending", TaskState::Extending),
    ("retyping", TaskState::Retyping),
    ("uploading", TaskState::Uploading),
    ("downloading", TaskState::Reimaging),
    ("reverting", TaskState::Reverting),
    ("maintenance", TaskState::Writing),
];

impl Listed for Volume {
    type Order = VolumeOrder;

    const SORT_KEYS: &'static [(&'static str, VolumeOrder)] = &[
        ("created_at", VolumeOrder::CreateTime),
        ("updated_at", VolumeOrder::UpdateTime),
        ("name", VolumeOrder::Name),
        ("display_name", VolumeOrder::Name),
        ("status", VolumeOrder::Status),
        ("size", VolumeOrder::SizeGib),
        ("id", VolumeOrder::Id),
    ];

    const CREATED: VolumeOrder = VolumeOrder::CreateTime;

    async fn find(api: &ApiState, call: &Call, id: &str) -> Result<Self, Problem> {
        find(api, call, id).await
    }

    fn id(&self) -> Id {
        self.id
    }

    fn key(&self, by: VolumeOrder) -> Key {
        by.key(self)
    }
}

/// List volumes, with their names alone
#[utoipa::path(
    get,
    path = "/v3/volumes",
    operation_id = "listVolumes",
    tag = VOLUMES,
    params(
        Paging,
        ("name" = Option<String>, Query, description = "Only those of that name."),
        ("status" = Option<String>, Query, description = "Only those with that status."),
        ("glance_metadata" = Option<String>, Query, description = "Only those with these image properties."),
    ),
    responses((status = 200, description = "A page of volumes.", body = NamedVolumes), Refused::<404>),
)]
pub(in crate::http) async fn list(
    api: ApiState,
    call: Call,
    RawQuery(query): RawQuery,
    request: Extensions,
) -> Result<Json<NamedVolumes>, Problem> {
    let brief = |volume: Volume| {
        let id = volume.id.to_string();
        Named { links: call.links(&format!("volumes/{id}")), id, name: volume.name }
    };
    page(&api, &call, ("volumes", query), &request, brief).await
}

/// List volumes
#[utoipa::path(
    get,
    path = "/v3/volumes/detail",
    operation_id = "listVolumesDetail",
    tag = VOLUMES,
    params(
        Paging,
        ("name" = Option<String>, Query, description = "Only those of that name."),
        ("status" = Option<String>, Query, description = "Only those with that status."),
        ("glance_metadata" = Option<String>, Query, description = "Only those with these image properties."),
    ),
    responses((status = 200, description = "A page of volumes.", body = Volumes), Refused::<404>),
)]
pub(in crate::http) async fn detail(
    api: ApiState,
    call: Call,
    RawQuery(query): RawQuery,
    request: Extensions,
) -> Result<Json<Volumes>, Problem> {
    page(&api, &call, ("volumes/detail", query), &request, |volume| VolumeView::new(volume, &call)).await
}

/// The page of a list at `path` that a query asks for.
async fn page<V: Serialize, P: From<Listing> + Default>(
    api: &ApiState,
    call: &Call,
    (path, query): (&str, Option<String>),
    request: &Extensions,
    view: impl FnMut(Volume) -> V,
) -> Result<Json<P>, Problem> {
    let _room = room(request).await;
    let mut filter = Some(VolumeFilter::default());
    let list = List::<Volume>::parse(query, call, |name, value| add(&mut filter, name, value))?;
    let page = list.page(api, call).await?;
    let Some(filter) = filter else {
        return Ok(Json(P::default()));
    };
    let scope = filter.scope(list.all_projects, &call.caller)?;
    let listed = api.volumes.list_volumes(&filter, &page, &scope).await?;
    Ok(Json(list.answer(&page, listed, &call.url(path), view).into()))
}

/// Adds a condition; `false` if there is no such filter. `filter` becomes `None` if nothing can match.
fn add(filter: &mut Option<VolumeFilter>, name: &str, value: &str) -> Result<bool, String> {
    let Some(conditions) = filter else { return Ok(true) };
    match name {
        "name" | "availability_zone" | "project_id" | "user_id" | "bootable" => {
            conditions.add_field(name, value.to_owned())?;
        }
        "display_name" => conditions.add_field("name", value.to_owned())?,
        "size" => conditions.add_field("size_gib", value.to_owned())?,
        "metadata" => conditions.metadata.extend(entries(value)?),
        "glance_metadata" => conditions.records.entries.extend(entries(value)?),
        "status" => {
            if !add_status(conditions, value) {
                *filter = None;
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Adds a condition on what Cinder calls the status; `false` if no volume ever has it.
fn add_status(conditions: &mut VolumeFilter, value: &str) -> bool {
    if let Some((_, state)) = TASKS.iter().find(|(name, _)| *name == value) {
        conditions.task_state = Some(Some(*state));
        return true;
    }
    let status = value.replace('-', "_");
    let has_task = ["creating", "deleting"].contains(&value);
    conditions.task_state = (!has_task).then_some(None);
    conditions.add_field("status", status).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_of_a_volume_or_of_its_task() {
        let filter = |status: &str| {
            let mut filter = Some(VolumeFilter::default());
            assert_eq!(add(&mut filter, "status", status), Ok(true));
            filter
        };
        assert_eq!(filter("uploading").unwrap().task_state, Some(Some(TaskState::Uploading)));
        let in_use = filter("in-use").unwrap();
        assert_eq!((in_use.task_state, in_use.columns.len()), (Some(None), 1));
        assert_eq!(filter("creating").unwrap().task_state, None);
        assert!(filter("error_extending").is_none());
    }
}
