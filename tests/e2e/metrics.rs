//! Names that callers make up do not appear in metrics: metrics, and the memory for them, do not grow.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use chassis::testing::TestDb;
use harness::{http, service::Service};
use proto::glance::v1::{CreateImageRequest, Image, image_service_client::ImageServiceClient};

use crate::limits::until_measured;

/// Connections of each kind to a service, concurrent requests on each, and requests in total: 100,000 to both services.
const CONNECTIONS: usize = 2;
const AT_ONCE: usize = 100;
const EACH: usize = 12_500;

/// How much metrics may grow, in bytes: numbers get longer.
const GROWTH: usize = 4096;

#[test]
fn odd_requests_leave_no_names() {
    let [images, instances] = [TestDb::sqlite(), TestDb::sqlite()];
    let start = |program, db: &TestDb, more: [&str; 2]| {
        let usual = ["--listen", "127.0.0.1:0", "--database-url", &db.url, "--admin-listen", "127.0.0.1:0"];
        Service::start(program, usual.iter().chain(&more)).unwrap()
    };
    let services = [
        start("glance-svc", &images, ["--rate-limit", "0"]),
        // Most of them are refused before they are routed.
        start("nova-api-svc", &instances, ["--rate-limit", "100"]),
    ];
    thread::scope(|scope| {
        for service in &services {
            scope.spawn(|| are_not_named(service));
        }
    });
}

fn are_not_named(service: &Service) {
    // Each kind once, and what answers it for the first time.
    many(service, AT_ONCE);
    let (before, memory) = (metrics(service), service.memory().unwrap());
    many(service, EACH);
    let (after, grown) = (metrics(service), service.memory().unwrap().saturating_sub(memory));
    assert!(after.len() < before.len() + GROWTH, "{} after {}: {after}", after.len(), before.len());
    let named = after.lines().find(|line| line.to_lowercase().contains("odd"));
    assert_eq!(named, None);
    assert!(grown < 32 << 20, "{} MiB more", grown >> 20);
}

fn metrics(service: &Service) -> String {
    http::get(service.admin().unwrap(), "/metrics").unwrap()
}

fn many(service: &Service, each: usize) {
    let address = service.address();
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || over_grpc(address, connection * each, each));
            scope.spawn(move || over_http(address, connection * each, each));
        }
    });
}

/// A request of gRPC: its path, and how long its caller waits.
fn odd_call(number: usize) -> (String, String) {
    match number % 6 {
        0 => (format!("/odd{number}.v1.OddService/Odd"), "1n".to_owned()),
        1 => (format!("/glance.v1.ImageService/Odd{number}"), "1n".to_owned()),
        2 => (format!("/nova.v1.InstanceService/Odd{number}"), "0m".to_owned()),
        3 => (format!("/grpc.health.v1.Health/Odd{number}"), "1n".to_owned()),
        4 => (format!("/odd/{number}"), format!("{number}S")),
        _ => ("/grpc.health.v1.Health/Check".to_owned(), format!("odd{number}")),
    }
}

