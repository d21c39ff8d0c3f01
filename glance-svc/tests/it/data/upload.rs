//! Giving an image its data.

use axum::body::Body;
use bytes::Bytes;
use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{UploadImageDataRequest, image::Status, image_change::Subject};
use serde_json::{Value, json};

use super::{MIB, bytes, chunked, md5, messages, read, sha512, upload_over_grpc};
use crate::support::{Who, World, file_path, image_path};

on_both_databases!(
    data_come_back_as_they_went_in,
    describes_the_data,
    no_data_are_data_too,
    takes_data_in_any_pieces_over_grpc,
    an_announced_size_must_be_the_right_one,
    an_announced_size_must_be_the_right_one_over_grpc,
    the_length_of_a_body_announces_its_size,
    an_upload_makes_two_revisions,
);

/// Sizes around the part size of the data store and of a stream, and larger ones.
const SIZES: [usize; 6] = [1, 4095, MIB - 1, MIB, MIB + 1, 5 * MIB + 3];

/// How data is sent: with its length, without it, or over gRPC.
const WAYS: [&str; 3] = ["length", "chunks", "grpc"];

/// A new image with this data.
async fn given(world: &World, way: &str, data: &Bytes) -> String {
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    match way {
        "grpc" => {
            let image = upload_over_grpc(world, Who::OWNER, messages(&id, None, data, MIB)).await.unwrap();
            assert_eq!(image.status(), Status::Active);
        }
        "chunks" => assert_eq!(http.upload(&id, chunked(data, 100_000)).await.status, 204),
        _ => assert_eq!(http.upload(&id, data.clone()).await.status, 204),
    }
    id
}

async fn data_come_back_as_they_went_in(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    for size in SIZES {
        let data = bytes(size);
        for way in WAYS {
            let id = given(&world, way, &data).await;
            let image = http.show(&id).await;
            assert_eq!(
                (&image["status"], &image["size"]),
                (&json!("active"), &json!(size)),
                "{size} by {way}"
            );
            assert_eq!(image["checksum"], md5(&data), "{size} by {way}");
            assert_eq!(image["os_hash_value"], sha512(&data), "{size} by {way}");
            assert!(http.download(&id).await.is(200).body == data, "{size} by {way}");
            assert!(read(&world, Who::OWNER, &id, 0, 0).await.unwrap() == data, "{size} by {way}");
            http.delete(&image_path(&id)).await.is(204);
        }
    }
    assert!(world.data().is_empty());
}

async fn describes_the_data(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    assert_eq!(http.upload(&id, "hello").await.is(204).body.len(), 0);
    let image = http.show(&id).await;
    let sha512 = "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7\
                  2323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043";
    for (name, value) in [
        ("status", json!("active")),
        ("size", json!(5)),
        ("virtual_size", json!(5)),
        ("checksum", json!("5d41402abc4b2a76b9719d911017c592")),
        ("os_hash_algo", json!("sha512")),
        ("os_hash_value", json!(sha512)),
    ] {
        assert_eq!(image[name], value, "{name}");
    }
    let over_grpc = http.queued().await;
    let answer =
        upload_over_grpc(&world, Who::OWNER, messages(&over_grpc, Some(5), b"hello", 2)).await.unwrap();
    assert_eq!(answer, world.get(&over_grpc).await.unwrap());
    assert_eq!((answer.status(), answer.os_hash_value.as_str()), (Status::Active, sha512));
}

async fn no_data_are_data_too(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    for way in WAYS {
        let id = given(&world, way, &Bytes::new()).await;
        let image = http.show(&id).await;
        assert_eq!((&image["status"], &image["size"]), (&json!("active"), &json!(0)), "{way}");
        assert_eq!(image["checksum"], "d41d8cd98f00b204e9800998ecf8427e");
        let answer = http.download(&id).await.is(200);
        assert_eq!((answer.header("content-length"), answer.body.len()), ("0", 0));
        assert!(read(&world, Who::OWNER, &id, 0, 0).await.unwrap().is_empty());
    }
}

