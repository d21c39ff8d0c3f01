//! Image data in an S3-compatible bucket, also when the service dies in the middle of an upload.

use std::time::{Duration, Instant};

use chassis::testing::TestDb;
use harness::{bucket::Bucket, service::Service};
use proto::glance::v1::{
    CreateImageRequest, DeleteImageRequest, DownloadImageDataRequest, GetImageRequest, Image,
    UploadImageDataRequest, image::Status, image_service_client::ImageServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

mod slow;

/// How long an upload's lease and the removal of its data may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often to check.
const POLL: Duration = Duration::from_millis(100);

const MIB: usize = 1024 * 1024;

fn start(db: &TestDb, bucket: &Bucket) -> Service {
    start_at(db, &bucket.endpoint())
}

/// A service on an existing bucket.
fn start_at(db: &TestDb, bucket: &str) -> Service {
    start_in(db, Bucket::environment(bucket))
}

/// A service with these variables in its environment.
fn start_in<const N: usize>(db: &TestDb, environment: [(&str, &str); N]) -> Service {
    let arguments = ["--listen", "127.0.0.1:0", "--database-url", &db.url, "--data-url", Bucket::DATA_URL];
    Service::start_with("glance-svc", arguments, environment).unwrap()
}

async fn client(glance: &Service) -> ImageServiceClient<Channel> {
    ImageServiceClient::connect(glance.endpoint()).await.unwrap()
}

async fn queued(images: &mut ImageServiceClient<Channel>) -> Image {
    let image = Image {
        name: "in a bucket".into(),
        disk_format: "raw".into(),
        container_format: "bare".into(),
        ..Image::default()
    };
    images.create_image(CreateImageRequest { image: Some(image) }).await.unwrap().into_inner()
}

/// The messages of an upload, 1 MiB each.
fn messages(image: &Image, data: &[u8]) -> Vec<UploadImageDataRequest> {
    let message = |chunk: &[u8]| UploadImageDataRequest {
        image_id: image.id.clone(),
        data: chunk.to_vec().into(),
        ..UploadImageDataRequest::default()
    };
    if data.is_empty() { vec![message(data)] } else { data.chunks(MIB).map(message).collect() }
}

async fn read(images: &mut ImageServiceClient<Channel>, image: &Image, offset: i64, length: i64) -> Vec<u8> {
    let request = DownloadImageDataRequest { id: image.id.clone(), offset, length };
    let mut chunks = images.download_image_data(request).await.unwrap().into_inner();
    let mut data = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        data.extend_from_slice(&chunk.data);
    }
    data
}

#[tokio::test]
async fn data_lie_in_a_bucket_until_their_image_is_deleted() {
    let (db, bucket) = (TestDb::sqlite(), Bucket::start().unwrap());
    let glance = start(&db, &bucket);
    let mut images = client(&glance).await;
    // More than two parts of an object.
    let data: Vec<u8> = (0..11 * MIB + 3).map(|number| u8::try_from(number % 251).unwrap()).collect();
    let (large, empty) = (queued(&mut images).await, queued(&mut images).await);
    for (image, data) in [(&large, data.as_slice()), (&empty, &[])] {
        let stream = tokio_stream::iter(messages(image, data));
        let uploaded = images.upload_image_data(stream).await.unwrap().into_inner();
        assert_eq!(uploaded.size, Some(i64::try_from(data.len()).unwrap()));
        assert_eq!(read(&mut images, image, 0, 0).await, data);
    }
    let part = 5 * MIB - 2..5 * MIB + 2;
    assert_eq!(read(&mut images, &large, i64::try_from(part.start).unwrap(), 4).await, data[part]);
    assert_eq!(bucket.count().unwrap(), (2, 0));
    for image in [large, empty] {
        images.delete_image(DeleteImageRequest { id: image.id, etag: String::new() }).await.unwrap();
    }
    assert_eq!(bucket.count().unwrap(), (0, 0));
}

#[tokio::test]
async fn an_upload_that_dies_with_its_service_leaves_nothing() {
    let (db, bucket) = (TestDb::sqlite(), Bucket::start().unwrap());
    let mut glance = start(&db, &bucket);
    let mut images = client(&glance).await;
    let image = queued(&mut images).await;
    let (sender, receiver) = mpsc::channel(1);
    let mut uploading = images.clone();
    let upload =
        tokio::spawn(async move { uploading.upload_image_data(ReceiverStream::new(receiver)).await });
    for message in messages(&image, &vec![7; 8 * MIB]) {
        sender.send(message).await.unwrap();
    }
    until(async || bucket.count().unwrap() == (0, 1)).await;
    glance.kill().unwrap();
    upload.await.unwrap().unwrap_err();

    let glance = start(&db, &bucket);
    let mut images = client(&glance).await;
    let (begun, mut poll) = (Instant::now(), tokio::time::interval(POLL));
    loop {
        poll.tick().await;
        let request = GetImageRequest { id: image.id.clone(), revision: 0 };
        let now = images.get_image(request).await.unwrap().into_inner();
        if now.status() == Status::Queued {
            assert_eq!(now.size, None);
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{now:?}");
    }
    until(async || bucket.count().unwrap() == (0, 0)).await;
}

async fn until(is_so: impl AsyncFn() -> bool) {
    let (begun, mut poll) = (Instant::now(), tokio::time::interval(POLL));
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE);
        poll.tick().await;
    }
}
