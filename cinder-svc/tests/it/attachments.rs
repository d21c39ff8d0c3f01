//! Attachments: who may use a volume, for how long, and what remains.

use std::collections::BTreeSet;

use chassis::{on_both_databases, testing::TestDb};
use common::id::Id;
use proto::cinder::v1::{
    Attachment, BeginDetachingRequest, CompleteAttachmentRequest, CreateAttachmentRequest,
    DeleteAttachmentRequest, GetAttachmentRequest, ListAttachmentsRequest, ReportAttachmentRequest,
    RollDetachingRequest, UpdateAttachmentRequest, UpdateVolumeRequest, Volume,
    attachment::{Mode, Status as AttachmentStatus},
    attachment_service_client::AttachmentServiceClient,
    volume::Status as VolumeStatus,
    volume_history_entry::{Operation, Step},
};
use tonic::{Code, Request, Status, transport::Channel};

use crate::support::{
    Cinder, OWNER, as_admin, as_alice, as_reader, as_service, as_stranger, assert_error, assert_violation,
    fields, made_as,
};

mod contention;
mod leases;
mod moves;
mod scope;

/// A reservation of a volume for an instance.
fn reserve(volume: &Volume, instance: Id) -> CreateAttachmentRequest {
    CreateAttachmentRequest {
        volume_id: volume.id.clone(),
        instance_id: instance.to_string(),
        ..Default::default()
    }
}

impl Cinder {
    async fn reserved(&self, request: CreateAttachmentRequest) -> Result<Attachment, Status> {
        Ok(self.attachments().create_attachment(as_alice(request)).await?.into_inner())
    }

    async fn attachment(&self, id: &str) -> Result<Attachment, Status> {
        let request = GetAttachmentRequest { id: id.to_owned() };
        Ok(self.attachments().get_attachment(as_service(request)).await?.into_inner())
    }

    async fn updated(&self, request: UpdateAttachmentRequest) -> Result<Attachment, Status> {
        Ok(self.attachments().update_attachment(as_alice(request)).await?.into_inner())
    }

    async fn connected(&self, id: &str) -> Result<Attachment, Status> {
        self.updated(connect(id)).await
    }

    async fn completed(&self, id: &str) -> Result<Attachment, Status> {
        let mountpoint = "/dev/vdb".to_owned();
        let request = CompleteAttachmentRequest { id: id.to_owned(), mountpoint, etag: String::new() };
        Ok(self.attachments().complete_attachment(as_alice(request)).await?.into_inner())
    }

    async fn detaching(&self, id: &str) -> Result<Attachment, Status> {
        let request = BeginDetachingRequest { id: id.to_owned(), etag: String::new() };
        Ok(self.attachments().begin_detaching(as_alice(request)).await?.into_inner())
    }

    async fn ended(&self, request: Request<DeleteAttachmentRequest>) -> Result<(), Status> {
        self.attachments().delete_attachment(request).await.map(tonic::Response::into_inner)
    }

    /// A new volume that an instance uses.
    async fn attached(&self, instance: Id) -> (Volume, Attachment) {
        let volume = self.volume().await;
        let id = self.reserved(reserve(&volume, instance)).await.unwrap().id;
        self.connected(&id).await.unwrap();
        let attachment = self.completed(&id).await.unwrap();
        (self.get(&volume.id).await.unwrap(), attachment)
    }

    /// The status of a volume.
    async fn status(&self, volume: &Volume) -> VolumeStatus {
        self.get(&volume.id).await.unwrap().status()
    }
}

const CONNECTOR: &str = r#"{"host": "c1", "initiator": "iqn.1993-08.org.debian:01:c1"}"#;

/// Names the host c1.
fn connect(id: &str) -> UpdateAttachmentRequest {
    UpdateAttachmentRequest { id: id.to_owned(), connector: CONNECTOR.to_owned(), ..Default::default() }
}

fn end(id: &str) -> DeleteAttachmentRequest {
    DeleteAttachmentRequest { id: id.to_owned(), etag: String::new() }
}
