//! What no caller can do to a service: too many requests, too large ones, or connections that only cost.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use chassis::{
    on_both_databases,
    testing::{TestDb, made_by},
};
use harness::{http, service::Service};
use proto::glance::v1::{
    CreateImageRequest, Image, ListImagesRequest, image_service_client::ImageServiceClient,
};
use tonic::{Code, Request, transport::Channel};
use tonic_types::StatusExt as _;

/// Longer than a test, in milliseconds.
const LONG: &str = "3600000";

on_both_databases!(
    a_caller_has_a_rate_and_others_their_own,
    more_requests_than_may_wait_are_refused_at_once,
    a_request_waits_for_a_place_and_no_longer_than_it_may,
    large_headers_and_messages_are_refused,
    transfers_leave_room_for_other_requests,
    whoever_sets_no_deadline_has_one
);

pub(crate) fn glance(db: &TestDb, arguments: &[&str]) -> Service {
    let usual = ["--listen", "127.0.0.1:0", "--database-url", &db.url, "--admin-listen", "127.0.0.1:0"];
    Service::start("glance-svc", usual.iter().chain(arguments)).unwrap()
}

pub(crate) fn of<T>(user: &str, message: T) -> Request<T> {
    made_by(user, "demo", message)
}

/// What is at `path`, over HTTP.
pub(crate) fn get(service: &Service, path: &str) -> String {
    http::get(service.address(), path).unwrap()
}

/// Waits until so many requests are in flight: whoever comes then finds them there.
pub(crate) fn until_in_flight(service: &Service, count: usize) {
    until_measured(service, &format!("imprint_requests_in_flight {count}\n"));
}

/// Waits until the metrics have this line.
pub(crate) fn until_measured(service: &Service, line: &str) {
    let admin = service.admin().unwrap();
    while !http::get(admin, "/metrics").unwrap().contains(line) {}
}

/// A request of a user that stays in flight: it is no small one, and its body does not end.
pub(crate) fn endless(service: &Service, user: &str) -> TcpStream {
    let mut open = TcpStream::connect(service.address()).unwrap();
    let head = format!("POST /v2/images HTTP/1.1\r\nhost: x\r\nx-user-id: {user}\r\nx-project-id: demo\r\n");
    let begun = " ".repeat(40_000);
    write!(open, "{head}content-type: application/json\r\ncontent-length: 100000\r\n\r\n{begun}").unwrap();
    open
}

async fn a_caller_has_a_rate_and_others_their_own(db: TestDb) {
    let glance = glance(&db, &["--rate-limit", "1", "--rate-burst", "5"]);
    let mut client = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    let mut refused = None;
    for _ in 0..20 {
        if let Err(status) = client.list_images(of("alice", ListImagesRequest::default())).await {
            refused = Some(status);
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "RATE_LIMITED");
    let wait = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
    client.list_images(of("bob", ListImagesRequest::default())).await.unwrap();
    // A token beside the user makes nobody else of alice.
    let mut is_refused = false;
    for number in 0..10 {
        let mut again = of("alice", ListImagesRequest::default());
        again.metadata_mut().insert("x-auth-token", format!("{number}:b:c").parse().unwrap());
        is_refused |= client.list_images(again).await.is_err();
    }
    assert!(is_refused);
    // Whoever names nobody is told apart by address, over HTTP, too.
    let answers: Vec<String> = (0..20).map(|_| get(&glance, "/v2/images")).collect();
    assert!(answers[0].starts_with("HTTP/1.1 200"), "{}", answers[0]);
    let refused = answers.iter().find(|answer| answer.starts_with("HTTP/1.1 429")).unwrap();
    assert!(refused.contains("retry-after: 1"), "{refused}");
    assert!(refused.contains("x-error-reason: RATE_LIMITED"), "{refused}");
}

async fn more_requests_than_may_wait_are_refused_at_once(db: TestDb) {
    let glance = glance(&db, &["--max-in-flight", "1", "--max-queued", "0"]);
    let open = endless(&glance, "slow");
    until_in_flight(&glance, 1);
    let mut client = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    let refused = client.list_images(ListImagesRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "OVERLOADED");
    assert!(refused.get_details_retry_info().unwrap().retry_delay.is_some());
    let answer = get(&glance, "/v2/images");
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("OVERLOADED"), "{answer}");
    // Who looks whether it lives is answered.
    let health = tonic_health::pb::HealthCheckRequest { service: String::new() };
    let channel = Channel::from_shared(glance.endpoint()).unwrap().connect().await.unwrap();
    tonic_health::pb::health_client::HealthClient::new(channel).check(health).await.unwrap();
    drop(open);
    let answered = async { while client.list_images(ListImagesRequest::default()).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), answered).await.unwrap();
}

async fn a_request_waits_for_a_place_and_no_longer_than_it_may(db: TestDb) {
    let patient = glance(&db, &["--max-in-flight", "1", "--max-queued", "1", "--max-queue-ms", "60000"]);
    let open = endless(&patient, "slow");
    until_in_flight(&patient, 1);
    let mut client = ImageServiceClient::connect(patient.endpoint()).await.unwrap();
    let waiting = tokio::spawn({
        let mut client = client.clone();
        async move { client.list_images(ListImagesRequest::default()).await }
    });
    until_measured(&patient, "imprint_queue_waiting{queue=\"requests\"} 1\n");
    let refused = client.list_images(ListImagesRequest::default()).await.unwrap_err();
    assert_eq!(refused.get_details_error_info().unwrap().reason, "OVERLOADED");
    drop(open);
    waiting.await.unwrap().unwrap();
    until_measured(&patient, "imprint_queue_waiting{queue=\"requests\"} 0\n");

    let impatient = glance(&db, &["--max-in-flight", "1", "--max-queue-ms", "50"]);
    let open = endless(&impatient, "slow");
    until_in_flight(&impatient, 1);
    let mut client = ImageServiceClient::connect(impatient.endpoint()).await.unwrap();
    let refused = client.list_images(ListImagesRequest::default()).await.unwrap_err();
    assert_eq!(refused.get_details_error_info().unwrap().reason, "OVERLOADED");
    drop(open);
}

