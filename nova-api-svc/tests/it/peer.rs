//! glance-svc is down, slow, or sends garbage.

use std::time::Duration;

use chassis::{on_both_databases, testing::TestDb};
use proto::{
    glance::v1::Image,
    nova::v1::{CreateInstanceRequest, ListInstancesRequest},
};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::StatusExt as _;

use crate::{
    glance::{Call, ClosedPort, Mood, Twist},
    support::{NOTHING, Nova, Settings, assert_error, assert_retry, bad_fields, made_by, of},
};

on_both_databases!(
    a_closed_port_is_unavailable_and_reads_go_on,
    a_catalogue_that_hangs_ends_within_the_callers_deadline,
    a_catalogue_that_hangs_ends_after_the_configured_time,
    a_peer_that_never_speaks_ends_after_the_configured_time,
    a_peer_that_speaks_something_else_is_unavailable,
    an_answer_that_cannot_be_is_refused,
    the_peers_status_is_not_ours,
    a_kernel_that_cannot_be_looked_up_is_not_missing,
    the_caller_is_named_to_the_peer,
    a_service_that_behaves_again_is_used_again,
);

async fn refuse(nova: &Nova, request: CreateInstanceRequest) -> Status {
    let request = CreateInstanceRequest { request_id: "refused".to_owned(), ..request };
    let status = nova.create(request).await.unwrap_err();
    assert_eq!(nova.rows().await, NOTHING);
    status
}

async fn with_endpoint(db: TestDb, endpoint: String, timeout: Duration) -> Nova {
    let settings =
        Settings { glance_endpoint: Some(endpoint), glance_timeout: timeout, ..Settings::default() };
    Nova::start_with(db, settings).await
}

fn anything() -> CreateInstanceRequest {
    of(&Image { id: "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11".to_owned(), ..Image::default() })
}

async fn a_closed_port_is_unavailable_and_reads_go_on(db: TestDb) {
    let port = ClosedPort::reserve();
    let nova = with_endpoint(db, port.endpoint(), Duration::from_secs(30)).await;
    for _ in 0..3 {
        assert_retry(&refuse(&nova, anything()).await, Code::Unavailable, "GLANCE_UNAVAILABLE");
    }
    let dry = CreateInstanceRequest { validate_only: true, ..anything() };
    assert_retry(&refuse(&nova, dry).await, Code::Unavailable, "GLANCE_UNAVAILABLE");

    let glance = port.open();
    let image = glance.with(&[]);
    let instance = nova.create_one(of(&image)).await;
    glance.be(Mood::Hanging);
    assert_eq!(nova.get(&instance.id).await.unwrap(), instance);
    assert_eq!(
        nova.list(ListInstancesRequest::default()).await.unwrap().instances,
        std::slice::from_ref(&instance)
    );
    nova.flavor("new", 1, 1, 1).await;
    nova.delete(&instance.id).await.unwrap();
}

async fn a_catalogue_that_hangs_ends_within_the_callers_deadline(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    nova.create(of(&image)).await.unwrap();
    nova.glance.be(Mood::Hanging);
    let mut request = made_by("alice", "demo", of(&image));
    request.set_timeout(Duration::from_secs(4));
    let status = nova.create(request).await.unwrap_err();
    // Our own timeout: when the caller's deadline expires, its library makes a status without details.
    assert_retry(&status, Code::DeadlineExceeded, "GLANCE_TIMEOUT");
    let values = assert_error(&status, Code::DeadlineExceeded, "GLANCE_TIMEOUT");
    let waited: u64 = values["timeout_ms"].parse().unwrap();
    assert!((2000..4000).contains(&waited), "{waited} ms");
    assert_eq!(nova.rows().await, (1, 0, 13, 0, 0));
    // The catalogue was told how long we wait.
    assert!(nova.glance.calls().iter().all(|call| call.has_deadline));

    nova.glance.be(Mood::Well);
    nova.create(of(&image)).await.unwrap();
}

