//! `cinder.v1.AttachmentService`.

use std::sync::Arc;

use chassis::{caller::Caller, grpc::GrpcResult, page::Page, scope::Scope};
use chrono::TimeDelta;
use common::{id::Id, violations::Violations};
use prost::Message;
use proto::cinder::v1::{self as pb, attachment, attachment_service_server::AttachmentService};
use tonic::{Request, Response};

use super::{caller, parse::unknown, render};
use crate::{
    error::Error,
    list::{ATTACHMENT_ORDER, AttachmentFilter},
    volume::{
        AttachmentStatus, Mode,
        access::ATTACHMENTS,
        attachment::{AttachmentReport, AttachmentUpdate, Move, NewAttachment},
    },
    volumes::{
        VolumeApi,
        attachments::{AttachmentRequest, ShownAttachment},
    },
};

/// The service.
pub(super) struct Api {
    pub(super) volumes: VolumeApi,
}

#[tonic::async_trait]
impl AttachmentService for Api {
    async fn create_attachment(
        &self,
        request: Request<pb::CreateAttachmentRequest>,
    ) -> GrpcResult<pb::Attachment> {
        let caller = caller(&request)?;
        let (new, problems) = new_attachment(request.into_inner());
        answer(self.volumes.create_attachment(new, &caller, problems).await)
    }

    async fn get_attachment(&self, request: Request<pb::GetAttachmentRequest>) -> GrpcResult<pb::Attachment> {
        let caller = caller(&request)?;
        let id = Id::from_field("id", &request.into_inner().id).map_err(Error::from)?;
        answer(self.volumes.get_attachment(id, &caller).await)
    }

    async fn list_attachments(
        &self,
        request: Request<pb::ListAttachmentsRequest>,
    ) -> GrpcResult<pb::ListAttachmentsResponse> {
        let caller = caller(&request)?;
        let pb::ListAttachmentsRequest { page_size, page_token, filter, all_projects } = request.into_inner();
        let scope = Scope::list(&caller, ATTACHMENTS, all_projects, false).map_err(Error::from)?;
        let mut problems = Violations::default();
        let wanted = problems.take("filter", AttachmentFilter::parse(&filter)).unwrap_or_default();
        let list = ["attachments", &scope.binding(), &filter];
        let page = Page::parse(problems, page_size, &page_token, "", &list, ATTACHMENT_ORDER)
            .map_err(Error::from)?;
        let listed = self.volumes.list_attachments(&wanted, &page, &scope).await?;
        let (attachments, next_page_token) = page.finish(
            listed,
            |attachment, by| by.key(attachment),
            render::attachment,
            Message::encoded_len,
        );
        Ok(Response::new(pb::ListAttachmentsResponse { attachments, next_page_token }))
    }

    async fn update_attachment(
        &self,
        request: Request<pb::UpdateAttachmentRequest>,
    ) -> GrpcResult<pb::Attachment> {
        let caller = caller(&request)?;
        let pb::UpdateAttachmentRequest { id, connector, mountpoint, lease, confirm, etag } =
            request.into_inner();
        let mut problems = Violations::default();
        let id = read_id(&id, &mut problems);
        let lease = lease.and_then(|lease| duration(&lease, &mut problems));
        let update = AttachmentUpdate { connector, mountpoint, lease, confirm };
        let change = update.check(problems).map_err(Error::from)?;
        self.run(id, &etag, &caller, &change).await
    }

    async fn complete_attachment(
        &self,
        request: Request<pb::CompleteAttachmentRequest>,
    ) -> GrpcResult<pb::Attachment> {
        let caller = caller(&request)?;
        let pb::CompleteAttachmentRequest { id, mountpoint, etag } = request.into_inner();
        let mut problems = Violations::default();
        let id = read_id(&id, &mut problems);
        let change = Move::complete(mountpoint, problems).map_err(Error::from)?;
        self.run(id, &etag, &caller, &change).await
    }

    async fn begin_detaching(
        &self,
        request: Request<pb::BeginDetachingRequest>,
    ) -> GrpcResult<pb::Attachment> {
        let caller = caller(&request)?;
        let pb::BeginDetachingRequest { id, etag } = request.into_inner();
        let id = Id::from_field("id", &id).map_err(Error::from)?;
        self.run(Some(id), &etag, &caller, &Move::BeginDetaching).await
    }

