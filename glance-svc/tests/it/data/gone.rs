//! Images that are deleted or changed during an upload; and data that is deleted with its image.

use chassis::{on_both_databases, testing::TestDb};
use common::id::Id;
use futures_util::future::join_all;
use glance_svc::store::Store;
use proto::glance::v1::{Image, image::Status};
use serde_json::json;
use tonic::Code;

use super::{MIB, Slow, SlowGrpc, bytes, is_empty, status};
use crate::{
    schema::{open, rows},
    support::{Who, World, assert_error, at_once, change_of, image_path},
};

on_both_databases!(
    data_go_with_their_image,
    an_image_that_is_deleted_meanwhile_gets_no_data,
    an_image_that_is_deleted_meanwhile_gets_no_data_over_grpc,
    an_image_that_is_deleted_at_any_moment_leaves_no_data,
    an_upload_that_was_given_up_does_not_come_back,
    an_image_that_is_made_active_meanwhile_promises_no_data,
    what_changes_meanwhile_stays,
    a_download_that_has_begun_ends_well,
    a_download_beside_a_delete_is_whole_or_not_found,
    complete_data_are_not_given_up,
);

async fn data_go_with_their_image(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let (first, second) = (http.queued().await, http.queued().await);
    for id in [&first, &second] {
        http.upload(id, bytes(MIB + 1)).await.is(204);
    }
    assert_eq!(world.data().len(), 2);
    http.delete(&image_path(&first)).await.is(204);
    assert_eq!(world.data().len(), 1);
    http.download(&second).await.is(200);
    world.delete(&second, "").await.unwrap();
    assert!(world.data().is_empty());
    let rows: Vec<(i64,)> = rows(&open(&world.db).await, "SELECT COUNT(*) FROM image_data").await;
    assert_eq!(rows, [(0,)]);
}

async fn an_image_that_is_deleted_meanwhile_gets_no_data(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let slow = Slow::begin(&world, &http, &id).await;
    http.delete(&image_path(&id)).await.is(204);
    slow.send("end").await;
    assert_eq!(slow.end().await.error(410, "UPLOAD_LOST")["image_id"], id);
    is_empty(&world).await;
    http.get(&image_path(&id)).await.error(404, "IMAGE_NOT_FOUND");
}

async fn an_image_that_is_deleted_meanwhile_gets_no_data_over_grpc(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    let slow = SlowGrpc::begin(&world, Who::OWNER, &id).await;
    world.delete(&id, "").await.unwrap();
    let metadata = assert_error(&slow.end().await.unwrap_err(), Code::Aborted, "UPLOAD_LOST");
    assert_eq!(metadata["image_id"], id);
    is_empty(&world).await;
}

async fn an_image_that_is_deleted_at_any_moment_leaves_no_data(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    // Several at once, so that the moments differ.
    at_once(8, |_| {
        let (world, http) = (world.clone(), http.clone());
        async move {
            for _ in 0..12 {
                let id = http.queued().await;
                let delete = async {
                    while status(&world, &id).await == Status::Queued {}
                    http.delete(&image_path(&id)).await.is(204)
                };
                let (uploaded, _) = tokio::join!(http.upload(&id, "hello"), delete);
                assert!([204, 410].contains(&uploaded.status), "{}", uploaded.text());
            }
        }
    })
    .await;
    is_empty(&world).await;
}

async fn an_upload_that_was_given_up_does_not_come_back(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let lost = Slow::begin(&world, &http, &id).await;
    // An operator ends the upload by hand, and somebody else starts a new one.
    world.update(Image { status: Status::Queued.into(), ..change_of(&id) }, &["status"]).await.unwrap();
    http.upload(&id, "hello").await.is(204);
    lost.end().await.error(410, "UPLOAD_LOST");
    assert_eq!(http.download(&id).await.is(200).text(), "hello");
    crate::support::soon("the lost data go", async || (world.data().len() == 1).then_some(())).await;
}

async fn an_image_that_is_made_active_meanwhile_promises_no_data(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let slow = Slow::begin(&world, &http, &id).await;
    let active = Image { status: Status::Active.into(), size: Some(5), ..change_of(&id) };
    let made = world.update(active, &["status", "size"]).await;
    let uploaded = slow.end().await.status;
    // Either one of them is refused, or the data is stored elsewhere; it is never lost.
    let expected = if made.is_ok() { (410, 204) } else { (204, 200) };
    assert_eq!((uploaded, http.download(&id).await.status), expected);
}

async fn what_changes_meanwhile_stays(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let slow = Slow::begin(&world, &http, &id).await;
    http.set(&id, "k", json!("v")).await.is(200);
    http.set(&id, "name", json!("other")).await.is(200);
    let metadata = http.set(&id, "disk_format", json!("iso")).await.error(403, "ATTRIBUTE_LOCKED");
    assert_eq!(metadata["status"], "SAVING");
    http.download(&id).await.is(204);
    http.call("POST", &format!("/v2/images/{id}/actions/deactivate"))
        .send()
        .await
        .error(403, "ILLEGAL_STATUS_MOVE");
    assert_eq!(status(&world, &id).await, Status::Saving);
    slow.end().await.is(204);
    let image = http.show(&id).await;
    assert_eq!(
        (&image["k"], &image["name"], &image["status"]),
        (&json!("v"), &json!("other"), &json!("active"))
    );
    assert_eq!(http.download(&id).await.is(200).text(), "beginning ");
}

async fn a_download_that_has_begun_ends_well(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let data = bytes(8 * MIB);
    http.upload(&id, data.clone()).await.is(204);
    let answer = http.call("GET", &format!("/v2/images/{id}/file")).begin().await;
    http.delete(&image_path(&id)).await.is(204);
    http.download(&id).await.error(404, "IMAGE_NOT_FOUND");
    let read = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    assert!(read == data, "{} bytes", read.len());
}

/// A process that gives an upload up may not know yet that it is complete.
async fn complete_data_are_not_given_up(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let (complete, begun) = (http.queued().await, http.queued().await);
    http.upload(&complete, "hello").await.is(204);
    let slow = Slow::begin(&world, &http, &begun).await;
    let db = open(&world.db).await;
    let store = Store::new(db.clone(), 0);
    for (data, state) in rows::<(Id, String)>(&db, "SELECT id, state FROM image_data").await {
        assert_eq!(store.discard(data).await.unwrap(), state == "uploading");
    }
    slow.end().await.error(410, "UPLOAD_LOST");
    assert_eq!(http.download(&complete).await.is(200).text(), "hello");
}

async fn a_download_beside_a_delete_is_whole_or_not_found(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    for _ in 0..20 {
        let id = http.queued().await;
        http.upload(&id, "hello").await.is(204);
        let download = async |_| {
            let answer = http.download(&id).await;
            if answer.status == 404 { "hello".to_owned() } else { answer.is(200).text() }
        };
        let (http, path) = (http.clone(), image_path(&id));
        let (deleted, read) = tokio::join!(http.delete(&path), join_all((0..16).map(download)));
        deleted.is(204);
        assert!(read.iter().all(|text| text == "hello"), "{read:?}");
    }
}
