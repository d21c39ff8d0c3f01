//! One image as it is shown.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{Who, World, id_of};

on_both_databases!(
    shows_what_is_there_now,
    the_id_may_be_in_upper_case,
    a_copy_that_is_current_is_not_sent_again,
    the_etag_is_that_of_grpc,
    what_is_not_there_is_not_found,
    times_are_shown_to_the_second,
);

async fn shows_what_is_there_now(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let created = http.create(json!({"name": "cirros", "k": "v", "l": "w", "tags": ["z", "a"]})).await;
    let id = id_of(&created);
    assert_eq!(http.show(&id).await, created);
    let changed = http.set(&id, "k", json!("x")).await.is(200).json();
    assert_eq!(
        (&changed["k"], &changed["l"], &changed["tags"]),
        (&json!("x"), &json!("w"), &json!(["a", "z"]))
    );
    assert_eq!(http.show(&id).await, changed);
}

async fn the_id_may_be_in_upper_case(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    assert_eq!(http.show(&id.to_uppercase()).await["id"], id);
}

async fn a_copy_that_is_current_is_not_sent_again(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let path = format!("/v2/images/{}", http.queued().await);
    let etag = http.get(&path).await.header("etag").to_owned();
    let get = async |known: &str| http.call("GET", &path).header("if-none-match", known).send().await;
    for known in [etag.clone(), format!("\"x\", {etag}"), "*".to_owned()] {
        let answer = get(&known).await.is(304);
        assert_eq!((answer.header("etag"), answer.body.len()), (etag.as_str(), 0), "{known}");
    }
    get("\"x\"").await.is(200);
    http.set(path.rsplit('/').next().unwrap(), "k", json!("v")).await.is(200);
    assert_ne!(get(&etag).await.is(200).header("etag"), etag);
}

async fn the_etag_is_that_of_grpc(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let image = world.get(&id).await.unwrap();
    let answer = http.get(&format!("/v2/images/{id}")).await;
    assert_eq!(answer.header("etag"), format!("\"{}\"", image.etag));
    let updated = world.set(&id, &[("k", "v")]).await.unwrap();
    let answer = http.get(&format!("/v2/images/{id}")).await;
    assert_eq!(answer.header("etag"), format!("\"{}\"", updated.etag));
}

async fn what_is_not_there_is_not_found(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let deleted = http.queued().await;
    http.delete(&format!("/v2/images/{deleted}")).await.is(204);
    for id in [deleted.as_str(), "00000000-0000-4000-8000-000000000000"] {
        let metadata = http.get(&format!("/v2/images/{id}")).await.error(404, "IMAGE_NOT_FOUND");
        assert_eq!(metadata["image_id"], id);
    }
    let long = "x".repeat(1000);
    let metadata = http.get(&format!("/v2/images/{long}")).await.error(404, "IMAGE_NOT_FOUND");
    assert!(metadata["image_id"].as_str().unwrap().len() <= 100);
}

async fn times_are_shown_to_the_second(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let image = http.create(json!({"name": "cirros"})).await;
    for name in ["created_at", "updated_at"] {
        let time = image[name].as_str().unwrap();
        chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%SZ").unwrap();
    }
}
