//! The other peer: a small volume service that keeps volumes, snapshots and attachments, and misbehaves on request.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use common::id::Id;
use proto::cinder::{
    EncodedVolumes,
    v1::{
        self as pb, Attachment, Snapshot, Volume,
        attachment::Status as Attached,
        attachment_service_server::{AttachmentService, AttachmentServiceServer},
        create_volume_request::Source,
        snapshot::Status as Taken,
        snapshot_service_server::{SnapshotService, SnapshotServiceServer},
        volume::Status as Is,
        volume_service_server::{VolumeService, VolumeServiceServer},
    },
};
use tokio::net::TcpListener;
use tokio_stream::{Empty, wrappers::TcpListenerStream};
use tonic::{Code, Request, Response, Status, Streaming, transport::Server};
use tonic_types::{ErrorDetails, StatusExt as _};

/// How the service behaves.
#[derive(Clone)]
pub(crate) enum Mood {
    /// As it should.
    Well,
    /// It always fails.
    Failing(Status),
    /// It does what it is asked for, and its answers are lost.
    Unheard,
    /// It makes volumes that are not there yet.
    Slow,
}

/// A handle on the service; its copies are the same one.
#[derive(Clone)]
pub(crate) struct Cinder(Arc<Mutex<State>>, SocketAddr);

pub(crate) struct State {
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    pub(crate) attachments: BTreeMap<String, Attachment>,
    /// Every request to create a volume, and the volume that it created.
    pub(crate) created: Vec<(pb::CreateVolumeRequest, String)>,
    /// Attachments by the ids of their requests.
    reserved: BTreeMap<String, String>,
    mood: Mood,
}

impl Cinder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (volumes, snapshots, attachments) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let state = State {
            volumes,
            snapshots,
            attachments,
            created: Vec::new(),
            reserved: BTreeMap::new(),
            mood: Mood::Well,
        };
        let cinder = Self(Arc::new(Mutex::new(state)), address);
        let server = Server::builder()
            .add_service(VolumeServiceServer::new(cinder.clone()))
            .add_service(SnapshotServiceServer::new(cinder.clone()))
            .add_service(AttachmentServiceServer::new(cinder.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        cinder
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.1)
    }

    pub(crate) fn be(&self, mood: Mood) {
        self.state().mood = mood;
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Adds a volume and gives it what it has not: an id, a size, status AVAILABLE.
    pub(crate) fn add(&self, volume: Volume) -> Volume {
        self.state().add(volume)
    }

    /// Adds a snapshot likewise.
    pub(crate) fn add_snapshot(&self, mut snapshot: Snapshot) -> Snapshot {
        (snapshot.id, snapshot.volume_id) = (Id::random().to_string(), Id::random().to_string());
        (snapshot.size_gib, snapshot.status) = (snapshot.size_gib.max(1), Taken::Available.into());
        self.state().snapshots.insert(snapshot.id.clone(), snapshot.clone());
        snapshot
    }

    pub(crate) fn volume(&self, id: &str) -> Option<Volume> {
        self.state().volumes.get(id).cloned()
    }

    /// Changes a volume.
    pub(crate) fn change(&self, id: &str, change: impl FnOnce(&mut Volume)) {
        change(self.state().volumes.get_mut(id).unwrap());
    }

    /// The status of each attachment of a volume, and whether it is confirmed.
    pub(crate) fn attached(&self, volume_id: &str) -> Vec<(Attached, bool)> {
        let state = self.state();
        let these = state.attachments.values().filter(|attachment| attachment.volume_id == volume_id);
        these.map(|attachment| (attachment.status(), attachment.expire_time.is_none())).collect()
    }

    /// Says that a host uses the volume.
    pub(crate) fn connect(&self, volume_id: &str) {
        let mut state = self.state();
        for attachment in state.attachments.values_mut().filter(|one| one.volume_id == volume_id) {
            (attachment.status, attachment.expire_time) = (Attached::Attached.into(), None);
        }
        state.settle(volume_id);
    }

    /// Says that no host uses the volume any more.
    pub(crate) fn disconnect(&self, volume_id: &str) {
        let mut state = self.state();
        state.attachments.retain(|_, attachment| attachment.volume_id != volume_id);
        state.settle(volume_id);
    }

    /// Does something, unless it is in no mood for that.
    fn act<T>(&self, act: impl FnOnce(&mut State) -> Result<T, Status>) -> Result<Response<T>, Status> {
        let mut state = self.state();
        if let Mood::Failing(status) = &state.mood {
            return Err(status.clone());
        }
        let done = act(&mut state);
        match state.mood {
            Mood::Unheard => Err(Status::unavailable("SECRET the connection is lost")),
            _ => done.map(Response::new),
        }
    }

    fn on_attachment(
        &self,
        id: &str,
        act: impl FnOnce(&mut Attachment) -> Result<(), Status>,
    ) -> Result<Response<Attachment>, Status> {
        self.act(|state| {
            let attachment = state.attachments.get_mut(id).ok_or_else(gone)?;
            act(attachment)?;
            let attachment = attachment.clone();
            state.settle(&attachment.volume_id);
            Ok(attachment)
        })
    }
}

