//! Tags, one at a time.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{Answer, Http, Who, World, at_once, id_of};

on_both_databases!(
    a_tag_is_added_once_and_removed_once,
    a_tag_may_be_any_text,
    refuses_what_is_no_tag,
    only_its_owner_and_operators_tag_an_image,
    tags_added_at_once_all_survive,
    the_quota_holds_against_many,
);

async fn call(http: &Http, method: &str, id: &str, tag: &str) -> Answer {
    http.call(method, &format!("/v2/images/{id}/tags/{tag}")).send().await
}

async fn a_tag_is_added_once_and_removed_once(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    for _ in 0..2 {
        call(&http, "PUT", &id, "b").await.is(204);
    }
    call(&http, "PUT", &id, "a").await.is(204);
    assert_eq!(http.show(&id).await["tags"], json!(["a", "b"]));
    assert_eq!(world.get(&id).await.unwrap().revision, 3, "the second time is no change");
    call(&http, "DELETE", &id, "a").await.is(204);
    let metadata = call(&http, "DELETE", &id, "a").await.error(404, "TAG_NOT_FOUND");
    assert_eq!(metadata, json!({"image_id": id, "tag": "a"}));
    assert_eq!(http.show(&id).await["tags"], json!(["b"]));
    for method in ["PUT", "DELETE"] {
        call(&http, method, "00000000-0000-4000-8000-000000000000", "a").await.error(404, "IMAGE_NOT_FOUND");
    }
}

async fn a_tag_may_be_any_text(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let longest = "x".repeat(255);
    for (path, tag) in [
        ("a%2Fb", "a/b"),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("%25", "%"),
        ("%C3%A9", "é"),
        ("%F0%9F%A6%80", "🦀"),
        ("a,b", "a,b"),
        (longest.as_str(), longest.as_str()),
    ] {
        call(&http, "PUT", &id, path).await.is(204);
        assert_eq!(http.show(&id).await["tags"], json!([tag]));
        call(&http, "DELETE", &id, path).await.is(204);
    }
}

async fn refuses_what_is_no_tag(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    for (tag, part) in [
        ("%20", "must not be empty"),
        ("a%0Ab", "must not contain control characters"),
        ("%00", "must not contain control characters"),
        (&*"x".repeat(256), "has 256 characters"),
    ] {
        call(&http, "PUT", &id, tag).await.violation("tag", part);
    }
    call(&http, "PUT", &id, "").await.error(404, "METHOD_NOT_FOUND");
    call(&http, "PUT", &id, "%FF").await.is(400);
    assert_eq!(http.show(&id).await["tags"], json!([]));
}

async fn only_its_owner_and_operators_tag_an_image(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    world.share(&id).await;
    for method in ["PUT", "DELETE"] {
        for (who, status) in
            [(Who::STRANGER, 404), (Who::READER, 403), (Who::ACCEPTED, 403), (Who::ADMIN, 204)]
        {
            call(&world.http(who), method, &id, "t").await.is(status);
        }
    }
}

async fn tags_added_at_once_all_survive(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    at_once(40, |number| {
        let (http, id) = (http.clone(), id.clone());
        async move { call(&http, "PUT", &id, &format!("t{:02}", number / 2)).await.is(204) }
    })
    .await;
    let expected: Vec<_> = (0..20).map(|number| format!("t{number:02}")).collect();
    assert_eq!(http.show(&id).await["tags"], json!(expected));
    assert_eq!(world.get(&id).await.unwrap().revision, 21);
}

async fn the_quota_holds_against_many(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let tags: Vec<_> = (0..120).map(|number| format!("t{number}")).collect();
    let id = id_of(&http.create(json!({"tags": tags})).await);
    let outcomes = at_once(20, |number| {
        let (http, id) = (http.clone(), id.clone());
        async move { call(&http, "PUT", &id, &format!("new{number}")).await.status }
    });
    let outcomes = outcomes.await;
    assert_eq!(outcomes.iter().filter(|status| **status == 204).count(), 8);
    assert_eq!(outcomes.iter().filter(|status| **status == 413).count(), 12);
    assert_eq!(http.show(&id).await["tags"].as_array().unwrap().len(), 128);
}
