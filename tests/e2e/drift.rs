//! Drift of many images, under the rate that glance-svc allows a caller.

use chassis::{
    on_both_databases,
    testing::{TestDb, made_by},
};
use harness::service::Service;
use proto::{
    glance::v1::{
        CreateImageRequest, Image, UpdateImagePropertiesRequest, image_service_client::ImageServiceClient,
    },
    nova::v1::{ListDriftRequest, instance_service_client::InstanceServiceClient},
};
use tonic::Request;

use crate::world::create;

on_both_databases!(a_page_of_drift_fits_into_the_rate_of_its_caller);

/// More images than a caller may request one by one.
const IMAGES: usize = 40;

fn of<T>(user: &str, message: T) -> Request<T> {
    made_by(user, "demo", message)
}

async fn a_page_of_drift_fits_into_the_rate_of_its_caller(db: TestDb) {
    let other = db.another().await;
    let limits = ["--rate-limit", "1", "--rate-burst", "5"];
    let glance = ["--listen", "127.0.0.1:0", "--database-url", &other.url];
    let glance = Service::start("glance-svc", glance.iter().chain(&limits)).unwrap();
    let endpoint = glance.endpoint();
    let nova = ["--listen", "127.0.0.1:0", "--database-url", &db.url, "--glance-endpoint", &endpoint];
    let nova = Service::start("nova-api-svc", nova).unwrap();
    let mut images = ImageServiceClient::connect(endpoint).await.unwrap();
    let mut instances = InstanceServiceClient::connect(nova.endpoint()).await.unwrap();
    for number in 0..IMAGES {
        // Their creation is subject to the rate, too.
        let user = format!("user {number}");
        let image = Image { name: "image".into(), size: Some(1), ..Image::default() };
        let request = CreateImageRequest { image: Some(image) };
        let image = images.create_image(of(&user, request)).await.unwrap().into_inner();
        instances.create_instance(of(&user, create(&image, 1))).await.unwrap();
        let set = [("a".to_owned(), "1".to_owned())].into();
        let request = UpdateImagePropertiesRequest { image_id: image.id, set, ..Default::default() };
        images.update_image_properties(of(&user, request)).await.unwrap();
    }
    let request = ListDriftRequest { page_size: 1000, ..Default::default() };
    let found = instances.list_drift(of("alice", request)).await.unwrap().into_inner();
    assert_eq!((found.drifts.len(), found.next_page_token.as_str()), (IMAGES, ""));
}
