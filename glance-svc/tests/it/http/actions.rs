//! Deactivating and reactivating an image.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::image::Status;
use serde_json::json;

use crate::support::{Answer, Http, Who, World, image_path};

on_both_databases!(
    an_active_image_goes_there_and_back,
    doing_it_again_is_no_change,
    an_image_without_data_stays_as_it_is,
    only_its_owner_and_operators_do_it,
    grpc_sees_and_does_the_same,
);

async fn act(http: &Http, id: &str, action: &str) -> Answer {
    http.call("POST", &format!("{}/actions/{action}", image_path(id))).send().await
}

async fn active(http: &Http) -> String {
    let id = http.queued().await;
    http.upload(&id, "hello").await.is(204);
    id
}

async fn an_active_image_goes_there_and_back(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = active(&http).await;
    let before = http.show(&id).await;
    let answer = act(&http, &id, "deactivate").await.is(204);
    assert_eq!(answer.body.len(), 0);
    let shown = http.show(&id).await;
    assert_eq!((&shown["status"], &shown["checksum"]), (&json!("deactivated"), &before["checksum"]));
    assert_eq!(http.list("status=deactivated").await, ["cirros"]);
    // Only its data becomes unavailable.
    http.set(&id, "k", json!("v")).await.is(200);
    act(&http, &id, "reactivate").await.is(204);
    assert_eq!(http.show(&id).await["status"], "active");
    assert_eq!(http.download(&id).await.is(200).text(), "hello");
}

async fn doing_it_again_is_no_change(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = active(&http).await;
    let revision = world.get(&id).await.unwrap().revision;
    act(&http, &id, "reactivate").await.is(204);
    assert_eq!(world.get(&id).await.unwrap().revision, revision);
    for _ in 0..2 {
        act(&http, &id, "deactivate").await.is(204);
        assert_eq!(world.get(&id).await.unwrap().revision, revision + 1);
    }
}

async fn an_image_without_data_stays_as_it_is(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    for action in ["deactivate", "reactivate"] {
        let metadata = act(&http, &id, action).await.error(403, "ILLEGAL_STATUS_MOVE");
        assert_eq!(metadata["from"], "QUEUED");
        act(&http, "00000000-0000-4000-8000-000000000000", action).await.error(404, "IMAGE_NOT_FOUND");
    }
    assert_eq!(http.show(&id).await["status"], "queued");
    act(&http, &id, "nonsense").await.error(404, "METHOD_NOT_FOUND");
}

async fn only_its_owner_and_operators_do_it(db: TestDb) {
    let world = World::start(db).await;
    let id = active(&world.http(Who::OWNER)).await;
    world.share(&id).await;
    for action in ["deactivate", "reactivate"] {
        for (who, status) in [(Who::STRANGER, 404), (Who::READER, 403), (Who::ACCEPTED, 403)] {
            act(&world.http(who), &id, action).await.is(status);
        }
        act(&world.http(Who::ADMIN), &id, action).await.is(204);
    }
}

async fn grpc_sees_and_does_the_same(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = active(&http).await;
    act(&http, &id, "deactivate").await.is(204);
    let image = world.get(&id).await.unwrap();
    assert_eq!(image.status(), Status::Deactivated);
    let change = crate::support::change_of(&id);
    world
        .update(proto::glance::v1::Image { status: Status::Active.into(), ..change }, &["status"])
        .await
        .unwrap();
    assert_eq!(http.show(&id).await["status"], "active");
}