async fn a_catalogue_that_hangs_ends_after_the_configured_time(db: TestDb) {
    let settings = Settings { glance_timeout: Duration::from_millis(200), ..Settings::default() };
    let nova = Nova::start_with(db, settings).await;
    nova.glance.be(Mood::Hanging);
    let status = refuse(&nova, anything()).await;
    assert_retry(&status, Code::DeadlineExceeded, "GLANCE_TIMEOUT");
    let values = assert_error(&status, Code::DeadlineExceeded, "GLANCE_TIMEOUT");
    let waited: u64 = values["timeout_ms"].parse().unwrap();
    assert!(waited >= 200, "{waited} ms");
    assert!(status.message().contains(&format!("within {waited} ms")));
}

async fn a_peer_that_never_speaks_ends_after_the_configured_time(db: TestDb) {
    // The kernel accepts the connections, but the program does not.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let nova = with_endpoint(db, endpoint, Duration::from_millis(200)).await;
    assert_retry(&refuse(&nova, anything()).await, Code::DeadlineExceeded, "GLANCE_TIMEOUT");
}

/// Bytes that are no HTTP/2, after which the peer hangs up or stays.
async fn a_peer_that_speaks_something_else_is_unavailable(db: TestDb) {
    let another = db.another().await;
    for (db, hangs_up) in [(db, true), (another, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut connection, _)) = listener.accept().await {
                let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\nSECRET words").await;
                open.extend((!hangs_up).then_some(connection));
            }
        });
        let nova = with_endpoint(db, endpoint, Duration::from_secs(30)).await;
        for _ in 0..3 {
            let status = refuse(&nova, anything()).await;
            // Whether the connection or the bytes on it are noticed first is a matter of luck.
            let reason = status.get_details_error_info().unwrap().reason;
            assert!(["GLANCE_UNAVAILABLE", "GLANCE_BAD_ANSWER"].contains(&reason.as_str()), "{reason}");
            assert_retry(&status, Code::Unavailable, &reason);
        }
    }
}

async fn an_answer_that_cannot_be_is_refused(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("fine", "fine")]);
    let twists: [(&str, Twist); 17] = [
        ("another id", |image| image.id = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11".into()),
        ("no id", |image| image.id.clear()),
        ("no UUID", |image| image.id = "ubuntu".into()),
        ("nothing", |image| *image = Image::default()),
        ("revision 0", |image| image.revision = 0),
        ("revision -1", |image| image.revision = -1),
        ("no status", |image| image.status = 0),
        ("a status of the future", |image| image.status = 99),
        ("negative min_ram", |image| image.min_ram = -1),
        ("negative min_disk", |image| image.min_disk = -1),
        ("negative size", |image| image.size = Some(-1)),
        ("a long disk_format", |image| image.disk_format = "x".repeat(300)),
        ("a long container_format", |image| image.container_format = "x".repeat(300)),
        ("NUL in disk_format", |image| image.disk_format = "raw\0".into()),
        ("NUL in a value", |image| drop(image.properties.insert("name".into(), "a\0b".into()))),
        ("NUL in a name", |image| drop(image.properties.insert("a\0b".into(), "value".into()))),
        ("a long name", |image| drop(image.properties.insert("x".repeat(256), "value".into()))),
    ];
    for (what, twist) in twists {
        nova.glance.be(Mood::Twisting(twist));
        let status = refuse(&nova, of(&image)).await;
        assert_retry(&status, Code::Unavailable, "GLANCE_BAD_ANSWER");
        assert!(status.message().contains("nothing was written"), "{what}");
    }
    // A catalogue of the future may know more of an image than we do.
    nova.glance.be(Mood::Twisting(|image| image.visibility = 99));
    nova.create(of(&image)).await.unwrap();
}

