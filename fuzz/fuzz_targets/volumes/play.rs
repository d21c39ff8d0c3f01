//! A few volumes of a project of their own, and what is done with them.

use proto::cinder::v1::{
    CreateVolumeRequest, GetVolumeHistoryRequest, GetVolumeRequest, ListVolumesRequest,
    ReportVolumeStateRequest, Volume, VolumeHistoryEntry, create_volume_request::Source,
    report_volume_state_request::Result as Outcome, volume_service_client::VolumeServiceClient,
};
use tokio::task::JoinSet;
use tonic::{Code, Request, Status, transport::Channel};

use crate::{
    call::{Call, Context},
    world::World,
};

/// The run of one input.
pub(crate) struct Play<'a> {
    world: &'a World,
    has_agent: bool,
    pub(crate) project: String,
    /// The ids of the volumes that calls are about.
    pub(crate) ids: [String; 2],
    /// The calls that were made, with their outcomes.
    pub(crate) made: Vec<(Call, Result<(), Status>)>,
}

impl<'a> Play<'a> {
    /// Creates a volume from an image, and a blank one.
    pub(crate) async fn begin(world: &'a World, has_agent: bool, number: usize) -> Self {
        let project = format!("project{number}");
        let mut play = Self { world, has_agent, project, ids: Default::default(), made: Vec::new() };
        play.ids = [play.create(Some(Source::ImageId(world.image.clone()))).await, play.create(None).await];
        play
    }

    async fn create(&self, source: Option<Source>) -> String {
        let request = CreateVolumeRequest { size_gib: Some(1), source, ..Default::default() };
        let created = self.volumes().create_volume(self.as_member(request)).await;
        let volume = created.expect("a new project has room").into_inner();
        if let Some(task) = &volume.task {
            let report = ReportVolumeStateRequest {
                id: volume.id.clone(),
                seen_status: volume.status,
                seen_task_state: task.state,
                result: Outcome::Succeeded.into(),
                ..Default::default()
            };
            self.volumes().report_volume_state(report).await.expect("a new volume becomes available");
        }
        volume.id
    }

    /// Makes concurrent calls, and waits for all of them.
    pub(crate) async fn round(&mut self, calls: impl Iterator<Item = Call>) {
        let mut volumes = Vec::new();
        for id in &self.ids {
            let gone = || Volume { id: id.clone(), ..Default::default() };
            volumes.push(self.volume(id, 0).await.unwrap_or_else(gone));
        }
        let mut waiting = JoinSet::new();
        for call in calls {
            let context = Context {
                cinder: self.cinder(call.second_replica),
                project: self.project.clone(),
                image_id: self.world.image.clone(),
                volume: volumes[usize::from(call.second_volume)].clone(),
            };
            waiting.spawn(async move { (call.clone(), call.send(context).await) });
        }
        while let Some(made) = waiting.join_next().await {
            self.made.push(made.expect("no caller panics"));
        }
    }

    fn cinder(&self, second: bool) -> Channel {
        self.world.cinder(self.has_agent)[usize::from(second)].clone()
    }

    fn volumes(&self) -> VolumeServiceClient<Channel> {
        VolumeServiceClient::new(self.cinder(false))
    }

    fn as_member<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = format!("u:{}:member", self.project).parse().expect("a token is ASCII");
        request.metadata_mut().insert("x-auth-token", token);
        request
    }

    /// A volume as an operator sees it, at a revision or, with 0, as it is now; `None` if there is none.
    pub(crate) async fn volume(&self, id: &str, revision: i64) -> Option<Volume> {
        let request = GetVolumeRequest { id: id.to_owned(), revision };
        match self.volumes().get_volume(request).await {
            Ok(volume) => Some(volume.into_inner()),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => panic!("volume {id} cannot be read: {status:?}"),
        }
    }

    /// The history of a volume, oldest first.
    pub(crate) async fn history(&self, id: &str) -> Vec<VolumeHistoryEntry> {
        let request = GetVolumeHistoryRequest { id: id.to_owned(), page_size: 1000, ..Default::default() };
        let answer = self.volumes().get_volume_history(request).await.expect("history is kept").into_inner();
        assert_eq!(answer.next_page_token, "", "there is little history");
        let mut entries = answer.entries;
        entries.reverse();
        entries
    }

    /// All volumes of the project.
    pub(crate) async fn all(&self) -> Vec<Volume> {
        let request = self.as_member(ListVolumesRequest { page_size: 1000, ..Default::default() });
        let listed = self.volumes().list_volumes(request).await;
        listed.expect("a member reads its project").into_inner().volumes
    }
}
