//! Members over HTTP.

use axum::{
    Json,
    extract::{Path, Request},
    http::HeaderMap,
    response::Response,
};
use chassis::{
    caller::Caller,
    http::{Problem, conditions, no_content, openapi::Refused},
};
use common::{id::Id, violations::Violations};
use serde_json::Value;

use super::{
    Api, ApiState, Authenticated, image_id,
    openapi::{
        MEMBERS,
        parameters::{IfMatchMember, IfNoneMatchNew, ImageId, MemberId as MemberIdInPath},
        schema::{NewMember, NewMemberStatus},
    },
    render::{self, Member, Members},
};
use crate::{
    error::Error,
    image::member::{MemberId, MemberStatus},
};

/// List the projects that an image is shared with
///
/// The owner sees all members, a member itself alone.
#[utoipa::path(
    get,
    path = "/v2/images/{image_id}/members",
    operation_id = "listMembers",
    tag = MEMBERS,
    params(ImageId),
    responses((status = 200, description = "The members.", body = Members), Refused::<403>, Refused::<404>),
)]
pub(super) async fn list(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Members>, Problem> {
    let members = api.images.list_members(image_id(&id)?, &caller).await?;
    let members = members.iter().map(render::member).collect();
    Ok(Json(Members { members, schema: "/v2/schemas/members" }))
}

/// Share an image with a project
///
/// The image's visibility must be `shared`. The project finds the image in its lists once it has accepted it.
#[utoipa::path(
    post,
    path = "/v2/images/{image_id}/members",
    operation_id = "addMember",
    tag = MEMBERS,
    params(ImageId),
    request_body(content = inline(NewMember), example = json!({"member": "demo"})),
    responses(
        (status = 200, description = "The member.", body = Member),
        Refused::<403>, Refused::<404>, Refused::<409>,
    ),
)]
pub(super) async fn add(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Member>, Problem> {
    let id = image_id(&id)?;
    let member_id = field(&api.json(request).await?, "member")?;
    let member_id = member_id.parse().map_err(|problem: String| Violations::one("member", problem))?;
    Ok(Json(render::member(&api.images.add_member(id, &member_id, &caller).await?)))
}

/// Show a member
#[utoipa::path(
    get,
    path = "/v2/images/{image_id}/members/{member_id}",
    operation_id = "showMember",
    tag = MEMBERS,
    params(ImageId, MemberIdInPath),
    responses((status = 200, description = "The member.", body = Member), Refused::<404>),
)]
pub(super) async fn show(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path((id, member_id)): Path<(String, String)>,
) -> Result<Json<Member>, Problem> {
    let (id, member_id) = named(&id, &member_id)?;
    Ok(Json(render::member(&api.images.get_member(id, &member_id, &caller).await?)))
}

/// Accept or reject an image
///
/// Only the project itself answers, or an operator.
#[utoipa::path(
    put,
    path = "/v2/images/{image_id}/members/{member_id}",
    operation_id = "updateMember",
    tag = MEMBERS,
    params(ImageId, MemberIdInPath, IfMatchMember, IfNoneMatchNew),
    request_body(content = inline(NewMemberStatus), example = json!({"status": "accepted"})),
    responses(
        (status = 200, description = "The member as it is now.", body = Member),
        Refused::<403>, Refused::<404>, Refused::<412>,
    ),
)]
pub(super) async fn update(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path((id, member_id)): Path<(String, String)>,
    request: Request,
) -> Result<Json<Member>, Problem> {
    let (id, member_id) = named(&id, &member_id)?;
    check(&api, id, &member_id, &caller, request.headers()).await?;
    let status = field(&api.json(request).await?, "status")?;
    let known = MemberStatus::ALL.iter().find(|known| known.as_str() == status);
    let status = known.ok_or_else(|| Violations::one("status", "must be pending, accepted or rejected"))?;
    Ok(Json(render::member(&api.images.update_member(id, &member_id, *status, &caller).await?)))
}

/// Share an image with a project no longer
#[utoipa::path(
    delete,
    path = "/v2/images/{image_id}/members/{member_id}",
    operation_id = "removeMember",
    tag = MEMBERS,
    params(ImageId, MemberIdInPath, IfMatchMember, IfNoneMatchNew),
    responses(
        (status = 204, description = "The project is no member."),
        Refused::<403>, Refused::<404>, Refused::<412>,
    ),
)]
pub(super) async fn remove(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path((id, member_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (id, member_id) = named(&id, &member_id)?;
    check(&api, id, &member_id, &caller, &headers).await?;
    api.images.remove_member(id, &member_id, &caller).await?;
    Ok(no_content())
}

/// Checks the conditions of a change of a member, which must be there and be seen: it has no etag.
async fn check(
    api: &Api,
    id: Id,
    member_id: &MemberId,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<(), Error> {
    match conditions::check_without_etag(headers, "a member") {
        Ok(()) => Ok(()),
        Err(unmet) => api.images.get_member(id, member_id, caller).await.and(Err(unmet.into())),
    }
}

/// The image and the member that a path names; a text that can be no project names no member.
fn named(id: &str, member_id: &str) -> Result<(Id, MemberId), Problem> {
    let id = image_id(id)?;
    let member_id = member_id.parse().map_err(|_| {
        Problem::of(&Error::MemberNotFound { id, member_id: common::text::clip(member_id, 100) })
    })?;
    Ok((id, member_id))
}

/// The text of the one field of a body.
fn field(body: &Value, name: &str) -> Result<String, Violations> {
    let text = body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| Violations::one(name, "must be there, a string that is not empty"))
}