async fn the_peers_status_is_not_ours(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let mut trailers = MetadataMap::new();
    trailers.insert("x-peer", "SECRET trailer".parse().unwrap());
    for (theirs, ours, reason) in [
        (Code::Internal, Code::Unavailable, "GLANCE_BAD_ANSWER"),
        (Code::Unknown, Code::Unavailable, "GLANCE_BAD_ANSWER"),
        (Code::DataLoss, Code::Unavailable, "GLANCE_BAD_ANSWER"),
        (Code::InvalidArgument, Code::Unavailable, "GLANCE_BAD_ANSWER"),
        (Code::PermissionDenied, Code::Unavailable, "GLANCE_BAD_ANSWER"),
        (Code::Unauthenticated, Code::Unavailable, "GLANCE_BAD_ANSWER"),
        (Code::FailedPrecondition, Code::Unavailable, "GLANCE_BAD_ANSWER"),
        (Code::AlreadyExists, Code::Unavailable, "GLANCE_BAD_ANSWER"),
        (Code::Unimplemented, Code::Unavailable, "GLANCE_BAD_ANSWER"),
        (Code::OutOfRange, Code::Unavailable, "GLANCE_BAD_ANSWER"),
        (Code::Unavailable, Code::Unavailable, "GLANCE_UNAVAILABLE"),
        (Code::ResourceExhausted, Code::Unavailable, "GLANCE_UNAVAILABLE"),
        (Code::Aborted, Code::Unavailable, "GLANCE_UNAVAILABLE"),
        (Code::DeadlineExceeded, Code::DeadlineExceeded, "GLANCE_TIMEOUT"),
        (Code::Cancelled, Code::Unavailable, "GLANCE_UNAVAILABLE"),
    ] {
        let details = "SECRET details".into();
        let status = Status::with_details_and_metadata(theirs, "SECRET message", details, trailers.clone());
        nova.glance.be(Mood::Failing(status));
        assert_retry(&refuse(&nova, of(&image)).await, ours, reason);
    }
    nova.glance.be(Mood::Failing(Status::not_found("SECRET")));
    let status = refuse(&nova, of(&image)).await;
    assert_error(&status, Code::InvalidArgument, "IMAGE_NOT_FOUND");
    assert_eq!(bad_fields(&status)[0].0, "image_id");
}

async fn a_kernel_that_cannot_be_looked_up_is_not_missing(db: TestDb) {
    let nova = Nova::start(db).await;
    let kernel = nova.glance.with(&[]);
    let of_property = of(&nova.glance.with(&[("kernel_id", &kernel.id)]));
    let of_request = CreateInstanceRequest { ramdisk_id: kernel.id.clone(), ..of(&nova.glance.with(&[])) };
    for request in [of_property, of_request] {
        nova.glance.be(Mood::FailingFor(kernel.id.clone(), Status::unavailable("SECRET")));
        assert_retry(&refuse(&nova, request.clone()).await, Code::Unavailable, "GLANCE_UNAVAILABLE");
        nova.glance.be(Mood::FailingFor(kernel.id.clone(), Status::internal("SECRET")));
        assert_retry(&refuse(&nova, request).await, Code::Unavailable, "GLANCE_BAD_ANSWER");
    }
}

async fn the_caller_is_named_to_the_peer(db: TestDb) {
    let nova = Nova::start(db).await;
    let kernel = nova.glance.with(&[]);
    let image = nova.glance.with(&[("kernel_id", &kernel.id)]);
    let mut request = made_by("carol", "shop", of(&image));
    request.metadata_mut().insert("x-roles", "Member,reader".parse().unwrap());
    nova.create(request).await.unwrap();
    let call = |id: &str| Call {
        id: id.to_owned(),
        revision: 0,
        user_id: Some("carol".to_owned()),
        project_id: Some("shop".to_owned()),
        roles: Some("member,reader".to_owned()),
        has_deadline: true,
    };
    assert_eq!(nova.glance.calls(), [call(&image.id), call(&kernel.id)]);
}

async fn a_service_that_behaves_again_is_used_again(db: TestDb) {
    let settings = Settings { glance_timeout: Duration::from_secs(2), ..Settings::default() };
    let nova = Nova::start_with(db, settings).await;
    let image = nova.glance.with(&[]);
    for mood in [
        Mood::Failing(Status::unavailable("SECRET")),
        Mood::Failing(Status::internal("SECRET")),
        Mood::Twisting(|image| image.revision = 0),
        Mood::Hanging,
    ] {
        nova.glance.be(mood);
        nova.create(of(&image)).await.unwrap_err();
        nova.glance.be(Mood::Well);
        nova.create(of(&image)).await.unwrap();
    }
    assert_eq!(nova.rows().await, (4, 0, 52, 0, 0));
}
