//! A bucket that is slow, or breaks off; and a client that reads slowly.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::testing::TestDb;
use harness::bucket::Bucket;
use sqlx::{Connection as _, SqliteConnection};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

use super::{MIB, client, messages, queued, read, start, start_at, start_in, until};

/// Maximum number of bytes per connection of a bucket that breaks off.
const PIECE: usize = 32 * 1024;

/// A proxy between the service and the bucket.
struct Between {
    address: SocketAddr,
    rules: Arc<Rules>,
}

struct Rules {
    bucket: SocketAddr,
    breaks_off: watch::Sender<bool>,
    /// How many times data was requested from the bucket.
    asked: AtomicUsize,
    /// Whether completion of an upload was requested from the bucket, and whether it may proceed.
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
            asked: AtomicUsize::new(0),
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
            if text.starts_with("GET ") {
                self.asked.fetch_add(1, Ordering::Relaxed);
            }
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

/// Timeout of requests to the bucket, instead of 30 s.
const TIMEOUT: (&str, &str) = ("AWS_TIMEOUT", "1s");

/// Longer than that.
const PAUSE: Duration = Duration::from_millis(1500);

/// The answer to a request over HTTP, head and body, read with pauses and with small buffers.
async fn slowly(address: SocketAddr, request: &str, pauses: usize) -> (String, Vec<u8>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut answer, mut part) = (Vec::new(), vec![0; MIB]);
    for _ in 0..pauses {
        // More than system buffers hold, so that what is read next has not left the bucket yet.
        let enough = answer.len() + 12 * MIB;
        while answer.len() < enough {
            let count = stream.read(&mut part).await.unwrap();
            assert!(count > 0, "it broke off after {} bytes", answer.len());
            answer.extend_from_slice(&part[..count]);
        }
        let begun = Instant::now();
        until(async || begun.elapsed() > PAUSE).await;
    }
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = answer.split_off(end);
    (String::from_utf8(answer).unwrap(), body)
}

#[tokio::test]
async fn whoever_reads_slowly_gets_all_of_it() {
    let (db, bucket) = (TestDb::sqlite(), Bucket::start().unwrap());
    // More than is requested at a time.
    let data: Vec<u8> = (0..66 * MIB).map(|number| u8::try_from(number % 251).unwrap()).collect();
    let uploading = start(&db, &bucket);
    let mut images = client(&uploading).await;
    let image = queued(&mut images).await;
    images.upload_image_data(tokio_stream::iter(messages(&image, &data))).await.unwrap();

    let between = Between::start(&bucket).await;
    let endpoint = between.endpoint();
    let [place, http, region, key, secret] = Bucket::environment(&endpoint);
    let glance = start_in(&db, [place, http, region, key, secret, TIMEOUT]);
    for (range, part, pauses, at_once) in [
        ("", 0..data.len(), 2, 2),
        ("range: bytes=1000-\r\n", 1000..data.len(), 1, 2),
        ("range: bytes=5000000-40000000\r\n", 5_000_000..40_000_001, 1, 1),
    ] {
        between.rules.asked.store(0, Ordering::Relaxed);
        let request = format!(
            "GET /v2/images/{}/file HTTP/1.1\r\nhost: glance\r\n{range}connection: close\r\n\r\n",
            image.id
        );
        let (head, body) = slowly(glance.address(), &request, pauses).await;
        assert!(head.starts_with(if range.is_empty() { "HTTP/1.1 200 " } else { "HTTP/1.1 206 " }), "{head}");
        assert!(body == data[part], "{range}: {} bytes", body.len());
        let asked = between.rules.asked.load(Ordering::Relaxed);
        assert!(asked > at_once, "{range}: the bucket was asked {asked} times, and never gave up");
    }
}
