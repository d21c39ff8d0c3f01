//! A server for each test, and shortcuts to call it.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

pub(crate) use chassis::testing::{Values, assert_violation, connect, fields, made_as};
use chassis::{
    caller::Identity,
    db::{ByDialect, Db},
    server::Base,
    testing::{self, TestDb},
};
use cinder_svc::{
    quota::Quota,
    store::{MIGRATIONS, Store},
    volume::Storage,
    volumes::{VolumeApi, VolumeData},
};
use peers::{glance::Glance as GlanceClient, testing::glance::Glance};
use proto::{
    cinder::v1::{
        CreateVolumeRequest, CreateVolumeTypeRequest, DeleteVolumeRequest, GetVolumeHistoryRequest,
        GetVolumeRequest, Volume, VolumeHistoryEntry, VolumeType,
        attachment_service_client::AttachmentServiceClient, create_volume_request,
        quota_service_client::QuotaServiceClient, snapshot_service_client::SnapshotServiceClient,
        transfer_service_client::TransferServiceClient, volume_service_client::VolumeServiceClient,
        volume_type_service_client::VolumeTypeServiceClient,
    },
    glance::v1::Image,
};
use tempfile::TempDir;
use tonic::{Code, Request, Status, transport::Channel};

mod http;

pub(crate) use http::Http;

/// The project that owns the volumes, unless a test says otherwise.
pub(crate) const OWNER: &str = "demo";

/// How a server is configured.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) quota: Quota,
    pub(crate) default_volume_type: &'static str,
    pub(crate) storage: Storage,
    /// The folder with the data, if the storage is a directory and the server does its tasks.
    pub(crate) folder: Option<PathBuf>,
    /// Where glance-svc is; the double unless given.
    pub(crate) glance_endpoint: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quota: Quota::default(),
            default_volume_type: "__DEFAULT__",
            storage: Storage::None,
            folder: None,
            glance_endpoint: None,
        }
    }
}

/// A running cinder-svc, a client of it, and the image catalogue that it calls.
pub(crate) struct Cinder {
    pub(crate) channel: Channel,
    address: SocketAddr,
    pub(crate) glance: Glance,
    pub(crate) db: TestDb,
    settings: Settings,
}

impl Cinder {
    pub(crate) async fn start(db: TestDb) -> Self {
        Self::start_with(db, Settings::default()).await
    }

    pub(crate) async fn start_with(db: TestDb, mut settings: Settings) -> Self {
        let glance = Glance::start().await;
        settings.glance_endpoint.get_or_insert_with(|| glance.endpoint());
        let address = serve(&db.url, &settings).await;
        Self { channel: connect(address).await, address, glance, db, settings }
    }

    /// A server that keeps its data in `folder`.
    pub(crate) async fn directory(db: TestDb, folder: &TempDir) -> Self {
        let folder = Some(folder.path().to_owned());
        Self::start_with(db, Settings { storage: Storage::Directory, folder, ..Settings::default() }).await
    }

    /// Somebody who calls over HTTP: user, project and roles.
    pub(crate) fn http(&self, user: &'static str, project: &'static str, roles: &'static str) -> Http {
        Http::new(self.address, (user, project, roles))
    }

    /// Connections to this replica and to another one.
    pub(crate) async fn replicas(&self) -> [Channel; 2] {
        [self.channel.clone(), self.replica(&self.settings).await]
    }

    /// What the service can do, with connections of its own to the database.
    pub(crate) async fn api(&self) -> VolumeApi {
        volume_api(&testing::open(&self.db.url, &MIGRATIONS).await, &self.settings)
    }

    /// Another replica on the same database.
    pub(crate) async fn replica(&self, settings: &Settings) -> Channel {
        let mut settings = settings.clone();
        settings.glance_endpoint = settings.glance_endpoint.or_else(|| self.settings.glance_endpoint.clone());
        connect(serve(&self.db.url, &settings).await).await
    }

    /// Creates a volume for the user who owns the volumes.
    pub(crate) async fn create(&self, request: CreateVolumeRequest) -> Result<Volume, Status> {
        Ok(self.volumes().create_volume(as_alice(request)).await?.into_inner())
    }

    pub(crate) fn volumes(&self) -> VolumeServiceClient<Channel> {
        VolumeServiceClient::new(self.channel.clone())
    }

    pub(crate) fn attachments(&self) -> AttachmentServiceClient<Channel> {
        AttachmentServiceClient::new(self.channel.clone())
    }

    pub(crate) fn snapshots(&self) -> SnapshotServiceClient<Channel> {
        SnapshotServiceClient::new(self.channel.clone())
    }

    pub(crate) fn transfers(&self) -> TransferServiceClient<Channel> {
        TransferServiceClient::new(self.channel.clone())
    }

    pub(crate) fn types(&self) -> VolumeTypeServiceClient<Channel> {
        VolumeTypeServiceClient::new(self.channel.clone())
    }

    pub(crate) fn quotas(&self) -> QuotaServiceClient<Channel> {
        QuotaServiceClient::new(self.channel.clone())
    }

