//! The database is away, and comes back by itself.

use harness::{postgres::Cluster, service::Service};
use proto::glance::v1::ListImagesRequest;
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::world::{call, grpcurl};

use proto::glance::v1::image_service_client::ImageServiceClient;

#[tokio::test]
async fn a_service_survives_the_crash_of_its_database() {
    let cluster = Cluster::start().unwrap();
    let url = cluster.url("postgres");
    let glance = Service::start("glance-svc", ["--listen", "127.0.0.1:0", "--database-url", &url]).unwrap();
    wait_for_health(&glance, "SERVING");
    let mut images = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    images.list_images(ListImagesRequest::default()).await.unwrap();

    cluster.kill().unwrap();
    let status = images.list_images(ListImagesRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.get_details_error_info().unwrap().reason, "DATABASE_UNAVAILABLE");
    assert!(status.get_details_retry_info().is_some());
    wait_for_health(&glance, "NOT_SERVING");

    cluster.start_again().unwrap();
    wait_for_health(&glance, "SERVING");
    images.list_images(ListImagesRequest::default()).await.unwrap();
}

#[tokio::test]
async fn a_service_starts_before_its_database_and_migrates_it_when_it_is_there() {
    let cluster = Cluster::start().unwrap();
    cluster.stop().unwrap();
    let url = cluster.url("postgres");
    let nova = Service::start("nova-api-svc", ["--listen", "127.0.0.1:0", "--database-url", &url]).unwrap();
    let output = grpcurl(&nova, "nova.v1.FlavorService/ListFlavors", &json!({}));
    assert!(String::from_utf8(output.stderr).unwrap().contains("DATABASE_UNAVAILABLE"));

    cluster.start_again().unwrap();
    wait_for_health(&nova, "SERVING");
    let flavors = call(&nova, "nova.v1.FlavorService/ListFlavors", &json!({}));
    assert_eq!(flavors["flavors"].as_array().unwrap().len(), 5);
}

/// Asks until the answer is `status`; the test runner's patience is the limit.
fn wait_for_health(service: &Service, status: &str) {
    loop {
        let health = call(service, "grpc.health.v1.Health/Check", &json!({}));
        if health["status"] == status {
            return;
        }
    }
}
