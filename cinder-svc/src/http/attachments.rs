//! Attachments over HTTP. A reservation made here has no lease: whoever speaks this protocol does not renew any.

use axum::{
    Json,
    extract::{Path, RawQuery, Request},
    http::StatusCode,
};
use chassis::{
    http::{
        Problem,
        openapi::Refused,
        query::{self, MARKER, Query},
        versions::Link,
    },
    page::{MAX_SIZE, Order, Page},
    scope::{Scope, sees_all},
};
use common::{
    id::Id,
    text::{boolean, clip},
    violations::Violations,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{ApiState, Call, id_of, openapi::ATTACHMENTS as TAG, render::time, since, values::Anything};
use crate::{
    error::Error,
    list::{ATTACHMENT_ORDER, AttachmentFilter, AttachmentOrder},
    volume::{
        Attachment, Mode,
        access::ATTACHMENTS,
        attachment::{AttachmentUpdate, Move, NewAttachment},
    },
    volumes::attachments::{AttachmentRequest, ShownAttachment},
};

/// What the fields of a request are called here, by their names over gRPC.
const NAMES: [(&str, &str); 4] = [
    ("volume_id", "attachment.volume_uuid"),
    ("instance_id", "attachment.instance_uuid"),
    ("connector", "attachment.connector"),
    ("mode", "attachment.mode"),
];

/// An attachment.
#[derive(Serialize, ToSchema)]
#[schema(as = Attachment)]
pub(super) struct AttachmentView {
    id: String,
    /// The instance.
    instance: Option<String>,
    volume_id: String,
    status: &'static str,
    attach_mode: &'static str,
    attached_at: Option<String>,
    detached_at: Option<String>,
    /// How the host reaches the data, for admins and services.
    connection_info: Option<Value>,
}

/// An attachment in a list without details.
#[derive(Serialize, ToSchema)]
pub(super) struct Brief {
    id: String,
    instance: Option<String>,
    volume_id: String,
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OneAttachment)]
pub(super) struct One {
    attachment: AttachmentView,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Attachments)]
pub(super) struct List<T> {
    attachments: Vec<T>,
    /// The next page, if there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments_links: Vec<Link>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CreateAttachment)]
pub(super) struct Create {
    attachment: New,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewAttachment)]
#[serde(deny_unknown_fields)]
struct New {
    volume_uuid: String,
    instance_uuid: Option<String>,
    /// The host that is to use the volume.
    connector: Option<Value>,
    /// `rw` or `ro`, since 3.54.
    mode: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = UpdateAttachment)]
pub(super) struct Update {
    attachment: Connect,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Connect {
    /// The host that is to use the volume, with its name as `host`.
    connector: Value,
}

/// What is to be done with an attachment: an object with one member.
#[derive(Deserialize, ToSchema)]
pub(super) enum AttachmentAction {
    #[serde(rename = "os-complete")]
    Complete(Anything),
}

/// Reserve a volume
///
/// With a connector, its host is going to use the volume at once. Since 3.27.
#[utoipa::path(
    post,
    path = "/v3/attachments",
    operation_id = "createAttachment",
    tag = TAG,
    request_body = Create,
    responses((status = 200, description = "The attachment.", body = One), Refused::<403>, Refused::<404>),
)]
pub(super) async fn create(api: ApiState, call: Call, request: Request) -> Result<Json<One>, Problem> {
    call.version.require(since(27))?;
    let Create { attachment: new } = api.body(request).await?;
    let mut problems = Violations::default();
    let has_connector = new.connector.is_some();
    let new = NewAttachment {
        mode: new.mode.and_then(|text| problems.take("mode", mode(&text))),
        volume_id: new.volume_uuid,
        instance_id: new.instance_uuid.unwrap_or_default(),
        connector: new.connector.map(|connector| connector.to_string()).unwrap_or_default(),
        ..NewAttachment::default()
    };
    let created = api.volumes.create_attachment(new, &call.caller, problems).await;
    let (created, connection) = created.map_err(renamed)?;
    if has_connector {
        return Ok(one((created, connection)));
    }
    // If this process dies here, the reservation ends by itself.
    let confirm = AttachmentUpdate { confirm: true, ..AttachmentUpdate::default() };
    run(&api, &call, created.id, &confirm.check(Violations::default())?).await
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
        ("limit" = Option<i64>, Query, description = "Maximum number, 1000 at most."),
        ("marker" = Option<String>, Query, description = "Id of the last attachment of the previous page."),
        ("all_tenants" = Option<bool>, Query, description = "For admins: attachments of all projects."),
        ("volume_id" = Option<String>, Query, description = "Only those of that volume."),
        ("instance_id" = Option<String>, Query, description = "Only those of that instance."),
        ("status" = Option<String>, Query, description = "Only those with that status."),
    ),
    responses((status = 200, description = "A page of attachments.", body = List<Brief>), Refused::<404>),
)]
pub(super) async fn list(
    api: ApiState,
    call: Call,
    RawQuery(raw): RawQuery,
) -> Result<Json<List<Brief>>, Problem> {
    let brief = |attachment: Attachment| Brief {
        id: attachment.id.to_string(),
        instance: attachment.instance_id.map(|id| id.to_string()),
        volume_id: attachment.volume_id.to_string(),
        status: attachment.status.as_str(),
    };
    page(&api, &call, ("attachments", raw), brief).await
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
        ("limit" = Option<i64>, Query, description = "Maximum number, 1000 at most."),
        ("marker" = Option<String>, Query, description = "Id of the last attachment of the previous page."),
        ("all_tenants" = Option<bool>, Query, description = "For admins: attachments of all projects."),
        ("volume_id" = Option<String>, Query, description = "Only those of that volume."),
        ("instance_id" = Option<String>, Query, description = "Only those of that instance."),
        ("status" = Option<String>, Query, description = "Only those with that status."),
    ),
    responses(
        (status = 200, description = "A page of attachments.", body = List<AttachmentView>),
        Refused::<404>,
    ),
)]
pub(super) async fn detail(
    api: ApiState,
    call: Call,
    RawQuery(raw): RawQuery,
) -> Result<Json<List<AttachmentView>>, Problem> {
    page(&api, &call, ("attachments/detail", raw), |attachment| view(&attachment, None)).await
}

