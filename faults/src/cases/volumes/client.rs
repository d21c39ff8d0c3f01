//! Clients of cinder-svc, which repeat a request until it is acknowledged.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use common::id::Id;
use proto::cinder::v1::{
    CompleteAttachmentRequest, CreateAttachmentRequest, CreateSnapshotRequest, CreateVolumeRequest,
    DeleteAttachmentRequest, DeleteSnapshotRequest, DeleteVolumeRequest, GetSnapshotRequest,
    GetVolumeRequest, Snapshot, UpdateAttachmentRequest, Volume,
    attachment_service_client::AttachmentServiceClient, create_volume_request::Source,
    snapshot::Status as SnapshotStatus, snapshot_service_client::SnapshotServiceClient,
    volume::Status as VolumeStatus, volume_service_client::VolumeServiceClient,
};
use tokio::time::{Duration, sleep};
use tonic::{Code, Response, Status, transport::Channel};

use super::REST;
use crate::cases::insist;

/// How long a client waits before it looks again.
const LOOK: Duration = Duration::from_millis(20);

/// What was acknowledged to clients: the volumes and snapshots that must be there, and those that must not.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) volumes: Kept,
    pub(super) snapshots: Kept,
    /// Volumes that were attached and detached.
    pub(super) attached: usize,
    /// Whose data could not be made, since the process was killed.
    pub(super) in_error: usize,
}

/// What is kept, and what is not.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) kept: BTreeSet<String>,
    pub(super) deleted: BTreeSet<String>,
}

impl Kept {
    fn create(&mut self, id: &str) {
        self.kept.insert(id.to_owned());
    }

    fn delete(&mut self, id: &str) {
        self.kept.remove(id);
        self.deleted.insert(id.to_owned());
    }

    /// How much has been acknowledged.
    pub(super) fn count(&self) -> usize {
        self.kept.len() + 2 * self.deleted.len()
    }
}

