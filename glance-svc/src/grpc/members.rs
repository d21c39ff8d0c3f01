//! Members over gRPC.

use chassis::caller::Caller;
use common::{id::Id, violations::Violations};
use proto::glance::v1::{self as pb, image_member};
use tonic::Response;

use crate::{
    error::Error,
    image::member::{MemberId, MemberStatus},
    images::Images,
};
use chassis::grpc::GrpcResult;

pub(super) async fn create(
    images: &Images,
    caller: &Caller,
    request: pb::CreateImageMemberRequest,
) -> GrpcResult<pb::ImageMember> {
    let (id, member_id) = names(&request.image_id, &request.member_id).map_err(Error::from)?;
    Ok(Response::new(images.add_member(id, &member_id, caller).await?.into()))
}

pub(super) async fn get(
    images: &Images,
    caller: &Caller,
    request: pb::GetImageMemberRequest,
) -> GrpcResult<pb::ImageMember> {
    let (id, member_id) = names(&request.image_id, &request.member_id).map_err(Error::from)?;
    Ok(Response::new(images.get_member(id, &member_id, caller).await?.into()))
}

pub(super) async fn list(
    images: &Images,
    caller: &Caller,
    request: pb::ListImageMembersRequest,
) -> GrpcResult<pb::ListImageMembersResponse> {
    let id = Id::from_field("image_id", &request.image_id).map_err(Error::from)?;
    let members = images.list_members(id, caller).await?;
    Ok(Response::new(pb::ListImageMembersResponse { members: members.into_iter().map(Into::into).collect() }))
}

pub(super) async fn update(
    images: &Images,
    caller: &Caller,
    request: pb::UpdateImageMemberRequest,
) -> GrpcResult<pb::ImageMember> {
    let names = names(&request.image_id, &request.member_id);
    let (id, member_id, status) = match (names, status(request.status)) {
        (Ok((id, member_id)), Ok(status)) => (id, member_id, status),
        (names, status) => {
            let mut violations = names.err().unwrap_or_default();
            violations.append(status.err().unwrap_or_default());
            return Err(Error::from(violations).into());
        }
    };
    Ok(Response::new(images.update_member(id, &member_id, status, caller).await?.into()))
}

pub(super) async fn delete(
    images: &Images,
    caller: &Caller,
    request: pb::DeleteImageMemberRequest,
) -> GrpcResult<()> {
    let (id, member_id) = names(&request.image_id, &request.member_id).map_err(Error::from)?;
    images.remove_member(id, &member_id, caller).await?;
    Ok(Response::new(()))
}

/// The image and the member that a request names.
fn names(image_id: &str, member_id: &str) -> Result<(Id, MemberId), Violations> {
    let mut violations = Violations::default();
    let id = violations.take("image_id", image_id.parse());
    let member_id = violations.take("member_id", member_id.parse());
    violations.check()?;
    Ok((id.expect("a malformed id is a violation"), member_id.expect("a malformed member is a violation")))
}

fn status(number: i32) -> Result<MemberStatus, Violations> {
    let known = image_member::Status::try_from(number).ok();
    known
        .and_then(|status| MemberStatus::from_name(status.as_str_name()))
        .ok_or_else(|| Violations::one("status", "must be PENDING, ACCEPTED or REJECTED"))
}