impl State {
    fn add(&mut self, mut volume: Volume) -> Volume {
        if volume.id.is_empty() {
            volume.id = Id::random().to_string();
        }
        (volume.revision, volume.size_gib) = (volume.revision.max(1), volume.size_gib.max(1));
        if volume.status() == Is::Unspecified {
            volume.set_status(Is::Available);
        }
        self.volumes.insert(volume.id.clone(), volume.clone());
        volume
    }

    /// Makes the status of a volume follow from its attachments.
    fn settle(&mut self, volume_id: &str) {
        let uses: Vec<_> = self
            .attachments
            .values()
            .filter(|attachment| attachment.volume_id == volume_id)
            .map(Attachment::status)
            .collect();
        let status = match uses.as_slice() {
            [] => Is::Available,
            uses if uses.iter().any(|status| matches!(status, Attached::Attached | Attached::Detaching)) => {
                Is::InUse
            }
            _ => Is::Reserved,
        };
        if let Some(volume) = self.volumes.get_mut(volume_id) {
            volume.set_status(status);
        }
    }

    fn create(&mut self, request: pb::CreateVolumeRequest) -> Result<Volume, Status> {
        let before = self.created.iter().find(|(before, _)| before.request_id == request.request_id);
        if let Some((_, id)) = before {
            return self.volumes.get(id).cloned().ok_or_else(gone);
        }
        if request.volume_type == "none" {
            return Err(refused(Code::InvalidArgument, "VOLUME_TYPE_NOT_FOUND"));
        }
        let mut volume = Volume { volume_type: "lvm".to_owned(), ..Volume::default() };
        volume.size_gib = request.size_gib.unwrap_or(1);
        if let Some(Source::SnapshotId(id)) = &request.source {
            let snapshot = self.snapshots.get(id).ok_or_else(gone)?;
            volume.size_gib = volume.size_gib.max(snapshot.size_gib);
        }
        if matches!(self.mood, Mood::Slow) {
            volume.set_status(Is::Creating);
        }
        let volume = self.add(volume);
        self.created.push((request, volume.id.clone()));
        Ok(volume)
    }

    fn reserve(&mut self, request: &pb::CreateAttachmentRequest) -> Result<Attachment, Status> {
        if let Some(id) = self.reserved.get(&request.request_id) {
            return self.attachments.get(id).cloned().ok_or_else(gone);
        }
        let volume = self.volumes.get(&request.volume_id).ok_or_else(gone)?;
        let mut others = self.attachments.values().filter(|one| one.volume_id == request.volume_id);
        let is_taken = others.any(|other| other.instance_id != request.instance_id);
        if is_taken || !matches!(volume.status(), Is::Available | Is::Reserved | Is::InUse) {
            return Err(refused(Code::FailedPrecondition, "VOLUME_RESERVED"));
        }
        let attachment = Attachment {
            id: Id::random().to_string(),
            volume_id: request.volume_id.clone(),
            instance_id: request.instance_id.clone(),
            status: Attached::Reserved.into(),
            expire_time: Some(prost_types::Timestamp::default()),
            ..Attachment::default()
        };
        self.attachments.insert(attachment.id.clone(), attachment.clone());
        self.reserved.insert(request.request_id.clone(), attachment.id.clone());
        self.settle(&request.volume_id);
        Ok(attachment)
    }
}

/// A refusal of cinder-svc.
pub(crate) fn refused(code: Code, reason: &str) -> Status {
    Status::with_error_details(code, "its own words", ErrorDetails::with_error_info(reason, "cinder", []))
}

fn gone() -> Status {
    refused(Code::NotFound, "NOT_FOUND")
}

fn never<T>() -> Result<T, Status> {
    Err(Status::unimplemented("nova-api-svc does not call that"))
}

#[tonic::async_trait]
impl VolumeService for Cinder {
    async fn create_volume(
        &self,
        request: Request<pb::CreateVolumeRequest>,
    ) -> Result<Response<Volume>, Status> {
        self.act(|state| state.create(request.into_inner()))
    }

    async fn get_volume(&self, request: Request<pb::GetVolumeRequest>) -> Result<Response<Volume>, Status> {
        self.act(|state| state.volumes.get(&request.get_ref().id).cloned().ok_or_else(gone))
    }