    /// Adds a volume type, as an admin.
    pub(crate) async fn volume_type(&self, volume_type: VolumeType) -> Result<VolumeType, Status> {
        let request = CreateVolumeTypeRequest { volume_type: Some(volume_type) };
        Ok(self.types().create_volume_type(as_admin(request)).await?.into_inner())
    }

    /// Creates a blank volume of alice in that project.
    pub(crate) async fn blank(
        &self,
        project: &str,
        size_gib: i32,
        volume_type: &str,
    ) -> Result<Volume, Status> {
        let volume_type = volume_type.to_owned();
        let request =
            CreateVolumeRequest { size_gib: Some(size_gib), volume_type, ..CreateVolumeRequest::default() };
        Ok(self.volumes().create_volume(made_as("alice", project, "member", request)).await?.into_inner())
    }

    /// A blank volume of 1 GiB of alice in project demo.
    pub(crate) async fn volume(&self) -> Volume {
        self.blank(OWNER, 1, "").await.unwrap()
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Volume, Status> {
        let request = GetVolumeRequest { id: id.to_owned(), ..GetVolumeRequest::default() };
        Ok(self.volumes().get_volume(as_admin(request)).await?.into_inner())
    }

    /// The volume, once its task is done.
    pub(crate) async fn settled(&self, volume: &Volume) -> Volume {
        loop {
            let now = self.get(&volume.id).await.unwrap();
            if now.task.is_none() {
                return now;
            }
        }
    }

    /// The whole history of a volume, newest first.
    pub(crate) async fn history(&self, id: &str) -> Vec<VolumeHistoryEntry> {
        let (id, page_size, page_token) = (id.to_owned(), 1000, String::new());
        let request = GetVolumeHistoryRequest { id, page_size, page_token };
        self.volumes().get_volume_history(as_admin(request)).await.unwrap().into_inner().entries
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<(), Status> {
        let request = DeleteVolumeRequest { id: id.to_owned(), ..DeleteVolumeRequest::default() };
        self.volumes().delete_volume(as_admin(request)).await.map(tonic::Response::into_inner)
    }

    /// Changes rows of the database behind the service's back.
    pub(crate) async fn execute(&self, sql: ByDialect) {
        let db = testing::open(&self.db.url, &MIGRATIONS).await;
        db.execute(|connection| connection.query(sql)).await.unwrap();
    }

    /// The number that a query gives.
    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        let db = testing::open(&self.db.url, &MIGRATIONS).await;
        let mut connection = db.reader().await.unwrap();
        connection.query_scalar(query).fetch_one().await.unwrap()
    }
}

/// A volume that is to be made from an image.
pub(crate) fn from_image(image: &Image) -> CreateVolumeRequest {
    let source = Some(create_volume_request::Source::ImageId(image.id.clone()));
    CreateVolumeRequest { name: "disk".to_owned(), source, ..CreateVolumeRequest::default() }
}

/// A request of an admin.
pub(crate) fn as_admin<T>(message: T) -> Request<T> {
    made_as("root", "admin", "admin", message)
}

/// A request of the user who owns the volumes.
pub(crate) fn as_alice<T>(message: T) -> Request<T> {
    made_as("alice", OWNER, "member", message)
}

/// A request of a reader in the project that owns the volumes.
pub(crate) fn as_reader<T>(message: T) -> Request<T> {
    made_as("rita", OWNER, "reader", message)
}

/// A request of a member of another project.
pub(crate) fn as_stranger<T>(message: T) -> Request<T> {
    made_as("mallory", "tea", "member", message)
}

/// A request of another service, or of whatever runs the backend.
pub(crate) fn as_service<T>(message: T) -> Request<T> {
    made_as("nova", "service", "service", message)
}

/// Serves the database at `url` as long as the test runs.
pub(crate) async fn serve(url: &str, settings: &Settings) -> SocketAddr {
    let db = testing::open(url, &MIGRATIONS).await;
    let volumes = volume_api(&db, settings);
    let tasks = volumes.clone();
    tokio::spawn(async move { tasks.do_tasks().await });
    let base = Base::new("cinder-svc", db, Identity::Development);
    testing::serve(cinder_svc::service(volumes, None, &base)).await
}

/// The volume API on a database.
pub(crate) fn volume_api(db: &Db, settings: &Settings) -> VolumeApi {
    VolumeApi {
        store: Store::new(db.clone()),
        glance: GlanceClient::new(
            settings.glance_endpoint.as_ref().unwrap(),
            Duration::from_secs(30),
            None,
            None,
        )
        .unwrap(),
        quota: settings.quota,
        default_volume_type: settings.default_volume_type.to_owned(),
        availability_zones: vec!["nova".to_owned()],
        storage: settings.storage,
        data: settings.folder.as_deref().map(|path| VolumeData::open(path, db.clone()).unwrap()),
    }
}

/// Checks what every error carries and that it is this one; returns its values.
#[track_caller]
pub(crate) fn assert_error(status: &Status, code: Code, reason: &str) -> Values {
    testing::assert_error(status, "cinder", code, reason)
}
