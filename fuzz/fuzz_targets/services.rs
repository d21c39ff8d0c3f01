//! Services in this process, on databases in a folder of their own.

use std::{future::pending, time::Duration};

use chassis::{
    caller::Identity,
    db::{Db, Migrations},
    server::{Base, Listeners, Options, Service, serve},
};
use glance_svc::{
    data::{DataStore, DataUrl},
    image::properties::Quota as PropertyQuota,
    images::{ImageLimits, Images},
    store::CACHE_BYTES,
};
use peers::glance::Glance;
use proto::glance::v1::{
    CreateImageRequest, Image, UploadImageDataRequest, image::Visibility,
    image_service_client::ImageServiceClient,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::transport::Channel;

/// Timeout of glance-svc, which is in this process and should never reach it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder in memory, if there is such a folder: nothing here needs to last.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    folder.expect("a temporary folder can be made")
}

/// The client of glance-svc at that endpoint.
pub(crate) fn catalogue(endpoint: &str) -> Glance {
    Glance::new(endpoint, PATIENCE, None, None).expect("the endpoint is a URL")
}

/// A database in the folder, with its tables.
pub(crate) async fn open(folder: &TempDir, name: &str, migrations: &'static Migrations) -> Db {
    let url = format!("sqlite://{}", folder.path().join(format!("{name}.sqlite")).display());
    let db = Db::open(&url, 4, migrations).expect("the database can be opened");
    db.migrate().await.expect("the database can be migrated");
    db
}

/// Serves for as long as the runtime exists; returns a client and the endpoint.
pub(crate) async fn served(service: Service) -> (Channel, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("a listener has an address"));
    tokio::spawn(serve(Listeners::public(listener), service, Options::default(), pending()));
    let channel = Channel::from_shared(endpoint.clone()).expect("an address makes a URL").connect().await;
    (channel.expect("the service accepts connections"), endpoint)
}

/// glance-svc, with its data in the folder; returns a client and the endpoint.
pub(crate) async fn serve_glance(folder: &TempDir) -> (Channel, String) {
    let db = open(folder, "glance", &glance_svc::store::MIGRATIONS).await;
    let data = DataUrl::Folder(folder.path().join("data"));
    let data = DataStore::open(&data).expect("the folder of data can be made");
    let limits = ImageLimits { properties: PropertyQuota(128), size: 1 << 20 };
    let images = Images::new(glance_svc::store::Store::new(db.clone(), CACHE_BYTES), data, limits);
    let base = Base::new("glance-svc", db, Identity::Development);
    served(glance_svc::service(images, None, &base)).await
}

/// Registers an image, uploads its data, and returns its id.
pub(crate) async fn image(glance: &Channel) -> String {
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
