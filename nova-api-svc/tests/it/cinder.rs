//! The other peer: a small volume service that keeps volumes, snapshots and attachments, and misbehaves on request.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use common::id::Id;
use proto::cinder::v1::{
    Attachment, Snapshot, Volume, attachment::Status as Attached,
    attachment_service_server::AttachmentServiceServer, snapshot::Status as Taken,
    snapshot_service_server::SnapshotServiceServer, volume_service_server::VolumeServiceServer,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Response, Status, transport::Server};
use tonic_types::{ErrorDetails, StatusExt as _};

use self::state::State;

mod attachment;
mod snapshot;
mod state;
mod volume;

/// How the service behaves.
#[derive(Clone, Default)]
pub(crate) enum Mood {
    /// As it should.
    #[default]
    Well,
    /// It always fails.
    Failing(Status),
    /// It does what it is asked for, and its answers are lost.
    Unheard,
    /// The process that calls it dies: after that many writes, the last of which it does not hear of, it calls no more.
    Dying(usize),
    /// It makes volumes that are not there yet.
    Slow,
}

/// A handle on the service; its copies are the same one.
#[derive(Clone)]
pub(crate) struct Cinder(Arc<Mutex<State>>, SocketAddr);

impl Cinder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cinder = Self(Arc::default(), address);
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

    /// Says that the host has stopped using the volume, as it was told to.
    pub(crate) fn detach(&self, volume_id: &str) {
        let mut state = self.state();
        let goes = |one: &Attachment| one.volume_id == volume_id && one.status() == Attached::Detaching;
        state.attachments.retain(|_, attachment| !goes(attachment));
        state.settle(volume_id);
    }

    /// Does something, unless it is in no mood for that.
    fn act<T>(&self, act: impl FnOnce(&mut State) -> Result<T, Status>) -> Result<Response<T>, Status> {
        let mut state = self.state();
        let lost = || Status::unavailable("SECRET the connection is lost");
        match &state.mood {
            Mood::Failing(status) => return Err(status.clone()),
            Mood::Dying(0) => return Err(lost()),
            _ => {}
        }
        let done = act(&mut state);
        match state.mood {
            Mood::Unheard | Mood::Dying(0) => Err(lost()),
            _ => done.map(Response::new),
        }
    }

    /// Does something that changes what it keeps, likewise.
    fn write<T>(&self, act: impl FnOnce(&mut State) -> Result<T, Status>) -> Result<Response<T>, Status> {
        self.act(|state| {
            if let Mood::Dying(writes) = &mut state.mood {
                *writes -= 1;
            }
            act(state)
        })
    }

    /// Changes an attachment.
    fn on_attachment(
        &self,
        id: &str,
        act: impl FnOnce(&mut Attachment) -> Result<(), Status>,
    ) -> Result<Response<Attachment>, Status> {
        self.write(|state| {
            let attachment = state.attachments.get_mut(id).ok_or_else(gone)?;
            act(attachment)?;
            let attachment = attachment.clone();
            state.settle(&attachment.volume_id);
            Ok(attachment)
        })
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