async fn large_headers_and_messages_are_refused(db: TestDb) {
    let glance = glance(&db, &["--max-header-bytes", "4096", "--max-message-bytes", "100000"]);
    let mut client = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    let mut request = Request::new(ListImagesRequest::default());
    request.metadata_mut().insert("x-large", "a".repeat(8192).parse().unwrap());
    client.list_images(request).await.unwrap_err();
    for (bytes, status) in [(3000, 200), (4096, 431), (100_000, 431)] {
        let mut stream = TcpStream::connect(glance.address()).unwrap();
        let large = "a".repeat(bytes);
        write!(stream, "GET /v2/images HTTP/1.1\r\nhost: x\r\nx-large: {large}\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{bytes}: {answer}");
    }
    let image = Image { name: "a".repeat(100_001), ..Image::default() };
    let status = client.create_image(CreateImageRequest { image: Some(image) }).await.unwrap_err();
    let info = status.get_details_error_info().unwrap();
    assert_eq!((&*info.reason, &*info.metadata["limit_bytes"]), ("MESSAGE_TOO_LARGE", "100000"));
    client.list_images(ListImagesRequest::default()).await.unwrap();
}

async fn transfers_leave_room_for_other_requests(db: TestDb) {
    let glance = glance(
        &db,
        &["--max-in-flight", "1", "--max-transfers", "1", "--max-queued", "0", "--max-deadline-ms", "500"],
    );
    let mut client = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    let (disk_format, container_format) = ("raw".into(), "bare".into());
    let image = Image { name: "slow".into(), disk_format, container_format, ..Image::default() };
    let request = CreateImageRequest { image: Some(image) };
    let image = client.create_image(request).await.unwrap().into_inner();
    until_in_flight(&glance, 0);
    let mut slow = TcpStream::connect(glance.address()).unwrap();
    let file = format!("/v2/images/{}/file", image.id);
    let kind = "content-type: application/octet-stream";
    write!(slow, "PUT {file} HTTP/1.1\r\nhost: x\r\n{kind}\r\ncontent-length: 2\r\n\r\n1").unwrap();
    until_in_flight(&glance, 1);
    // There is no room for another one, and there is for anything else.
    let refused = get(&glance, &file);
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("OVERLOADED"), "{refused}");
    client.list_images(ListImagesRequest::default()).await.unwrap();
    slow.write_all(b"2").unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = [0; 1024];
    let count = slow.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]);
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

async fn whoever_sets_no_deadline_has_one(db: TestDb) {
    let glance = glance(&db, &["--max-deadline-ms", "300"]);
    let mut open = endless(&glance, "slow");
    open.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = [0; 1024];
    let count = open.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]);
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("DEADLINE_EXCEEDED"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_only_cost_keep_nobody_out() {
    let db = TestDb::sqlite();
    let glance = glance(&db, &["--max-connections", "50"]);
    // Clients that send their request a byte at a time, and never its end.
    let mut slow: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(glance.address()).unwrap()).collect();
    for byte in b"GET /v2/images HTT".chunks(1) {
        for stream in &mut slow {
            stream.write_all(byte).unwrap();
        }
    }
    let mut client = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    client.list_images(ListImagesRequest::default()).await.unwrap();
    // More than are allowed are closed at once; who is in stays.
    let more: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(glance.address()).unwrap()).collect();
    let mut last = more.last().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(matches!(last.read(&mut [0]), Ok(0) | Err(_)));
    client.list_images(ListImagesRequest::default()).await.unwrap();
    drop((slow, more));
    let again = async {
        loop {
            let Ok(mut client) = ImageServiceClient::connect(glance.endpoint()).await else { continue };
            if client.list_images(ListImagesRequest::default()).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_never_reads_costs_a_connection() {
    let db = TestDb::sqlite();
    let glance = glance(&db, &["--max-concurrent-streams", "16", "--max-stall-ms", LONG]);
    let mut client = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    let properties: std::collections::BTreeMap<_, _> =
        (0..100).map(|number| (format!("p{number}"), "v".repeat(1000))).collect();
    for _ in 0..30 {
        let image = Image { name: "wide".into(), properties: properties.clone(), ..Image::default() };
        client.create_image(of("reader", CreateImageRequest { image: Some(image) })).await.unwrap();
    }
    let before = glance.memory().unwrap();
    // Pipelined requests of somebody else for 3 MB each, of which nothing is ever read.
    let request = b"GET /v2/images?limit=30 HTTP/1.1\r\nhost: x\r\n\
        x-user-id: greedy\r\nx-project-id: demo\r\n\r\n";
    let never: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(glance.address()).unwrap();
            for _ in 0..50 {
                stream.write_all(request).unwrap();
            }
            stream
        })
        .collect();
    for _ in 0..50 {
        let list = ListImagesRequest { page_size: 1, ..Default::default() };
        client.list_images(of("reader", list)).await.unwrap();
    }
    let grown = glance.memory().unwrap().saturating_sub(before);
    assert!(grown < 300 << 20, "{} MiB for twenty connections", grown >> 20);
    drop(never);
}
