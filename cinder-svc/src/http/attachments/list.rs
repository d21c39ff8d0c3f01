//! Lists of attachments.

use axum::{Json, extract::RawQuery, http::Extensions};
use chassis::{
    http::{Problem, openapi::Refused},
    page::Key,
    scope::Scope,
};
use common::id::Id;
use serde::Serialize;

use super::{
    body::{AttachmentView, Attachments, Brief, BriefAttachments},
    find,
};
use crate::{
    error::Error,
    http::{
        ApiState, Call,
        list::{List, Listed, Listing, Paging, room},
        openapi::ATTACHMENTS as TAG,
        since,
    },
    list::{AttachmentFilter, AttachmentOrder},
    volume::{Attachment, access::ATTACHMENTS},
};

impl Listed for Attachment {
    type Order = AttachmentOrder;

    const SORT_KEYS: &'static [(&'static str, AttachmentOrder)] =
        &[("created_at", AttachmentOrder::CreateTime), ("id", AttachmentOrder::Id)];

    const CREATED: AttachmentOrder = AttachmentOrder::CreateTime;

    async fn find(api: &ApiState, call: &Call, id: &str) -> Result<Self, Problem> {
        Ok(find(api, call, id).await?.0)
    }

    fn id(&self) -> Id {
        self.id
    }

    fn key(&self, by: AttachmentOrder) -> Key {
        by.key(self)
    }
}

/// List attachments, without details
///
/// Since 3.27.
#[utoipa::path(
    get,
    path = "/v3/attachments",
    operation_id = "listAttachments",
    tag = TAG,
    params(
        Paging,
        ("volume_id" = Option<String>, Query, description = "Only those of that volume."),
        ("instance_id" = Option<String>, Query, description = "Only those of that instance."),
        ("status" = Option<String>, Query, description = "Only those with that status."),
    ),
    responses((status = 200, description = "A page of attachments.", body = BriefAttachments), Refused::<404>),
)]
pub(in crate::http) async fn list(
    api: ApiState,
    call: Call,
    RawQuery(query): RawQuery,
    request: Extensions,
) -> Result<Json<BriefAttachments>, Problem> {
    page(&api, &call, ("attachments", query), &request, |attachment| Brief::new(&attachment)).await
}

/// List attachments
///
/// Since 3.27.
#[utoipa::path(
    get,
    path = "/v3/attachments/detail",
    operation_id = "listAttachmentsDetail",
    tag = TAG,
    params(
        Paging,
        ("volume_id" = Option<String>, Query, description = "Only those of that volume."),
        ("instance_id" = Option<String>, Query, description = "Only those of that instance."),
        ("status" = Option<String>, Query, description = "Only those with that status."),
    ),
    responses((status = 200, description = "A page of attachments.", body = Attachments), Refused::<404>),
)]
pub(in crate::http) async fn detail(
    api: ApiState,
    call: Call,
    RawQuery(query): RawQuery,
    request: Extensions,
) -> Result<Json<Attachments>, Problem> {
    let view = |attachment: Attachment| AttachmentView::new(&attachment, None);
    page(&api, &call, ("attachments/detail", query), &request, view).await
}

/// The page of a list at `path` that a query asks for.
async fn page<V: Serialize, P: From<Listing>>(
    api: &ApiState,
    call: &Call,
    (path, query): (&str, Option<String>),
    request: &Extensions,
    view: impl FnMut(Attachment) -> V,
) -> Result<Json<P>, Problem> {
    call.version.require(since(27))?;
    let _room = room(request).await;
    let mut filter = AttachmentFilter::default();
    let list = List::<Attachment>::parse(query, call, |name, value| add(&mut filter, name, value))?;
    let page = list.page(api, call).await?;
    let scope = Scope::list(&call.caller, ATTACHMENTS, list.all_projects, false).map_err(Error::from)?;
    let listed = api.volumes.list_attachments(&filter, &page, &scope).await?;
    Ok(Json(list.answer(&page, listed, &call.url(path), view).into()))
}

/// Adds a condition; `false` if there is no such filter.
fn add(filter: &mut AttachmentFilter, name: &str, value: &str) -> Result<bool, String> {
    let field = if name == "attach_status" { "status" } else { name };
    if !["volume_id", "instance_id", "status"].contains(&field) {
        return Ok(false);
    }
    filter.add_field(field, value.to_owned())?;
    Ok(true)
}