async fn takes_data_in_any_pieces_over_grpc(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let data = bytes(3 * MIB + 5);
    for piece in [999, MIB, 3 * MIB] {
        let id = http.queued().await;
        let size = Some(i64::try_from(data.len()).unwrap());
        let image = upload_over_grpc(&world, Who::OWNER, messages(&id, size, &data, piece)).await.unwrap();
        assert_eq!((image.size, image.checksum), (size, md5(&data)));
    }
    // The first message may carry data; what later ones say of image and size is ignored.
    let id = http.queued().await;
    let message = |id: &str, size, data: &str| UploadImageDataRequest {
        image_id: id.to_owned(),
        size,
        data: Bytes::copy_from_slice(data.as_bytes()),
    };
    let messages = vec![
        message(&id, Some(5), "he"),
        message("nonsense", Some(99), "ll"),
        message("", None, ""),
        message("", None, "o"),
    ];
    upload_over_grpc(&world, Who::OWNER, messages).await.unwrap();
    assert_eq!(http.download(&id).await.is(200).text(), "hello");
}

async fn an_announced_size_must_be_the_right_one(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let put = async |size: &str, body: Body| {
        let call = http.call("PUT", &file_path(&id)).header("content-type", "application/octet-stream");
        call.header("x-openstack-image-size", size).body(body).send().await
    };
    for (size, announced, received) in
        [("6", 6, "5"), ("4", 4, "5"), ("0", 0, "5"), ("1000000", 1_000_000, "5")]
    {
        let body = Body::from("hello");
        let metadata = put(size, body).await.error(400, "SIZE_MISMATCH");
        assert_eq!(metadata, json!({"announced": announced.to_string(), "received": received}));
        super::is_queued_again(&world, &id).await;
    }
    for size in ["nonsense", "-1", "", "1.5", "99999999999999999999"] {
        put(size, Body::from("hello")).await.violation("x-openstack-image-size", "must be a number of bytes");
    }
    assert_eq!(http.show(&id).await["status"], "queued");
    put(" 5 ", chunked(&Bytes::from("hello"), 2)).await.is(204);
    assert_eq!(http.show(&id).await["size"], 5);
}

async fn an_announced_size_must_be_the_right_one_over_grpc(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    for size in [0, 4, 6] {
        let refused =
            upload_over_grpc(&world, Who::OWNER, messages(&id, Some(size), b"hello", 2)).await.unwrap_err();
        let metadata = crate::support::assert_error(&refused, tonic::Code::InvalidArgument, "SIZE_MISMATCH");
        assert_eq!(metadata["announced"], size.to_string());
        super::is_queued_again(&world, &id).await;
    }
    upload_over_grpc(&world, Who::OWNER, messages(&id, Some(5), b"hello", 2)).await.unwrap();
}

async fn the_length_of_a_body_announces_its_size(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let call = http.call("PUT", &file_path(&id)).header("content-type", "application/octet-stream");
    // Glance's own clients send both.
    call.header("x-openstack-image-size", "5")
        .header("content-length", "5")
        .text("hello")
        .send()
        .await
        .is(204);
    assert_eq!(http.show(&id).await["size"], 5);
}

async fn an_upload_makes_two_revisions(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    http.upload(&id, "hello").await.is(204);
    let history = world.revisions(&id).await;
    assert_eq!(history.len(), 3);
    let names = |index: usize| -> Vec<Value> {
        let changes = history[index].changes.iter();
        changes
            .map(|change| match change.subject.clone().unwrap() {
                Subject::Attribute(name) | Subject::Property(name) => json!([name, change.new_value]),
            })
            .collect()
    };
    assert_eq!(names(1), [json!(["status", "SAVING"])]);
    let changed: Vec<_> = names(0).iter().map(|change| change[0].as_str().unwrap().to_owned()).collect();
    assert_eq!(changed, ["checksum", "os_hash_algo", "os_hash_value", "size", "status", "virtual_size"]);
    assert!(history.iter().all(|revision| revision.user_id == "alice"));
}
