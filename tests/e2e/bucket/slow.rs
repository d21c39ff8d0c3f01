//! A bucket that takes its time, or breaks off.

use std::{net::SocketAddr, sync::Arc};

use common::testing::TestDb;
use harness::bucket::Bucket;
use sqlx::{Connection as _, SqliteConnection};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

use super::{MIB, client, messages, queued, read, start_at, until};

/// Most bytes that come on a connection to a bucket that breaks off.
const PIECE: usize = 32 * 1024;

/// What stands between the service and the bucket.
struct Between {
    address: SocketAddr,
    rules: Arc<Rules>,
}

struct Rules {
    bucket: SocketAddr,
    breaks_off: watch::Sender<bool>,
    /// Whether the bucket was asked to complete an upload, and whether it may.
    completes: watch::Sender<bool>,
    may_complete: watch::Sender<bool>,
}

impl Between {
    async fn start(bucket: &Bucket) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bucket = bucket.endpoint().strip_prefix("http://").unwrap().parse().unwrap();
        let rules = Rules {
            bucket,
            breaks_off: watch::channel(false).0,
            completes: watch::channel(false).0,
            may_complete: watch::channel(true).0,
        };
        let between = Self { address, rules: Arc::new(rules) };
        let rules = Arc::clone(&between.rules);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let (from_bucket, to_bucket) = TcpStream::connect(rules.bucket).await.unwrap().into_split();
                tokio::spawn(Arc::clone(&rules).ask(from_client, to_bucket));
                tokio::spawn(Arc::clone(&rules).answer(from_bucket, to_client));
            }
        });
        between
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Rules {
    async fn ask(self: Arc<Self>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            let text = String::from_utf8_lossy(&bytes[..count]);
            if text.starts_with("POST ") && text.contains("uploadId=") {
                self.completes.send_replace(true);
                self.may_complete.subscribe().wait_for(|may| *may).await.unwrap();
            }
            if to.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    }

    async fn answer(self: Arc<Self>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let (mut bytes, mut left) = (vec![0; PIECE], PIECE);
        while let Ok(count @ 1..) = from.read(&mut bytes[..left]).await {
            if to.write_all(&bytes[..count]).await.is_err() {
                break;
            }
            if *self.breaks_off.borrow() {
                left -= count;
            }
            if left == 0 {
                break;
            }
        }
    }
}

async fn lease(db: &TestDb) -> String {
    let mut connection = SqliteConnection::connect(&db.url).await.unwrap();
    let lease = "SELECT CAST(lease_time AS TEXT) FROM image_data";
    sqlx::query_scalar(lease).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn an_upload_keeps_its_lease_while_the_bucket_completes_it() {
    let (db, bucket) = (TestDb::sqlite(), Bucket::start().unwrap());
    let between = Between::start(&bucket).await;
    let glance = start_at(&db, &between.endpoint());
    let mut images = client(&glance).await;
    let image = queued(&mut images).await;
    between.rules.may_complete.send_replace(false);
    let (mut uploading, stream) = (images.clone(), tokio_stream::iter(messages(&image, &[7; 100])));
    let upload = tokio::spawn(async move { uploading.upload_image_data(stream).await });
    between.rules.completes.subscribe().wait_for(|completes| *completes).await.unwrap();
    for _ in 0..2 {
        let before = lease(&db).await;
        until(async || lease(&db).await != before).await;
    }
    between.rules.may_complete.send_replace(true);
    upload.await.unwrap().unwrap();
    assert_eq!(read(&mut images, &image, 0, 0).await, [7; 100]);
}

#[tokio::test]
async fn a_download_goes_on_as_often_as_the_bucket_breaks_off() {
    let (db, bucket) = (TestDb::sqlite(), Bucket::start().unwrap());
    let between = Between::start(&bucket).await;
    let glance = start_at(&db, &between.endpoint());
    let mut images = client(&glance).await;
    let image = queued(&mut images).await;
    let data: Vec<u8> = (0..MIB).map(|number| u8::try_from(number % 251).unwrap()).collect();
    images.upload_image_data(tokio_stream::iter(messages(&image, &data))).await.unwrap();
    between.rules.breaks_off.send_replace(true);
    assert_eq!(read(&mut images, &image, 0, 0).await, data);
}
