//! Uploads that break off: the image is QUEUED again, and nothing is left.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::image::Status;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{MIB, SlowGrpc, becomes, is_queued_again};
use crate::support::{Who, World};

on_both_databases!(
    a_client_that_leaves_over_http_leaves_nothing_behind,
    a_client_that_leaves_between_chunks_leaves_nothing_behind,
    a_client_that_sends_no_chunk_is_told,
    a_client_that_stops_early_is_told,
    a_client_that_leaves_over_grpc_leaves_nothing_behind,
    a_broken_upload_is_in_the_history,
);

/// Sends the head of an upload, and then the raw `body`; the image is SAVING.
pub(super) async fn raw(world: &World, id: &str, headers: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "PUT /v2/images/{id}/file HTTP/1.1\r\nhost: glance\r\naccept: application/json\r\nx-user-id: alice\r\n\
         x-project-id: owner\r\ncontent-type: application/octet-stream\r\n{headers}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream
}

async fn a_client_that_leaves_over_http_leaves_nothing_behind(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    // With its first byte it begins; before the first part is written, and after it.
    for sent in [1, 100, 3 * MIB] {
        let stream = raw(&world, &id, "content-length: 9999999", &vec![7; sent]).await;
        becomes(&world, &id, Status::Saving).await;
        drop(stream);
        is_queued_again(&world, &id).await;
    }
    http.upload(&id, "hello").await.is(204);
    assert_eq!(http.download(&id).await.is(200).text(), "hello");
}

async fn a_client_that_leaves_between_chunks_leaves_nothing_behind(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    for body in ["5\r\nhello\r\n", "5\r\nhel", "5\r\nhello\r\n5"] {
        let stream = raw(&world, &id, "transfer-encoding: chunked", body.as_bytes()).await;
        becomes(&world, &id, Status::Saving).await;
        drop(stream);
        is_queued_again(&world, &id).await;
    }
}

/// The answer, until the connection ends.
async fn answer(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // The server may silently close a connection that it can no longer parse.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn a_client_that_sends_no_chunk_is_told(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    let stream = raw(&world, &id, "transfer-encoding: chunked", b"5\r\nhello\r\nnonsense\r\n").await;
    let answer = answer(stream).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("UPLOAD_BROKEN"), "{answer}");
    is_queued_again(&world, &id).await;
}

async fn a_client_that_stops_early_is_told(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    for (headers, body) in [("content-length: 10", "hello"), ("transfer-encoding: chunked", "5\r\nhello\r\n")]
    {
        let mut stream = raw(&world, &id, headers, body.as_bytes()).await;
        stream.shutdown().await.unwrap();
        let answer = answer(stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("UPLOAD_BROKEN"),
            "{headers}: {answer}"
        );
        assert!(answer.contains("x-openstack-request-id: req-"), "{answer}");
        is_queued_again(&world, &id).await;
    }
}

async fn a_client_that_leaves_over_grpc_leaves_nothing_behind(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    for _ in 0..3 {
        let slow = SlowGrpc::begin(&world, Who::OWNER, &id).await;
        slow.answer.abort();
        is_queued_again(&world, &id).await;
    }
    let slow = SlowGrpc::begin(&world, Who::OWNER, &id).await;
    assert_eq!(slow.end().await.unwrap().size, Some(10));
    assert_eq!(http.download(&id).await.is(200).text(), "beginning ");
}

async fn a_broken_upload_is_in_the_history(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    drop(raw(&world, &id, "content-length: 10", b"hello").await);
    let history = crate::support::soon("the upload is given up", async || {
        let history = world.revisions(&id).await;
        (history.len() == 3).then_some(history)
    })
    .await;
    let moves: Vec<_> = history
        .iter()
        .flat_map(|revision| {
            revision.changes.iter().map(|change| json!([revision.user_id, change.new_value]))
        })
        .filter(|change| change[1] == "SAVING" || change[1] == "QUEUED")
        .collect();
    assert_eq!(moves, [json!(["alice", "QUEUED"]), json!(["alice", "SAVING"]), json!(["alice", "QUEUED"])]);
}
