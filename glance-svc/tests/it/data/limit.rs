//! Data that is larger than any image's may be.

use axum::body::Body;
use bytes::Bytes;
use chassis::{on_both_databases, testing::TestDb};
use tonic::Code;

use super::{chunked, is_queued_again, messages, upload_over_grpc};
use crate::support::{Settings, Who, World, assert_error, file_path};

on_both_databases!(
    refuses_what_is_announced_as_too_large,
    refuses_what_turns_out_to_be_too_large,
    takes_what_is_just_small_enough,
    who_must_not_upload_learns_nothing_of_the_limit,
);

async fn small(db: TestDb) -> World {
    World::start_with(db, Settings { size: 10, ..Settings::default() }).await
}

async fn refuses_what_is_announced_as_too_large(db: TestDb) {
    let world = small(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let metadata = http.upload(&id, "eleven byte").await.error(413, "DATA_TOO_LARGE");
    assert_eq!(metadata["limit_bytes"], "10");
    let call = http.call("PUT", &file_path(&id)).header("content-type", "application/octet-stream");
    let call = call.header("x-openstack-image-size", "1099511627776").body(Body::from("hello"));
    call.send().await.error(413, "DATA_TOO_LARGE");
    for size in [11, i64::MAX] {
        let refused =
            upload_over_grpc(&world, Who::OWNER, messages(&id, Some(size), b"hello", 9)).await.unwrap_err();
        let metadata = assert_error(&refused, Code::ResourceExhausted, "DATA_TOO_LARGE");
        assert_eq!(metadata["limit_bytes"], "10");
    }
    assert_eq!(world.get(&id).await.unwrap().revision, 1, "nothing was begun");
}

async fn refuses_what_turns_out_to_be_too_large(db: TestDb) {
    let world = small(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    http.upload(&id, chunked(&Bytes::from("eleven byte"), 3)).await.error(413, "DATA_TOO_LARGE");
    is_queued_again(&world, &id).await;
    let refused =
        upload_over_grpc(&world, Who::OWNER, messages(&id, None, b"eleven byte", 3)).await.unwrap_err();
    assert_error(&refused, Code::ResourceExhausted, "DATA_TOO_LARGE");
    is_queued_again(&world, &id).await;
    // A wrong announced size does not help.
    let call = http.call("PUT", &file_path(&id)).header("content-type", "application/octet-stream");
    let call = call.header("x-openstack-image-size", "10").body(chunked(&Bytes::from("eleven byte"), 3));
    call.send().await.error(400, "SIZE_MISMATCH");
    is_queued_again(&world, &id).await;
}

async fn takes_what_is_just_small_enough(db: TestDb) {
    let world = small(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    http.upload(&id, "ten bytes!").await.is(204);
    let id = http.queued().await;
    http.upload(&id, chunked(&Bytes::from("ten bytes!"), 3)).await.is(204);
    let id = http.queued().await;
    upload_over_grpc(&world, Who::OWNER, messages(&id, Some(10), b"ten bytes!", 3)).await.unwrap();
}

async fn who_must_not_upload_learns_nothing_of_the_limit(db: TestDb) {
    let world = small(db).await;
    let id = world.http(Who::OWNER).queued().await;
    world.http(Who::STRANGER).upload(&id, "eleven byte").await.error(404, "IMAGE_NOT_FOUND");
    world.http(Who::READER).upload(&id, "eleven byte").await.error(403, "NOT_PERMITTED");
    let unknown = "00000000-0000-4000-8000-000000000000";
    world.http(Who::OWNER).upload(unknown, "eleven byte").await.error(404, "IMAGE_NOT_FOUND");
}