/// The page of a list at `path` that a query asks for.
async fn page<T>(
    api: &ApiState,
    call: &Call,
    (path, raw): (&str, Option<String>),
    mut render: impl FnMut(Attachment) -> T,
) -> Result<Json<List<T>>, Problem> {
    call.version.require(since(27))?;
    let mut violations = Violations::default();
    let query = Query::parse(&raw.unwrap_or_default(), &mut violations);
    let (mut limit, mut marker, mut all_projects) = (MAX_SIZE, None, false);
    let mut filter = AttachmentFilter::default();
    for (name, value) in query.iter() {
        match name {
            "limit" => limit = violations.take(name, query::limit(value, MAX_SIZE)).unwrap_or(limit),
            MARKER => marker = Some(value.to_owned()),
            "all_tenants" => all_projects = sees_all(&call.caller) && boolean(value).unwrap_or(false),
            "attach_status" => {
                violations.take(name, filter.add_field("status", value.to_owned()));
            }
            "volume_id" | "instance_id" | "status" => {
                violations.take(name, filter.add_field(name, value.to_owned()));
            }
            _ if call.version.is_in(since(31)) => {
                violations.add(clip(name, 60), "is no filter of this list");
            }
            _ => {}
        }
    }
    violations.check()?;
    let behind = match &marker {
        None => None,
        Some(marker) => Some(api.volumes.get_attachment(attachment_id(marker)?, &call.caller).await?.0),
    };
    let scope = Scope::list(&call.caller, ATTACHMENTS, all_projects, false).map_err(Error::from)?;
    let key = behind.as_ref().map(|attachment| |by: AttachmentOrder| by.key(attachment));
    let page = Page::behind(limit, Order::new(vec![ATTACHMENT_ORDER]), key);
    let listed = api.volumes.list_attachments(&filter, &page, &scope).await?;
    let render = |attachment: Attachment| (attachment.id, render(attachment));
    // Without a connection, each is small.
    let (attachments, next) = page.finish(listed, |attachment, by| by.key(attachment), render, |_| 0);
    let marker = attachments.last().map(|(id, _)| *id).filter(|_| !next.is_empty());
    let link = marker.map(|id| Link { href: query.page(&call.url(path), Some(&id)), rel: "next" });
    let attachments = attachments.into_iter().map(|(_, view)| view).collect();
    Ok(Json(List { attachments, attachments_links: link.into_iter().collect() }))
}

/// Show an attachment
///
/// Since 3.27.
#[utoipa::path(
    get,
    path = "/v3/attachments/{attachment_id}",
    operation_id = "showAttachment",
    tag = TAG,
    params(("attachment_id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The attachment.", body = One), Refused::<404>),
)]
pub(super) async fn show(api: ApiState, call: Call, Path(id): Path<String>) -> Result<Json<One>, Problem> {
    call.version.require(since(27))?;
    Ok(one(api.volumes.get_attachment(attachment_id(&id)?, &call.caller).await?))
}

