//! Callers that stall, or request too much at once, keep nobody else waiting.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use chassis::testing::TestDb;
use harness::{service::Service, workspace};
use proto::glance::v1::{
    CreateImageRequest, Image, ListImagesRequest, UploadImageDataRequest,
    image_service_client::ImageServiceClient,
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;
use tower::Service as _;

use crate::limits::{endless, get, glance, of, until_in_flight, until_measured};

#[tokio::test(flavor = "multi_thread")]
async fn connections_fit_into_the_open_files() {
    let db = TestDb::sqlite();
    workspace::build_services().unwrap();
    let glance = workspace::binary("glance-svc").unwrap();
    for (limits, connections) in [("-Sn 128", None), ("-n 300", Some(75))] {
        let mut command = Command::new("sh");
        let program = format!(
            "ulimit {limits}; exec {} --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0",
            glance.display()
        );
        let service =
            Service::run("glance-svc", command.args(["-c", &program]).env("DATABASE_URL", &db.url)).unwrap();
        let open: Vec<_> = (0..200).map(|_| TcpStream::connect(service.address()).unwrap()).collect();
        let wanted = connections.unwrap_or(200);
        until_measured(&service, &format!("imprint_connections {wanted}\n"));
        let admin = service.admin().unwrap();
        assert!(harness::http::get(admin, "/readyz").unwrap().starts_with("HTTP/1.1 200"));
        // The warning comes before the first connection.
        let said = service.log().contains("the limit of open files (ulimit -n) is too low");
        assert_eq!(said, connections.is_some(), "{limits}: {}", service.log());
        drop(open);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_give_up_do_not_end_the_calls_of_others() {
    let db = TestDb::sqlite();
    let service = glance(&db, &[]);
    let shared = client(&service).await;
    let (send, parts) = mpsc::channel(1);
    let image_id = image(&service).await.id;
    send.send(UploadImageDataRequest { image_id, ..part() }).await.unwrap();
    let mut uploading = shared.clone();
    let upload = tokio::spawn(async move { uploading.upload_image_data(ReceiverStream::new(parts)).await });
    until_in_flight(&service, 1);
    for round in 0..20 {
        let mut leaving = JoinSet::new();
        for number in 0..200 {
            let mut client = shared.clone();
            let patience = Duration::from_micros(10 * number * (round % 4));
            leaving.spawn(async move {
                let list = client.list_images(ListImagesRequest::default());
                drop(tokio::time::timeout(patience, list).await);
            });
        }
        leaving.join_all().await;
        shared.clone().list_images(ListImagesRequest::default()).await.unwrap();
    }
    drop(send);
    let uploaded = upload.await.unwrap();
    assert!(uploaded.is_ok(), "{uploaded:?}: {}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_body_that_nobody_reads_arrives() {
    let db = TestDb::sqlite();
    let service = glance(&db, &[]);
    let id = image(&service).await.id;
    let body = vec![b'x'; 4 << 20];
    for (method, path, status) in
        [("PUT", format!("/v2/images/{id}/stage"), 404), ("POST", format!("/v2/images/{id}/members"), 415)]
    {
        for _ in 0..8 {
            let mut stream = TcpStream::connect(service.address()).unwrap();
            write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len())
                .unwrap();
            stream.write_all(&body).unwrap();
            let answer = until_answered(&mut stream);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        }
    }
    // A client that asks first (`Expect: 100-continue`) gets the answer without sending the body.
    let mut asking = TcpStream::connect(service.address()).unwrap();
    let file =
        "/v2/images/6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11/file HTTP/1.1\r\nhost: x\r\nexpect: 100-continue";
    let kind = "content-type: application/octet-stream\r\ncontent-length: 1000000";
    write!(asking, "PUT {file}\r\n{kind}\r\n\r\n").unwrap();
    let answer = until_answered(&mut asking);
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

/// A timeout that is never reached.
const LONG: &str = "3600000";

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

async fn client(service: &Service) -> ImageServiceClient<Channel> {
    ImageServiceClient::connect(service.endpoint()).await.unwrap()
}

/// An image without data.
async fn image(service: &Service) -> Image {
    let (disk_format, container_format) = ("raw".into(), "bare".into());
    let image = Image { name: "slow".into(), disk_format, container_format, ..Image::default() };
    let request = of("owner", CreateImageRequest { image: Some(image) });
    client(service).await.create_image(request).await.unwrap().into_inner()
}

/// A part of data.
fn part() -> UploadImageDataRequest {
    UploadImageDataRequest { data: b"data".to_vec().into(), ..Default::default() }
}

fn until_answered(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut answer = [0; 4096];
    let count = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_come_take_no_place() {
    let db = TestDb::sqlite();
    let service = glance(&db, &["--max-in-flight", "4", "--max-queued", "0", "--max-stall-ms", "2000"]);
    let head = "POST /v2/images HTTP/1.1\r\nhost: x\r\naccept: application/json\r\n\
                content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let mut over_1: Vec<_> = (0..64).map(|_| TcpStream::connect(service.address()).unwrap()).collect();
    for stream in &mut over_1 {
        stream.write_all(head.as_bytes()).unwrap();
    }
    // Uploads that begin with nothing.
    let (_open, never) = mpsc::channel(1);
    let mut over_2 = client(&service).await;
    let upload = tokio::spawn(async move {
        over_2.upload_image_data(ReceiverStream::<UploadImageDataRequest>::new(never)).await
    });
    for _ in 0..16 {
        client(&service).await.list_images(ListImagesRequest::default()).await.unwrap();
    }
    for stream in &mut over_1 {
        let answer = until_answered(stream);
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("REQUEST_STALLED"), "{answer}");
    }
    let refused = upload.await.unwrap().unwrap_err();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::DeadlineExceeded, "REQUEST_STALLED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_stands_still_gives_its_place_back() {
    let db = TestDb::sqlite();
    let service = glance(&db, &["--max-transfers", "1", "--max-queue-ms", LONG, "--max-stall-ms", "1000"]);
    let [over_1, over_2, good] =
        [image(&service).await.id, image(&service).await.id, image(&service).await.id];
    let mut slow = TcpStream::connect(service.address()).unwrap();
    let kind = "content-type: application/octet-stream";
    write!(slow, "PUT /v2/images/{over_1}/file HTTP/1.1\r\nhost: x\r\n{kind}\r\ncontent-length: 9\r\n\r\n1")
        .unwrap();
    until_in_flight(&service, 1);
    let (send, parts) = mpsc::channel(2);
    send.send(UploadImageDataRequest { image_id: over_2, ..part() }).await.unwrap();
    let mut stalled = client(&service).await;
    let stalled = tokio::spawn(async move { stalled.upload_image_data(ReceiverStream::new(parts)).await });
    let whole = tokio_stream::iter([UploadImageDataRequest { image_id: good, ..part() }]);
    // At most, it waits for both of them, and no longer than they may stall.
    client(&service).await.upload_image_data(of("owner", whole)).await.unwrap();
    assert!(until_answered(&mut slow).starts_with("HTTP/1.1 400"));
    stalled.await.unwrap().unwrap_err();
    drop(send);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_never_taken_end_with_their_connection() {
    let db = TestDb::sqlite();
    let service = glance(&db, &["--max-in-flight", "4", "--max-queue-ms", LONG, "--max-stall-ms", "1000"]);
    image(&service).await;
    // It answers pings and takes nothing.
    let endpoint = Channel::from_shared(service.endpoint()).unwrap();
    let closed = endpoint.initial_stream_window_size(Some(0)).connect().await.unwrap();
    let mut never = JoinSet::new();
    for number in 0..8 {
        let mut client = ImageServiceClient::new(closed.clone());
        let request = of(&format!("user-{number}"), ListImagesRequest::default());
        never.spawn(async move { client.list_images(request).await });
    }
    while let Some(answer) = never.join_next().await {
        answer.unwrap().unwrap_err();
    }
    // Over HTTP/1.1, more than system buffers hold.
    let wide: std::collections::BTreeMap<_, _> =
        (0..100).map(|number| (format!("p{number}"), "v".repeat(10_000))).collect();
    let image = Image { name: "wide".into(), properties: wide, ..Image::default() };
    for _ in 0..4 {
        let request = of("owner", CreateImageRequest { image: Some(image.clone()) });
        client(&service).await.create_image(request).await.unwrap();
    }
    let mut unread = TcpStream::connect(service.address()).unwrap();
    for _ in 0..16 {
        write!(unread, "GET /v2/images?limit=5 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    }
    until_in_flight(&service, 1);
    until_in_flight(&service, 0);
    drop(unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_has_a_quarter_of_the_places_and_a_connection_too() {
    let db = TestDb::sqlite();
    let service = glance(
        &db,
        &["--max-in-flight", "8", "--max-transfers", "8", "--max-queued", "0", "--max-stall-ms", LONG],
    );
    let open = [endless(&service, "greedy"), endless(&service, "greedy")];
    until_in_flight(&service, 2);
    let list = |user| of(user, ListImagesRequest::default());
    let refused = client(&service).await.list_images(list("greedy")).await.unwrap_err();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::Unavailable, "OVERLOADED"));
    client(&service).await.list_images(list("modest")).await.unwrap();
    assert!(get(&service, "/v2/images").starts_with("HTTP/1.1 200"));
    drop(open);
    until_in_flight(&service, 0);

    // Many users on one connection.
    let (one, mut held) = (client(&service).await, Vec::new());
    for number in 0..2 {
        let (send, parts) = mpsc::channel(1);
        let image_id = image(&service).await.id;
        send.send(UploadImageDataRequest { image_id, ..part() }).await.unwrap();
        let (request, mut client) = (of(&format!("user-{number}"), ReceiverStream::new(parts)), one.clone());
        held.push((send, tokio::spawn(async move { client.upload_image_data(request).await })));
        until_in_flight(&service, number + 1);
    }
    let image_id = image(&service).await.id;
    let whole = || tokio_stream::iter([UploadImageDataRequest { image_id: image_id.clone(), ..part() }]);
    let refused = one.clone().upload_image_data(of("user-2", whole())).await.unwrap_err();
    assert_eq!(reason(&refused), "OVERLOADED");
    client(&service).await.upload_image_data(of("user-2", whole())).await.unwrap();
    for (send, upload) in held {
        drop(send);
        upload.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_of_health_have_places_of_their_own() {
    let db = TestDb::sqlite();
    let service = glance(&db, &["--max-in-flight", "4"]);
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..5 {
        let channel = Channel::from_shared(service.endpoint()).unwrap().connect().await.unwrap();
        for _ in 0..128 {
            let request = HealthCheckRequest { service: String::new() };
            match HealthClient::new(channel.clone()).watch(request).await {
                Ok(watch) => open.push(watch.into_inner()),
                Err(status) => {
                    assert_eq!(reason(&status), "OVERLOADED");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((open.len(), refused), (512, 128));
    assert!(open[511].next().await.unwrap().is_ok());
    let channel = Channel::from_shared(service.endpoint()).unwrap().connect().await.unwrap();
    let request = HealthCheckRequest { service: String::new() };
    HealthClient::new(channel).check(request).await.unwrap();
    client(&service).await.list_images(ListImagesRequest::default()).await.unwrap();
}

/// Requests that together need twice the memory for large requests.
const LARGE: usize = 4 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn large_requests_of_a_caller_leave_room_for_others() {
    let db = TestDb::sqlite();
    let service = glance(&db, &["--max-stall-ms", LONG, "--max-deadline-ms", "60000"]);
    // Over HTTP/1.1: just enough to be processed, and nothing more.
    let head = format!(
        "POST /v2/images HTTP/1.1\r\nhost: x\r\nx-user-id: greedy\r\nx-project-id: demo\r\n\
         content-type: application/json\r\ncontent-length: {LARGE}\r\n\r\n{}",
        " ".repeat(40_000)
    );
    let mut open: Vec<_> = (0..4).map(|_| TcpStream::connect(service.address()).unwrap()).collect();
    for stream in &mut open {
        stream.write_all(head.as_bytes()).unwrap();
    }
    // The one that has memory has a place as well.
    until_in_flight(&service, 1);
    large_requests_of_others_are_answered(&service).await;
    drop(open);
    until_in_flight(&service, 0);

    // Over HTTP/2.
    let channel = Channel::from_shared(service.endpoint()).unwrap().connect().await.unwrap();
    let mut begun = JoinSet::new();
    for _ in 0..4 {
        let mut channel = channel.clone();
        begun.spawn(async move {
            let length = u32::try_from(LARGE - 1024).unwrap().to_be_bytes();
            let part = [&[0], &length[..], &vec![0; 40_000]].concat();
            let part = tokio_stream::iter([Ok::<_, std::io::Error>(part)]);
            let body = axum::body::Body::from_stream(part.chain(tokio_stream::pending()));
            let request = axum::http::Request::post("/glance.v1.ImageService/CreateImage")
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header("x-user-id", "greedy")
                .header("x-project-id", "demo");
            let request = request.body(tonic::body::Body::new(body)).unwrap();
            std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
            channel.call(request).await
        });
    }
    until_in_flight(&service, 1);
    large_requests_of_others_are_answered(&service).await;
    begun.shutdown().await;
}

/// Over both versions of HTTP, in less than the deadline of any request.
async fn large_requests_of_others_are_answered(service: &Service) {
    let wide: std::collections::BTreeMap<_, _> =
        (0..50).map(|number| (format!("p{number}"), "v".repeat(10_000))).collect();
    let image = Image { name: "wide".into(), properties: wide, ..Image::default() };
    let request = of("modest", CreateImageRequest { image: Some(image) });
    client(service).await.create_image(request).await.unwrap();
    let body = format!("{{\"name\": \"wide\"{}}}", " ".repeat(500_000));
    let mut stream = TcpStream::connect(service.address()).unwrap();
    write!(
        stream,
        "POST /v2/images HTTP/1.1\r\nhost: x\r\nx-user-id: modest\r\nx-project-id: demo\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let answer = until_answered(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}
