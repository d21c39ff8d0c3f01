//! Reading the data of an image.

use chassis::{on_both_databases, testing::TestDb};
use futures_util::StreamExt as _;
use proto::glance::v1::{DownloadImageDataRequest, Image};
use serde_json::json;
use tonic::Code;

use super::{MIB, bytes, md5, read, sha512};
use crate::support::{
    EDGES, Edge, Who, World, assert_error, at_once, file_path, named, over_grpc, over_http,
};

on_both_databases!(
    describes_what_it_sends,
    without_data_there_is_nothing_to_send,
    withdrawn_data_are_for_operators,
    reads_any_part_over_grpc,
    refuses_parts_over_grpc_that_make_no_sense,
    who_leaves_in_the_middle_disturbs_nobody,
    many_read_at_once,
    missing_data_are_told,
);

async fn describes_what_it_sends(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let data = bytes(1000);
    http.upload(&id, data.clone()).await.is(204);
    let answer = http.download(&id).await.is(200);
    assert_eq!(answer.body, data);
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-length", "1000"),
        ("content-md5", &md5(&data)),
        ("etag", &format!("\"{}\"", sha512(&data))),
        ("accept-ranges", "bytes"),
        ("content-range", ""),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let head = http.call("HEAD", &file_path(&id)).send().await.is(200);
    assert_eq!((head.header("content-length"), head.body.len()), ("1000", 0));
}

async fn without_data_there_is_nothing_to_send(db: TestDb) {
    let world = World::start(db).await;
    let queued = world.http(Who::OWNER).queued().await;
    let elsewhere =
        world.create(Image { size: Some(5), owner: "owner".to_owned(), ..named("cirros") }).await.unwrap();
    for id in [queued, elsewhere.id] {
        assert_eq!(world.http(Who::OWNER).download(&id).await.is(204).body.len(), 0);
        let refused = read(&world, Who::OWNER, &id, 0, 0).await.unwrap_err();
        assert_error(&refused, Code::FailedPrecondition, "IMAGE_HAS_NO_DATA");
        world.http(Who::STRANGER).download(&id).await.error(404, "IMAGE_NOT_FOUND");
    }
}

async fn withdrawn_data_are_for_operators(db: TestDb) {
    let world = World::start(db).await;
    let owner = world.http(Who::OWNER);
    let id = owner.queued().await;
    world.share(&id).await;
    owner.upload(&id, "hello").await.is(204);
    owner.call("POST", &format!("/v2/images/{id}/actions/deactivate")).send().await.is(204);
    for (who, expected) in [
        (Who::OWNER, "NOT_PERMITTED"),
        (Who::READER, "NOT_PERMITTED"),
        (Who::ACCEPTED, "NOT_PERMITTED"),
        (Who::STRANGER, "IMAGE_NOT_FOUND"),
        (Who::ADMIN, "DONE"),
        (Who::NOBODY, "DONE"),
    ] {
        for edge in EDGES {
            let outcome = match edge {
                Edge::Http => over_http(&world.http(who).download(&id).await),
                Edge::Grpc => over_grpc(read(&world, who, &id, 0, 0).await),
            };
            assert_eq!(outcome, expected, "{who:?} over {edge:?}");
        }
    }
    owner.call("POST", &format!("/v2/images/{id}/actions/reactivate")).send().await.is(204);
    assert_eq!(world.http(Who::ACCEPTED).download(&id).await.is(200).text(), "hello");
}

async fn reads_any_part_over_grpc(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let data = bytes(MIB + 10);
    http.upload(&id, data.clone()).await.is(204);
    let end = data.len();
    for (offset, length, expected) in [
        (0, 0, 0..end),
        (0, 1, 0..1),
        (5, 10, 5..15),
        (end - 1, 0, end - 1..end),
        (end - 5, 100, end - 5..end),
        (end, 0, end..end),
        (300_000, MIB, 300_000..end),
        (MIB - 3, 6, MIB - 3..MIB + 3),
        (1, usize::MAX >> 1, 1..end),
    ] {
        let (from, count) = (i64::try_from(offset).unwrap(), i64::try_from(length).unwrap());
        let part = read(&world, Who::OWNER, &id, from, count).await.unwrap();
        assert!(part == data[expected], "{offset} {length}: {} bytes", part.len());
    }
}

async fn refuses_parts_over_grpc_that_make_no_sense(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    http.upload(&id, "hello").await.is(204);
    for offset in [6, i64::MAX] {
        let refused = read(&world, Who::OWNER, &id, offset, 0).await.unwrap_err();
        let metadata = assert_error(&refused, Code::OutOfRange, "RANGE_OUTSIDE_DATA");
        assert_eq!(metadata["size"], "5");
    }
    let refused = read(&world, Who::OWNER, "nonsense", -1, -1).await.unwrap_err();
    assert_eq!(crate::support::fields(&refused), ["id", "offset", "length"]);
    let unknown = "00000000-0000-4000-8000-000000000000";
    assert_error(
        &read(&world, Who::OWNER, unknown, 0, 0).await.unwrap_err(),
        Code::NotFound,
        "IMAGE_NOT_FOUND",
    );
}

async fn who_leaves_in_the_middle_disturbs_nobody(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let data = bytes(8 * MIB);
    http.upload(&id, data.clone()).await.is(204);
    for _ in 0..5 {
        let answer = http.call("GET", &file_path(&id)).begin().await;
        let mut body = answer.into_body().into_data_stream();
        assert!(!body.next().await.unwrap().unwrap().is_empty());
        drop(body);
        let request = DownloadImageDataRequest { id: id.clone(), ..Default::default() };
        let mut chunks = world.grpc(Who::OWNER).download_image_data(request).await.unwrap().into_inner();
        assert!(!chunks.message().await.unwrap().unwrap().data.is_empty());
    }
    assert!(http.download(&id).await.is(200).body == data);
}

async fn many_read_at_once(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let data = bytes(MIB + 1);
    http.upload(&id, data.clone()).await.is(204);
    let read = at_once(20, |number| {
        let (world, http, id) = (world.clone(), http.clone(), id.clone());
        async move {
            match number % 2 {
                0 => http.download(&id).await.is(200).body.to_vec(),
                _ => read(&world, Who::OWNER, &id, 0, 0).await.unwrap(),
            }
        }
    });
    assert!(read.await.iter().all(|read| *read == data));
}

async fn missing_data_are_told(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    http.upload(&id, "hello").await.is(204);
    for folder in world.data() {
        std::fs::remove_dir_all(folder).unwrap();
    }
    let metadata = http.download(&id).await.error(500, "DATA_MISSING");
    assert_eq!(metadata, json!({"image_id": id}));
    let refused = read(&world, Who::OWNER, &id, 0, 0).await.unwrap_err();
    assert_error(&refused, Code::DataLoss, "DATA_MISSING");
    // It can still be deleted.
    http.delete(&format!("/v2/images/{id}")).await.is(204);
}