pub(super) fn entries(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client, and the ledger that it shares with others.
pub(super) struct Client {
    pub(super) channel: Channel,
    pub(super) image_id: String,
    pub(super) ledger: Arc<Mutex<Ledger>>,
}

impl Client {
    /// Makes volumes until the load is over: of each a snapshot is taken, and it is attached and detached; three of
    /// four are deleted with their snapshots.
    pub(super) async fn run(self, is_over: Arc<AtomicBool>) -> anyhow::Result<()> {
        for number in 0_usize.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let id = self.create_volume().await?.id;
            entries(&self.ledger).volumes.create(&id);
            let volume = self.settled_volume(&id).await?;
            let mut snapshot_id = None;
            if volume.status() == VolumeStatus::Available {
                snapshot_id = Some(self.snapshot(&id).await?);
                self.attach_for_a_moment(&id).await?;
            } else {
                entries(&self.ledger).in_error += 1;
            }
            if number % 4 != 0 {
                if let Some(snapshot_id) = snapshot_id {
                    self.delete_snapshot(&snapshot_id).await?;
                    entries(&self.ledger).snapshots.delete(&snapshot_id);
                }
                self.delete_volume(&id).await?;
                entries(&self.ledger).volumes.delete(&id);
            }
        }
        Ok(())
    }

    fn volumes(&self) -> VolumeServiceClient<Channel> {
        VolumeServiceClient::new(self.channel.clone())
    }

    fn snapshots(&self) -> SnapshotServiceClient<Channel> {
        SnapshotServiceClient::new(self.channel.clone())
    }

    fn attachments(&self) -> AttachmentServiceClient<Channel> {
        AttachmentServiceClient::new(self.channel.clone())
    }

    async fn create_volume(&self) -> anyhow::Result<Volume> {
        let request = CreateVolumeRequest {
            name: "fault".to_owned(),
            source: Some(Source::ImageId(self.image_id.clone())),
            request_id: Id::random().to_string(),
            ..CreateVolumeRequest::default()
        };
        insist(async || self.volumes().create_volume(request.clone()).await).await
    }

    /// The volume once nothing is done with it.
    async fn settled_volume(&self, id: &str) -> anyhow::Result<Volume> {
        let since = Instant::now();
        loop {
            let request = GetVolumeRequest { id: id.to_owned(), revision: 0 };
            let volume = insist(async || self.volumes().get_volume(request.clone()).await).await?;
            if volume.task.is_none() {
                return Ok(volume);
            }
            anyhow::ensure!(since.elapsed() < REST, "the task of volume {id} does not end");
            sleep(LOOK).await;
        }
    }

    /// Takes a snapshot, and waits until its data is there or cannot be made; returns its id.
    async fn snapshot(&self, volume_id: &str) -> anyhow::Result<String> {
        let request = CreateSnapshotRequest {
            volume_id: volume_id.to_owned(),
            request_id: Id::random().to_string(),
            ..CreateSnapshotRequest::default()
        };
        let id = insist(async || self.snapshots().create_snapshot(request.clone()).await).await?.id;
        entries(&self.ledger).snapshots.create(&id);
        if self.settled_snapshot(&id).await?.status() == SnapshotStatus::Error {
            entries(&self.ledger).in_error += 1;
        }
        Ok(id)
    }

    async fn settled_snapshot(&self, id: &str) -> anyhow::Result<Snapshot> {
        let since = Instant::now();
        loop {
            let request = GetSnapshotRequest { id: id.to_owned() };
            let snapshot = insist(async || self.snapshots().get_snapshot(request.clone()).await).await?;
            if snapshot.status() != SnapshotStatus::Creating {
                return Ok(snapshot);
            }
            anyhow::ensure!(since.elapsed() < REST, "snapshot {id} is not finished");
            sleep(LOOK).await;
        }
    }

    /// Attaches the volume to a host, and detaches it.
    async fn attach_for_a_moment(&self, volume_id: &str) -> anyhow::Result<()> {
        let reservation = CreateAttachmentRequest {
            volume_id: volume_id.to_owned(),
            request_id: Id::random().to_string(),
            ..CreateAttachmentRequest::default()
        };
        let id = insist(async || self.attachments().create_attachment(reservation.clone()).await).await?.id;
        let connector = r#"{"host": "fault"}"#.to_owned();
        let connection = UpdateAttachmentRequest { id: id.clone(), connector, ..Default::default() };
        insist(async || self.attachments().update_attachment(connection.clone()).await).await?;
        let completion = CompleteAttachmentRequest { id: id.clone(), ..Default::default() };
        insist(async || self.attachments().complete_attachment(completion.clone()).await).await?;
        let request = GetVolumeRequest { id: volume_id.to_owned(), revision: 0 };
        let volume = insist(async || self.volumes().get_volume(request.clone()).await).await?;
        anyhow::ensure!(
            volume.status() == VolumeStatus::InUse,
            "an attached volume is {:?}",
            volume.status()
        );
        let end = DeleteAttachmentRequest { id, etag: String::new() };
        insist(async || or_gone(self.attachments().delete_attachment(end.clone()).await)).await?;
        entries(&self.ledger).attached += 1;
        Ok(())
    }

    async fn delete_snapshot(&self, id: &str) -> anyhow::Result<()> {
        let request = DeleteSnapshotRequest {
            id: id.to_owned(),
            request_id: Id::random().to_string(),
            ..DeleteSnapshotRequest::default()
        };
        insist(async || or_gone(self.snapshots().delete_snapshot(request.clone()).await)).await?;
        let since = Instant::now();
        // Its volume can be deleted when it is gone.
        loop {
            let request = GetSnapshotRequest { id: id.to_owned() };
            let is_there = async || match self.snapshots().get_snapshot(request.clone()).await {
                Err(status) if status.code() == Code::NotFound => Ok(Response::new(false)),
                answer => Ok(answer?.map(|_| true)),
            };
            if !insist(is_there).await? {
                return Ok(());
            }
            anyhow::ensure!(since.elapsed() < REST, "snapshot {id} does not go");
            sleep(LOOK).await;
        }
    }

    async fn delete_volume(&self, id: &str) -> anyhow::Result<()> {
        let request = DeleteVolumeRequest {
            id: id.to_owned(),
            request_id: Id::random().to_string(),
            ..DeleteVolumeRequest::default()
        };
        insist(async || or_gone(self.volumes().delete_volume(request.clone()).await)).await
    }
}

/// What an earlier try has deleted is gone.
fn or_gone(answer: Result<Response<()>, Status>) -> Result<Response<()>, Status> {
    match answer {
        Err(status) if status.code() == Code::NotFound => Ok(Response::new(())),
        answer => answer,
    }
}
