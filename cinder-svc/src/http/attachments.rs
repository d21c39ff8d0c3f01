//! Attachments over HTTP. A reservation made here has no lease: whoever speaks this protocol does not renew any.

use axum::{
    Json,
    extract::{Path, Request},
    http::StatusCode,
};
use chassis::http::{Problem, openapi::Refused};
use common::{id::Id, violations::Violations};

use super::{ApiState, Call, id_of, openapi::ATTACHMENTS as TAG, since, values::Anything};
use crate::{
    error::Error,
    volume::{
        Mode,
        attachment::{AttachmentUpdate, Move, NewAttachment},
    },
    volumes::attachments::{AttachmentRequest, ShownAttachment},
};

mod body;
pub(super) mod list;

use body::{AttachmentAction, AttachmentView, Connect, Create, Left, One, Update};

/// What the fields of a request are called here, by their names over gRPC.
const NAMES: [(&str, &str); 4] = [
    ("volume_id", "attachment.volume_uuid"),
    ("instance_id", "attachment.instance_uuid"),
    ("connector", "attachment.connector"),
    ("mode", "attachment.mode"),
];

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
    let created = if has_connector {
        api.volumes.create_attachment(new, &call.caller, problems).await
    } else {
        reserve(&api, &call, new, problems).await
    };
    Ok(one(created.map_err(renamed)?))
}

/// Makes a reservation without a lease.
pub(super) async fn reserve(
    api: &ApiState,
    call: &Call,
    new: NewAttachment,
    problems: Violations,
) -> Result<ShownAttachment, Error> {
    let (created, _) = api.volumes.create_attachment(new, &call.caller, problems).await?;
    // If this process dies here, the reservation ends by itself.
    let request = AttachmentRequest { id: created.id, etag: "", caller: &call.caller };
    api.volumes.move_attachment(request, &Move::Confirm).await
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
    Ok(one(find(&api, &call, &id).await?))
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
        (status = 200, description = "The others of the volume.", body = Left),
        Refused::<403>, Refused::<404>, Refused::<409>,
    ),
)]
pub(super) async fn delete(api: ApiState, call: Call, Path(id): Path<String>) -> Result<Json<Left>, Problem> {
    call.version.require(since(27))?;
    let id = attachment_id(&id)?;
    let volume_id = api.volumes.get_attachment(id, &call.caller).await?.0.volume_id;
    api.volumes.delete_attachment(AttachmentRequest { id, etag: "", caller: &call.caller }).await?;
    let left = api.volumes.get_volume(volume_id, &call.caller).await.map(|volume| volume.attachments);
    let attachments = left.unwrap_or_default().iter().map(|left| AttachmentView::new(left, None)).collect();
    Ok(Json(Left { attachments }))
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
    Json(One { attachment: AttachmentView::new(&attachment, connection.connection_info.as_deref()) })
}

/// `rw` or `ro`.
pub(super) fn mode(text: &str) -> Result<Mode, &'static str> {
    match text {
        "rw" => Ok(Mode::ReadWrite),
        "ro" => Ok(Mode::ReadOnly),
        _ => Err("must be rw or ro"),
    }
}

/// The attachment that a path names, as far as the caller may see it.
async fn find(api: &ApiState, call: &Call, id: &str) -> Result<ShownAttachment, Problem> {
    Ok(api.volumes.get_attachment(attachment_id(id)?, &call.caller).await?)
}

/// The id of the attachment that a path names.
fn attachment_id(text: &str) -> Result<Id, Problem> {
    id_of(text, "ATTACHMENT_NOT_FOUND", "attachment")
}
