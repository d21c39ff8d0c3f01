//! The services, running in this process.

use std::{future::pending, sync::Arc, time::Duration};

use chassis::{
    caller::Identity,
    db::Db,
    server::{Base, Listeners, Options, Service, serve},
};
use glance_svc::{
    data::{DataStore, DataUrl},
    image::properties::Quota as PropertyQuota,
    images::{ImageLimits, Images},
    store::CACHE_BYTES,
};
use nova_api_svc::{compute::ComputeApi, instance::Compute, quota::Quota, store::Store};
use peers::glance::Glance;
use proto::glance::v1::{
    CreateImageRequest, Image, UploadImageDataRequest, image::Visibility,
    image_service_client::ImageServiceClient,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};
use tonic::transport::Channel;

/// The quota of a project, small enough to be exceeded.
pub(crate) const QUOTA: Quota = Quota { instances: Some(6), cores: Some(12), ram_mb: None };

/// Timeout of glance-svc, which is in this process and should never reach it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Both services on empty databases.
pub(crate) struct World {
    runtime: Arc<Runtime>,
    /// glance-svc.
    pub(crate) glance: Channel,
    /// A public image that is ACTIVE.
    pub(crate) image: String,
    /// Two replicas of nova-api-svc with `--compute agent`.
    with_agent: [Channel; 2],
    /// Two replicas with `--compute none`.
    alone: [Channel; 2],
    _folder: TempDir,
}

impl World {
    pub(crate) fn start() -> Self {
        let runtime = Arc::new(Runtime::new().expect("a runtime can be made"));
        // In memory, if there is such a folder: nothing here needs to last.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.expect("a temporary folder can be made");
        let (glance, image, with_agent, alone) = runtime.block_on(async {
            let (glance, endpoint) = serve_glance(&folder).await;
            let image = image(&glance).await;
            let with_agent = serve_nova(&folder, "agent", &endpoint, Compute::Agent).await;
            let alone = serve_nova(&folder, "alone", &endpoint, Compute::None).await;
            (glance, image, with_agent, alone)
        });
        Self { runtime, glance, image, with_agent, alone, _folder: folder }
    }

    pub(crate) fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.runtime)
    }

    /// Two replicas of nova-api-svc.
    pub(crate) const fn nova(&self, has_agent: bool) -> &[Channel; 2] {
        if has_agent { &self.with_agent } else { &self.alone }
    }
}

async fn open(folder: &TempDir, name: &str, migrations: &'static chassis::db::Migrations) -> Db {
    let url = format!("sqlite://{}", folder.path().join(format!("{name}.sqlite")).display());
    let db = Db::open(&url, 4, migrations).expect("the database can be opened");
    db.migrate().await.expect("the database can be migrated");
    db
}

/// Serves for as long as the runtime exists; returns a client and the endpoint.
async fn served(service: Service) -> (Channel, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("a listener has an address"));
    tokio::spawn(serve(Listeners::public(listener), service, Options::default(), pending()));
    let channel = Channel::from_shared(endpoint.clone()).expect("an address makes a URL").connect().await;
    (channel.expect("the service accepts connections"), endpoint)
}

async fn serve_glance(folder: &TempDir) -> (Channel, String) {
    let db = open(folder, "glance", &glance_svc::store::MIGRATIONS).await;
    let data = DataUrl::Folder(folder.path().join("data"));
    let data = DataStore::open(&data).expect("the folder of data can be made");
    let limits = ImageLimits { properties: PropertyQuota(128), size: 1 << 20 };
    let images = Images::new(glance_svc::store::Store::new(db.clone(), CACHE_BYTES), data, limits);
    let base = Base::new("glance-svc", db, Identity::Development);
    served(glance_svc::service(images, None, &base)).await
}

async fn serve_nova(folder: &TempDir, name: &str, glance: &str, compute: Compute) -> [Channel; 2] {
    let mut replicas = Vec::new();
    for _ in 0..2 {
        let db = open(folder, name, &nova_api_svc::store::MIGRATIONS).await;
        let api = ComputeApi {
            glance: Glance::new(glance, PATIENCE, None, None).expect("the endpoint is a URL"),
            store: Store::new(db.clone()),
            quota: QUOTA,
            name_template: "%(name)s-%(uuid)s".parse().expect("it is Nova's"),
            compute,
            non_inheritable: "cache_in_nova,bittorrent".parse().expect("it is the default"),
        };
        let jobs = api.clone();
        tokio::spawn(async move { jobs.do_jobs().await });
        let base = Base::new("nova-api-svc", db, Identity::Development);
        replicas.push(served(nova_api_svc::service(api, &base)).await.0);
    }
    replicas.try_into().expect("there are two")
}

/// Registers an image, uploads its data, and returns its id.
async fn image(glance: &Channel) -> String {
    let mut glance = ImageServiceClient::new(glance.clone());
    let image = Image {
        name: "base".to_owned(),
        disk_format: "raw".to_owned(),
        container_format: "bare".to_owned(),
        visibility: Visibility::Public.into(),
        ..Image::default()
    };
    let created = glance.create_image(CreateImageRequest { image: Some(image) }).await;
    let id = created.expect("an operator registers images").into_inner().id;
    let data = UploadImageDataRequest { image_id: id.clone(), size: None, data: b"data".to_vec().into() };
    glance.upload_image_data(tokio_stream::once(data)).await.expect("the image waits for data");
    id
}
