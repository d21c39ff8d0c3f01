//! Its calls on attachments.

use proto::cinder::v1::{
    self as pb, Attachment, attachment::Status as Attached, attachment_service_server::AttachmentService,
};
use tonic::{Code, Request, Response, Status};

use super::{Cinder, gone, never, refused};

#[tonic::async_trait]
impl AttachmentService for Cinder {
    async fn create_attachment(
        &self,
        request: Request<pb::CreateAttachmentRequest>,
    ) -> Result<Response<Attachment>, Status> {
        self.write(|state| state.reserve(request.get_ref()))
    }

    async fn get_attachment(
        &self,
        request: Request<pb::GetAttachmentRequest>,
    ) -> Result<Response<Attachment>, Status> {
        self.act(|state| state.attachments.get(&request.get_ref().id).cloned().ok_or_else(gone))
    }

    async fn update_attachment(
        &self,
        request: Request<pb::UpdateAttachmentRequest>,
    ) -> Result<Response<Attachment>, Status> {
        let request = request.into_inner();
        self.on_attachment(&request.id, |attachment| {
            if attachment.status() != Attached::Reserved {
                return Err(refused(Code::FailedPrecondition, "WRONG_STATE"));
            }
            attachment.expire_time = None;
            if !request.connector.is_empty() {
                attachment.set_status(Attached::Attaching);
            }
            Ok(())
        })
    }

    async fn complete_attachment(
        &self,
        request: Request<pb::CompleteAttachmentRequest>,
    ) -> Result<Response<Attachment>, Status> {
        self.on_attachment(&request.get_ref().id, |attachment| {
            attachment.set_status(Attached::Attached);
            Ok(())
        })
    }

    async fn begin_detaching(
        &self,
        request: Request<pb::BeginDetachingRequest>,
    ) -> Result<Response<Attachment>, Status> {
        self.on_attachment(&request.get_ref().id, |attachment| {
            attachment.set_status(Attached::Detaching);
            Ok(())
        })
    }

    async fn delete_attachment(
        &self,
        request: Request<pb::DeleteAttachmentRequest>,
    ) -> Result<Response<()>, Status> {
        let roles = request.metadata().get("x-roles").map(|roles| roles.to_str().unwrap().to_owned());
        let is_service = roles.is_some_and(|roles| roles.contains("service"));
        self.write(|state| {
            let attachment = state.attachments.get(&request.get_ref().id).ok_or_else(gone)?;
            if attachment.status() != Attached::Reserved && !is_service {
                return Err(refused(Code::PermissionDenied, "NOT_PERMITTED"));
            }
            let volume_id = attachment.volume_id.clone();
            state.attachments.remove(&request.get_ref().id);
            state.settle(&volume_id);
            Ok(())
        })
    }

    async fn list_attachments(
        &self,
        _: Request<pb::ListAttachmentsRequest>,
    ) -> Result<Response<pb::ListAttachmentsResponse>, Status> {
        never()
    }

    async fn roll_detaching(
        &self,
        _: Request<pb::RollDetachingRequest>,
    ) -> Result<Response<Attachment>, Status> {
        never()
    }

    async fn report_attachment(
        &self,
        _: Request<pb::ReportAttachmentRequest>,
    ) -> Result<Response<Attachment>, Status> {
        never()
    }
}
