//! The memory of glance-svc during many concurrent uploads.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Barrier},
    thread,
};

use chassis::testing::TestDb;
use harness::{http, service::Service};
use proto::glance::v1::{CreateImageRequest, Image, image_service_client::ImageServiceClient};

/// Number of concurrent uploads.
const AT_ONCE: usize = 32;

/// Maximum memory above idle, in bytes; a release build takes 80 MiB in total.
const MOST: u64 = 48 << 20;

const MIB: usize = 1 << 20;

/// Size of each image, and how much of it all uploads send before any continues, in bytes.
const SIZE: usize = 8 * MIB;
const BEFORE: usize = 6 * MIB;

#[tokio::test]
async fn many_at_once_take_little_memory() {
    let (db, data) = (TestDb::sqlite(), tempfile::tempdir().unwrap());
    let data_url = format!("file:{}", data.path().display());
    let arguments = ["--listen", "127.0.0.1:0", "--database-url", &db.url, "--data-url", &data_url];
    let glance = Service::start("glance-svc", arguments).unwrap();
    let mut images = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..AT_ONCE {
        let image = Image {
            name: "n".into(),
            disk_format: "raw".into(),
            container_format: "bare".into(),
            ..Image::default()
        };
        let created = images.create_image(CreateImageRequest { image: Some(image) }).await.unwrap();
        ids.push(created.into_inner().id);
    }
    let idle = glance.memory().unwrap();
    glance.forget_peak().unwrap();
    let all_are_on_their_way = Arc::new(Barrier::new(AT_ONCE));
    let uploads: Vec<_> = ids
        .into_iter()
        .map(|id| {
            let (address, barrier) = (glance.address(), Arc::clone(&all_are_on_their_way));
            thread::spawn(move || upload(address, &id, &barrier))
        })
        .collect();
    for upload in uploads {
        let answer = upload.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }
    let taken = glance.peak().unwrap().saturating_sub(idle);
    assert!(taken <= MOST, "{} MiB for {AT_ONCE} uploads at once", taken >> 20);
}

fn upload(address: SocketAddr, id: &str, all_are_on_their_way: &Barrier) -> String {
    let mut stream: TcpStream = http::connect(address).unwrap();
    write!(
        stream,
        "PUT /v2/images/{id}/file HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/octet-stream\r\ncontent-length: {SIZE}\r\n\r\n"
    )
    .unwrap();
    let bytes = vec![7; MIB];
    (0..BEFORE / MIB).for_each(|_| stream.write_all(&bytes).unwrap());
    all_are_on_their_way.wait();
    (0..(SIZE - BEFORE) / MIB).for_each(|_| stream.write_all(&bytes).unwrap());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
