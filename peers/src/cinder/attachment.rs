//! Attachments: who uses a volume.

use std::time::Duration;

use chassis::{caller::Caller, deadline::Deadline};
use common::id::Id;
use proto::cinder::v1 as pb;
use tonic::{Request, Response, Status};

use super::{Cinder, Error, Resource, Services, read};

/// A use of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its id.
    pub id: Id,
    /// The volume.
    pub volume_id: Id,
    /// How far it is.
    pub status: AttachmentStatus,
}

/// How far the use of a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentStatus {
    /// The volume is held for it.
    Reserved,
    /// Its host is known, and is being connected.
    Attaching,
    /// It is used.
    Attached,
    /// It is about to be no longer used.
    Detaching,
}

/// A reservation of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAttachment {
    /// The volume.
    pub volume_id: Id,
    /// The instance that is to use it.
    pub instance_id: Id,
    /// How long the reservation lasts unless it is confirmed; whole seconds.
    pub lease: Duration,
    /// Makes a retry safe.
    pub request_id: String,
}

impl Cinder {
    /// Reserves a volume for an instance.
    pub async fn create_attachment(
        &self,
        new: &NewAttachment,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Attachment, Error> {
        let seconds = i64::try_from(new.lease.as_secs()).unwrap_or(i64::MAX);
        let message = pb::CreateAttachmentRequest {
            volume_id: new.volume_id.to_string(),
            instance_id: new.instance_id.to_string(),
            lease: Some(prost_types::Duration { seconds, nanos: 0 }),
            request_id: new.request_id.clone(),
            ..pb::CreateAttachmentRequest::default()
        };
        let method =
            |mut to: Services, request| async move { to.attachments.create_attachment(request).await };
        let about = (Resource::Volume, new.volume_id);
        let answer = self.call(about, message, caller, deadline, method).await?;
        read::attachment(&answer).ok_or(Error::Answer(None))
    }

    /// An attachment.
    pub async fn attachment(
        &self,
        id: Id,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Attachment, Error> {
        let message = pb::GetAttachmentRequest { id: id.to_string() };
        let method = |mut to: Services, request| async move { to.attachments.get_attachment(request).await };
        self.on_attachment(id, message, caller, deadline, method).await
    }

    /// Says that the instance exists, so that its reservation does not end by itself.
    pub async fn confirm_attachment(
        &self,
        id: Id,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Attachment, Error> {
        let message = pb::UpdateAttachmentRequest {
            id: id.to_string(),
            confirm: true,
            ..pb::UpdateAttachmentRequest::default()
        };
        self.update_attachment(id, message, caller, deadline).await
    }

    /// Names the host that is to use the volume; `connector` is a JSON object with the key `host`.
    pub async fn connect_attachment(
        &self,
        id: Id,
        connector: String,
        mountpoint: String,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Attachment, Error> {
        let message = pb::UpdateAttachmentRequest {
            id: id.to_string(),
            connector,
            mountpoint,
            ..pb::UpdateAttachmentRequest::default()
        };
        self.update_attachment(id, message, caller, deadline).await
    }

    async fn update_attachment(
        &self,
        id: Id,
        message: pb::UpdateAttachmentRequest,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Attachment, Error> {
        let method =
            |mut to: Services, request| async move { to.attachments.update_attachment(request).await };
        self.on_attachment(id, message, caller, deadline, method).await
    }

    /// Says that the instance uses the volume now.
    pub async fn complete_attachment(
        &self,
        id: Id,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Attachment, Error> {
        let message =
            pb::CompleteAttachmentRequest { id: id.to_string(), ..pb::CompleteAttachmentRequest::default() };
        let method =
            |mut to: Services, request| async move { to.attachments.complete_attachment(request).await };
        self.on_attachment(id, message, caller, deadline, method).await
    }

    /// Says that the instance is about to stop using the volume.
    pub async fn begin_detaching(
        &self,
        id: Id,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Attachment, Error> {
        let message =
            pb::BeginDetachingRequest { id: id.to_string(), ..pb::BeginDetachingRequest::default() };
        let method = |mut to: Services, request| async move { to.attachments.begin_detaching(request).await };
        self.on_attachment(id, message, caller, deadline, method).await
    }

    /// Ends an attachment; [`Error::NotFound`] if it has ended.
    pub async fn delete_attachment(
        &self,
        id: Id,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        let message =
            pb::DeleteAttachmentRequest { id: id.to_string(), ..pb::DeleteAttachmentRequest::default() };
        let method =
            |mut to: Services, request| async move { to.attachments.delete_attachment(request).await };
        self.call((Resource::Attachment, id), message, caller, deadline, method).await
    }

    async fn on_attachment<M, F>(
        &self,
        id: Id,
        message: M,
        caller: &Caller,
        deadline: Option<Deadline>,
        method: impl Fn(Services, Request<M>) -> F,
    ) -> Result<Attachment, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<pb::Attachment>, Status>>,
    {
        let answer = self.call((Resource::Attachment, id), message, caller, deadline, method).await?;
        let attachment = read::attachment(&answer).filter(|attachment| attachment.id == id);
        attachment.ok_or(Error::Answer(None))
    }
}
