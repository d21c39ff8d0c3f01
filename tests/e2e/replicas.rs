//! Several replicas of glance-svc, some of which are unhealthy.

use std::time::Duration;

use chassis::{on_both_databases, testing::TestDb};
use harness::service::Service;
use proto::{
    glance::v1::{CreateImageRequest, Image, image_service_client::ImageServiceClient},
    nova::v1::instance_service_client::InstanceServiceClient,
};
use tonic::{Request, transport::Channel};

use crate::world::{create, start_glance};

on_both_databases!(a_replica_that_is_frozen_or_dead_fails_no_create);

async fn a_replica_that_is_frozen_or_dead_fails_no_create(db: TestDb) {
    let glance_db = TestDb::postgres().await;
    let data = tempfile::tempdir().unwrap();
    let mut replicas = [(); 3].map(|()| start_glance(&glance_db.url, data.path(), "127.0.0.1:0"));
    let endpoint = replicas.each_ref().map(Service::endpoint).join(",");
    let nova = Service::start(
        "nova-api-svc",
        ["--listen", "127.0.0.1:0", "--database-url", &db.url, "--glance-endpoint", &endpoint],
    )
    .unwrap();
    let mut images = ImageServiceClient::connect(replicas[0].endpoint()).await.unwrap();
    let image = Image { name: "image".into(), size: Some(1), ..Image::default() };
    let image = images.create_image(CreateImageRequest { image: Some(image) }).await.unwrap().into_inner();
    let instances = InstanceServiceClient::connect(nova.endpoint()).await.unwrap();

    create_many(&instances, &image).await;
    replicas[1].signal("STOP").unwrap();
    create_many(&instances, &image).await;
    replicas[1].signal("CONT").unwrap();
    replicas[2].kill().unwrap();
    create_many(&instances, &image).await;
}

/// Creates one after the other, each within its caller's deadline.
async fn create_many(instances: &InstanceServiceClient<Channel>, image: &Image) {
    for number in 0..60 {
        let mut request = Request::new(create(image, 1));
        request.set_timeout(Duration::from_secs(4));
        let created = instances.clone().create_instance(request).await;
        created.unwrap_or_else(|status| panic!("create {number}: {status}"));
    }
}