/// Name the host that is to use the volume
///
/// Since 3.27.
#[utoipa::path(
    put,
    path = "/v3/attachments/{attachment_id}",
    operation_id = "updateAttachment",
    tag = TAG,
    params(("attachment_id" = String, Path, description = "Its id.")),
    request_body = Update,
    responses(
        (status = 200, description = "The attachment as it is now.", body = One),
        Refused::<403>, Refused::<404>,
    ),
)]
pub(super) async fn update(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<One>, Problem> {
    call.version.require(since(27))?;
    let id = attachment_id(&id)?;
    let Update { attachment: Connect { connector } } = api.body(request).await?;
    let update = AttachmentUpdate { connector: connector.to_string(), ..AttachmentUpdate::default() };
    let change = update.check(Violations::default()).map_err(|violations| violations.renamed(&NAMES))?;
    run(&api, &call, id, &change).await
}

/// Say that the host uses the volume
///
/// Since 3.44.
#[utoipa::path(
    post,
    path = "/v3/attachments/{attachment_id}/action",
    operation_id = "completeAttachment",
    tag = TAG,
    params(("attachment_id" = String, Path, description = "Its id.")),
    request_body(content = AttachmentAction, example = json!({"os-complete": null})),
    responses((status = 204, description = "It is in use."), Refused::<403>, Refused::<404>),
)]
pub(super) async fn complete(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    call.version.require(since(44))?;
    let id = attachment_id(&id)?;
    let AttachmentAction::Complete(Anything { .. }) = api.body(request).await?;
    let change = Move::complete(String::new(), Violations::default())?;
    run(&api, &call, id, &change).await.map(|_| StatusCode::NO_CONTENT)
}

/// Delete an attachment
///
/// Answers with the attachments of the volume that are left. Since 3.27.
#[utoipa::path(
    delete,
    path = "/v3/attachments/{attachment_id}",
    operation_id = "deleteAttachment",
    tag = TAG,
    params(("attachment_id" = String, Path, description = "Its id.")),
    responses(
        (status = 200, description = "The others of the volume.", body = List<AttachmentView>),
        Refused::<403>, Refused::<404>, Refused::<409>,
    ),
)]
pub(super) async fn delete(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
) -> Result<Json<List<AttachmentView>>, Problem> {
    call.version.require(since(27))?;
    let id = attachment_id(&id)?;
    let volume_id = api.volumes.get_attachment(id, &call.caller).await?.0.volume_id;
    api.volumes.delete_attachment(AttachmentRequest { id, etag: "", caller: &call.caller }).await?;
    let left = api.volumes.get_volume(volume_id, &call.caller).await.map(|volume| volume.attachments);
    let attachments = left.unwrap_or_default().iter().map(|left| view(left, None)).collect();
    Ok(Json(List { attachments, attachments_links: Vec::new() }))
}

async fn run(api: &ApiState, call: &Call, id: Id, change: &Move) -> Result<Json<One>, Problem> {
    let request = AttachmentRequest { id, etag: "", caller: &call.caller };
    Ok(one(api.volumes.move_attachment(request, change).await?))
}

fn renamed(error: Error) -> Problem {
    match error {
        Error::Invalid(violations) => violations.renamed(&NAMES).into(),
        error => error.into(),
    }
}

fn one((attachment, connection): ShownAttachment) -> Json<One> {
    Json(One { attachment: view(&attachment, connection.connection_info.as_deref()) })
}

fn view(attachment: &Attachment, connection_info: Option<&str>) -> AttachmentView {
    AttachmentView {
        id: attachment.id.to_string(),
        instance: attachment.instance_id.map(|id| id.to_string()),
        volume_id: attachment.volume_id.to_string(),
        status: attachment.status.as_str(),
        attach_mode: if attachment.mode == Mode::ReadOnly { "ro" } else { "rw" },
        attached_at: attachment.attach_time.map(time),
        detached_at: None,
        connection_info: connection_info.and_then(|json| serde_json::from_str(json).ok()),
    }
}

fn mode(text: &str) -> Result<Mode, &'static str> {
    match text {
        "rw" => Ok(Mode::ReadWrite),
        "ro" => Ok(Mode::ReadOnly),
        _ => Err("must be rw or ro"),
    }
}

fn attachment_id(text: &str) -> Result<Id, Problem> {
    id_of(text, "ATTACHMENT_NOT_FOUND", "attachment")
}