    async fn delete_volume(&self, request: Request<pb::DeleteVolumeRequest>) -> Result<Response<()>, Status> {
        self.act(|state| {
            let volume = state.volumes.get(&request.get_ref().id).ok_or_else(gone)?;
            let is_kept = volume.metadata.contains_key("snapshots");
            if is_kept || !matches!(volume.status(), Is::Available | Is::Error) {
                return Err(refused(Code::FailedPrecondition, "WRONG_STATE"));
            }
            state.volumes.remove(&request.get_ref().id);
            Ok(())
        })
    }

    async fn list_volumes(
        &self,
        _: Request<pb::ListVolumesRequest>,
    ) -> Result<Response<EncodedVolumes>, Status> {
        never()
    }

    async fn update_volume(&self, _: Request<pb::UpdateVolumeRequest>) -> Result<Response<Volume>, Status> {
        never()
    }

    async fn extend_volume(&self, _: Request<pb::ExtendVolumeRequest>) -> Result<Response<Volume>, Status> {
        never()
    }

    async fn retype_volume(&self, _: Request<pb::RetypeVolumeRequest>) -> Result<Response<Volume>, Status> {
        never()
    }

    async fn reimage_volume(&self, _: Request<pb::ReimageVolumeRequest>) -> Result<Response<Volume>, Status> {
        never()
    }

    async fn revert_volume(&self, _: Request<pb::RevertVolumeRequest>) -> Result<Response<Volume>, Status> {
        never()
    }

    async fn update_volume_image_properties(
        &self,
        _: Request<pb::UpdateVolumeImagePropertiesRequest>,
    ) -> Result<Response<Volume>, Status> {
        never()
    }

    async fn upload_volume_to_image(
        &self,
        _: Request<pb::UploadVolumeToImageRequest>,
    ) -> Result<Response<pb::UploadVolumeToImageResponse>, Status> {
        never()
    }

    async fn report_volume_state(
        &self,
        _: Request<pb::ReportVolumeStateRequest>,
    ) -> Result<Response<Volume>, Status> {
        never()
    }

    type ReadVolumeDataStream = Empty<Result<pb::ReadVolumeDataResponse, Status>>;

    async fn read_volume_data(
        &self,
        _: Request<pb::ReadVolumeDataRequest>,
    ) -> Result<Response<Self::ReadVolumeDataStream>, Status> {
        never()
    }

    async fn write_volume_data(
        &self,
        _: Request<Streaming<pb::WriteVolumeDataRequest>>,
    ) -> Result<Response<Volume>, Status> {
        never()
    }

    async fn get_volume_history(
        &self,
        _: Request<pb::GetVolumeHistoryRequest>,
    ) -> Result<Response<pb::GetVolumeHistoryResponse>, Status> {
        never()
    }

    async fn compare_volume(
        &self,
        _: Request<pb::CompareVolumeRequest>,
    ) -> Result<Response<pb::CompareVolumeResponse>, Status> {
        never()
    }

    async fn list_drift(
        &self,
        _: Request<pb::ListDriftRequest>,
    ) -> Result<Response<pb::ListDriftResponse>, Status> {
        never()
    }
}

#[tonic::async_trait]
impl SnapshotService for Cinder {
    async fn get_snapshot(
        &self,
        request: Request<pb::GetSnapshotRequest>,
    ) -> Result<Response<Snapshot>, Status> {
        self.act(|state| state.snapshots.get(&request.get_ref().id).cloned().ok_or_else(gone))
    }

    async fn create_snapshot(
        &self,
        _: Request<pb::CreateSnapshotRequest>,
    ) -> Result<Response<Snapshot>, Status> {
        never()
    }

    async fn list_snapshots(
        &self,
        _: Request<pb::ListSnapshotsRequest>,
    ) -> Result<Response<pb::ListSnapshotsResponse>, Status> {
        never()
    }

    async fn update_snapshot(
        &self,
        _: Request<pb::UpdateSnapshotRequest>,
    ) -> Result<Response<Snapshot>, Status> {
        never()
    }

    async fn delete_snapshot(&self, _: Request<pb::DeleteSnapshotRequest>) -> Result<Response<()>, Status> {
        never()
    }

    async fn report_snapshot_state(
        &self,
        _: Request<pb::ReportSnapshotStateRequest>,
    ) -> Result<Response<Snapshot>, Status> {
        never()
    }
}

#[tonic::async_trait]
impl AttachmentService for Cinder {
    async fn create_attachment(
        &self,
        request: Request<pb::CreateAttachmentRequest>,
    ) -> Result<Response<Attachment>, Status> {
        self.act(|state| state.reserve(request.get_ref()))
    }

    async fn get_attachment(
        &self,
        request: Request<pb::GetAttachmentRequest>,
    ) -> Result<Response<Attachment>, Status> {
        self.on_attachment(&request.get_ref().id, |_| Ok(()))
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
        self.act(|state| {
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
