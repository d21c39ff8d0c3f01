//! Members over HTTP.

use axum::{
    Json,
    extract::{Path, Request},
    http::HeaderMap,
    response::Response,
};
use chassis::{
    caller::Caller,
    http::{Problem, conditions, no_content},
};
use common::{id::Id, violations::Violations};
use serde_json::{Value, json};

use super::{Api, ApiState, Authenticated, image_id, render};
use crate::{
    error::Error,
    image::member::{MemberId, MemberStatus},
};

pub(super) async fn list(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let members = api.images.list_members(image_id(&id)?, &caller).await?;
    let members: Vec<_> = members.iter().map(render::member).collect();
    Ok(Json(json!({"members": members, "schema": "/v2/schemas/members"})))
}

pub(super) async fn add(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let id = image_id(&id)?;
    let member_id = field(&api.json(request).await?, "member")?;
    let member_id = member_id.parse().map_err(|problem: String| Violations::one("member", problem))?;
    Ok(Json(render::member(&api.images.add_member(id, &member_id, &caller).await?)))
}

pub(super) async fn show(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path((id, member_id)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let (id, member_id) = named(&id, &member_id)?;
    Ok(Json(render::member(&api.images.get_member(id, &member_id, &caller).await?)))
}

pub(super) async fn update(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path((id, member_id)): Path<(String, String)>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let (id, member_id) = named(&id, &member_id)?;
    check(&api, id, &member_id, &caller, request.headers()).await?;
    let status = field(&api.json(request).await?, "status")?;
    let known = MemberStatus::ALL.iter().find(|known| known.as_str() == status);
    let status = known.ok_or_else(|| Violations::one("status", "must be pending, accepted or rejected"))?;
    Ok(Json(render::member(&api.images.update_member(id, &member_id, *status, &caller).await?)))
}

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