/// A request of HTTP: its method, its path, and a header.
fn odd_request(number: usize) -> String {
    let (line, header) = match number % 5 {
        0 => (format!("ODD{number} /v2/images"), "accept: */*".to_owned()),
        1 => (format!("GET /v2/odd{number}"), "grpc-timeout: 1n".to_owned()),
        2 => (format!("ODD{number} /v2/odd/{number}"), format!("grpc-timeout: {number}n")),
        3 => (format!("DELETE /odd{number}?odd={number}"), format!("x-odd-{number}: odd")),
        _ => (format!("GET /v2/images/odd{number}"), format!("grpc-timeout: odd{number}")),
    };
    format!("{line} HTTP/1.1\r\nhost: x\r\n{header}\r\n\r\n")
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn over_http(address: SocketAddr, first: usize, each: usize) {
    let mut stream = connect(address);
    for start in (first..first + each).step_by(AT_ONCE) {
        let requests: String = (start..start + AT_ONCE).map(odd_request).collect();
        stream.write_all(requests.as_bytes()).unwrap();
        let (mut answers, mut answered) = (Vec::new(), 0);
        while answered < AT_ONCE {
            let mut part = [0; 16_384];
            let count = stream.read(&mut part).unwrap();
            assert_ne!(count, 0, "{}", String::from_utf8_lossy(&answers));
            // The beginning of a relevant line may be split between reads.
            answers.extend_from_slice(&part[..count]);
            answered += answers.windows(LINE.len()).filter(|line| *line == LINE).count();
            answers.drain(..answers.len().saturating_sub(LINE.len() - 1));
        }
    }
}

/// What every answer begins with.
const LINE: &[u8] = b"HTTP/1.1 ";

/// Frames of HTTP/2 (RFC 9113, 6), and two of their flags.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: usize, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream = u32::try_from(stream).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

/// A field of HPACK (RFC 7541, 6.2.2) that is in no table, under the name that `name` encodes.
fn field(name: &[u8], value: &str) -> Vec<u8> {
    [name, &[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()
}

/// The headers of a call of gRPC, without a message.
fn call(number: usize) -> Vec<u8> {
    let (path, timeout) = odd_call(number);
    // POST, http; then :authority, :path, content-type by their numbers, and names of their own.
    [
        vec![0x83, 0x86],
        field(&[0x01], "x"),
        field(&[0x04], &path),
        field(&[0x0f, 0x10], "application/grpc"),
        field(b"\x00\x02te", "trailers"),
        field(b"\x00\x0cgrpc-timeout", &timeout),
    ]
    .concat()
}

fn over_grpc(address: SocketAddr, first: usize, each: usize) {
    let mut stream = connect(address);
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    for start in (0..each).step_by(AT_ONCE) {
        let calls = start..start + AT_ONCE;
        let calls =
            calls.flat_map(|at| frame(HEADERS, END_STREAM | END_HEADERS, 2 * at + 1, &call(first + at)));
        stream.write_all(&calls.collect::<Vec<u8>>()).unwrap();
        let mut ended = 0;
        while ended < AT_ONCE {
            ended += usize::from(is_end(&mut stream));
        }
    }
}

/// Reads a frame: whether an answer ends with it.
fn is_end(stream: &mut TcpStream) -> bool {
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    let [high, middle, low, kind, flags, ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
    stream.read_exact(&mut payload).unwrap();
    match kind {
        SETTINGS | PING if flags & 1 == 0 => {
            let payload = if kind == PING { &*payload } else { &[] };
            stream.write_all(&frame(kind, 1, 0, payload)).unwrap();
            false
        }
        SETTINGS | PING => false,
        GOAWAY => panic!("the service ends the connection: {}", String::from_utf8_lossy(&payload)),
        _ => kind == RST_STREAM || flags & END_STREAM != 0,
    }
}

#[tokio::test]
async fn a_data_folder_that_is_away_is_reported() {
    let (db, folder) = (TestDb::sqlite(), tempfile::tempdir().unwrap());
    let (data, elsewhere) = (folder.path().join("data"), folder.path().join("elsewhere"));
    let url = format!("file:{}", data.display());
    let glance = Service::start(
        "glance-svc",
        [
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--database-url",
            &db.url,
            "--data-url",
            &url,
        ],
    )
    .unwrap();
    let mut images = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    let image = Image {
        name: "n".into(),
        disk_format: "raw".into(),
        container_format: "bare".into(),
        ..Image::default()
    };
    let created = images.create_image(CreateImageRequest { image: Some(image) }).await.unwrap();
    let path = format!("/v2/images/{}/file", created.into_inner().id);
    let headers = [("content-type", "application/octet-stream")];
    let answer = http::call(glance.address(), "PUT", &path, &headers, "data").unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");

    until_measured(&glance, "imprint_data_store_away 0\n");
    fs::rename(&data, &elsewhere).unwrap();
    until_measured(&glance, "imprint_data_store_away 1\n");
    fs::rename(&elsewhere, &data).unwrap();
    until_measured(&glance, "imprint_data_store_away 0\n");
}
