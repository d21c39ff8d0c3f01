//! Uploads that are refused before a byte is written.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::UploadImageDataRequest;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::Code;

use super::{broken::raw, bytes, messages, upload_over_grpc};
use crate::support::{
    EDGES, Edge, Who, World, assert_error, file_path, id_of, over_grpc, over_http, violations,
};

on_both_databases!(
    refuses_other_media_types,
    knows_no_store,
    needs_both_formats,
    data_are_given_once,
    only_the_owner_and_operators_give_them,
    refuses_messages_that_name_nothing,
    refuses_a_message_that_is_too_large,
    asks_for_the_body_only_if_it_takes_it,
);

async fn refuses_other_media_types(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    for kind in ["application/json", "text/plain", "", "application/octet", "multipart/form-data; boundary=x"]
    {
        let call = http.call("PUT", &file_path(&id)).header("content-type", kind).text("hello");
        let metadata = call.send().await.error(415, "UNSUPPORTED_MEDIA_TYPE");
        assert_eq!(metadata["expected"], "application/octet-stream", "{kind}");
    }
    http.call("PUT", &file_path(&id)).text("hello").send().await.error(415, "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(world.get(&id).await.unwrap().revision, 1);
    let call = http.call("PUT", &file_path(&id)).header("content-type", "application/octet-stream; a=b");
    call.text("hello").send().await.is(204);
}

async fn knows_no_store(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let upload = async |store: &str| {
        let call = http.call("PUT", &file_path(&id)).header("content-type", "application/octet-stream");
        call.header("x-image-meta-store", store).text("hello").send().await
    };
    upload("nope").await.violation("x-image-meta-store", "\"nope\" is no store");
    assert_eq!(http.show(&id).await["status"], "queued");
    upload("").await.is(204);
}

async fn needs_both_formats(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    for (image, missing) in [
        (json!({}), &["disk_format", "container_format"][..]),
        (json!({"disk_format": "raw"}), &["container_format"]),
        (json!({"container_format": "bare"}), &["disk_format"]),
    ] {
        let id = id_of(&http.create(image).await);
        let found = http.upload(&id, "hello").await.violations();
        assert_eq!(found.iter().map(|(field, _)| field).collect::<Vec<_>>(), missing);
        let refused =
            upload_over_grpc(&world, Who::OWNER, messages(&id, None, b"hello", 1)).await.unwrap_err();
        assert_eq!(violations(&refused), found);
        assert_eq!(world.get(&id).await.unwrap().revision, 1);
    }
    assert!(world.data().is_empty());
}

async fn data_are_given_once(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    http.upload(&id, "hello").await.is(204);
    for status in ["ACTIVE", "DEACTIVATED"] {
        let metadata = http.upload(&id, "other").await.error(409, "ILLEGAL_STATUS_MOVE");
        assert_eq!((&metadata["from"], &metadata["to"]), (&json!(status), &json!("SAVING")));
        let refused =
            upload_over_grpc(&world, Who::OWNER, messages(&id, None, b"other", 1)).await.unwrap_err();
        assert_error(&refused, Code::FailedPrecondition, "ILLEGAL_STATUS_MOVE");
        http.call("POST", &format!("/v2/images/{id}/actions/deactivate")).send().await.is(204);
    }
    assert_eq!(world.http(Who::ADMIN).download(&id).await.is(200).text(), "hello");
    assert_eq!(world.data().len(), 1);
}

async fn only_the_owner_and_operators_give_them(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    world.share(&id).await;
    for (who, expected) in [
        (Who::STRANGER, "IMAGE_NOT_FOUND"),
        (Who::READER, "NOT_PERMITTED"),
        (Who::ACCEPTED, "NOT_PERMITTED"),
        (Who::new("x", "", "member"), "IMAGE_NOT_FOUND"),
    ] {
        for edge in EDGES {
            let outcome = match edge {
                Edge::Http => over_http(&world.http(who).upload(&id, "hello").await),
                Edge::Grpc => {
                    over_grpc(upload_over_grpc(&world, who, messages(&id, None, b"hello", 9)).await)
                }
            };
            assert_eq!(outcome, expected, "{who:?} over {edge:?}");
        }
    }
    for unknown in ["nonsense", "00000000-0000-4000-8000-000000000000"] {
        world.http(Who::OWNER).upload(unknown, "hello").await.error(404, "IMAGE_NOT_FOUND");
    }
    assert_eq!(world.get(&id).await.unwrap().revision, 1);
    world.http(Who::ADMIN).upload(&id, "hello").await.is(204);
}

async fn refuses_messages_that_name_nothing(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    for (messages, fields) in [
        (Vec::new(), &["image_id"][..]),
        (vec![UploadImageDataRequest::default()], &["image_id"]),
        (messages("nonsense", Some(-1), b"hello", 1), &["image_id", "size"]),
        (messages(&id, Some(-1), b"hello", 1), &["size"]),
    ] {
        let refused = upload_over_grpc(&world, Who::OWNER, messages).await.unwrap_err();
        assert_eq!(crate::support::fields(&refused), fields);
    }
    let unknown = messages("00000000-0000-4000-8000-000000000000", None, b"hello", 1);
    let refused = upload_over_grpc(&world, Who::OWNER, unknown).await.unwrap_err();
    assert_error(&refused, Code::NotFound, "IMAGE_NOT_FOUND");
}

async fn refuses_a_message_that_is_too_large(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    let data = bytes(5_000_000);
    let refused =
        upload_over_grpc(&world, Who::OWNER, messages(&id, None, &data, data.len())).await.unwrap_err();
    assert_ne!(refused.code(), Code::Ok);
    super::is_queued_again(&world, &id).await;
}

/// The first line of what comes next.
async fn line(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let count = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..count]).lines().next().unwrap_or_default().to_owned()
}

async fn asks_for_the_body_only_if_it_takes_it(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let expect = "content-length: 5\r\nexpect: 100-continue";
    let id = http.queued().await;
    let mut stream = raw(&world, &id, expect, b"").await;
    assert_eq!(line(&mut stream).await, "HTTP/1.1 100 Continue");
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(line(&mut stream).await, "HTTP/1.1 204 No Content");
    assert_eq!(line(&mut raw(&world, &id, expect, b"").await).await, "HTTP/1.1 409 Conflict");
    let unknown = "00000000-0000-4000-8000-000000000000";
    assert_eq!(line(&mut raw(&world, unknown, expect, b"").await).await, "HTTP/1.1 404 Not Found");
}