    async fn roll_detaching(&self, request: Request<pb::RollDetachingRequest>) -> GrpcResult<pb::Attachment> {
        let caller = caller(&request)?;
        let pb::RollDetachingRequest { id, etag } = request.into_inner();
        let id = Id::from_field("id", &id).map_err(Error::from)?;
        self.run(Some(id), &etag, &caller, &Move::RollDetaching).await
    }

    async fn delete_attachment(&self, request: Request<pb::DeleteAttachmentRequest>) -> GrpcResult<()> {
        let caller = caller(&request)?;
        let pb::DeleteAttachmentRequest { id, etag } = request.into_inner();
        let id = Id::from_field("id", &id).map_err(Error::from)?;
        self.volumes.delete_attachment(AttachmentRequest { id, etag: &etag, caller: &caller }).await?;
        Ok(Response::new(()))
    }

    async fn report_attachment(
        &self,
        request: Request<pb::ReportAttachmentRequest>,
    ) -> GrpcResult<pb::Attachment> {
        let caller = caller(&request)?;
        let pb::ReportAttachmentRequest { id, seen_status, connection_info, failure, etag } =
            request.into_inner();
        let mut problems = Violations::default();
        let id = read_id(&id, &mut problems);
        let seen_status = problems.take("seen_status", status(seen_status)).flatten();
        let report = AttachmentReport { seen_status, connection_info, failure };
        let change = report.check(problems).map_err(Error::from)?;
        self.run(id, &etag, &caller, &change).await
    }
}

impl Api {
    /// Moves the attachment of that id, which is well-formed: otherwise the request was refused before.
    async fn run(
        &self,
        id: Option<Id>,
        etag: &str,
        caller: &Arc<Caller>,
        change: &Move,
    ) -> GrpcResult<pb::Attachment> {
        let id = id.expect("a malformed id is a violation");
        answer(self.volumes.move_attachment(AttachmentRequest { id, etag, caller }, change).await)
    }
}

fn answer(shown: Result<ShownAttachment, Error>) -> GrpcResult<pb::Attachment> {
    let (attachment, connection) = shown?;
    Ok(Response::new(pb::Attachment {
        connector: connection.connector.unwrap_or_default(),
        connection_info: connection.connection_info.unwrap_or_default(),
        ..render::attachment(attachment)
    }))
}

fn read_id(text: &str, problems: &mut Violations) -> Option<Id> {
    problems.take("id", text.parse::<Id>())
}

fn new_attachment(message: pb::CreateAttachmentRequest) -> (NewAttachment, Violations) {
    let mut problems = Violations::default();
    let new = NewAttachment {
        mode: problems.take("mode", mode(message.mode)).flatten(),
        lease: message.lease.and_then(|lease| duration(&lease, &mut problems)),
        volume_id: message.volume_id,
        instance_id: message.instance_id,
        connector: message.connector,
        request_id: message.request_id,
        volume_etag: message.volume_etag,
    };
    (new, problems)
}

/// A lease, in whole microseconds.
fn duration(given: &prost_types::Duration, problems: &mut Violations) -> Option<TimeDelta> {
    let seconds = TimeDelta::try_seconds(given.seconds);
    let whole = seconds
        .and_then(|seconds| seconds.checked_add(&TimeDelta::microseconds(i64::from(given.nanos) / 1000)));
    problems.take("lease", whole.ok_or("is no duration that could last"))
}

fn mode(number: i32) -> Result<Option<Mode>, String> {
    match attachment::Mode::try_from(number).map_err(|_| unknown(number))? {
        attachment::Mode::Unspecified => Ok(None),
        mode => Ok(Mode::from_name(mode.as_str_name())),
    }
}

fn status(number: i32) -> Result<Option<AttachmentStatus>, String> {
    match attachment::Status::try_from(number).map_err(|_| unknown(number))? {
        attachment::Status::Unspecified => Ok(None),
        status => Ok(AttachmentStatus::from_name(status.as_str_name())),
    }
}
