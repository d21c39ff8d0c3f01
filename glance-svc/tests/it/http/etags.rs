//! `If-Match`: a change of what the caller has seen, or none.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{Answer, Http, V21, Who, World, at_once, image_path};

on_both_databases!(
    a_stale_etag_changes_nothing,
    one_of_several_etags_will_do,
    any_image_will_do,
    a_weak_etag_is_none_of_ours,
    a_stale_etag_is_told_before_what_is_wrong_with_the_change,
    one_of_many_changes_with_the_same_etag_wins,
    an_etag_of_grpc_counts_over_http,
    an_etag_says_nothing_to_those_who_must_not_see,
);

async fn patch(http: &Http, id: &str, etag: &str, value: &str) -> Answer {
    let body = json!([{"op": "add", "path": "/k", "value": value}]).to_string();
    let call = http.call("PATCH", &image_path(id)).header("content-type", V21).header("if-match", etag);
    call.text(&body).send().await
}

async fn etag(http: &Http, id: &str) -> String {
    http.get(&image_path(id)).await.is(200).header("etag").to_owned()
}

async fn a_stale_etag_changes_nothing(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let first = etag(&http, &id).await;
    let second = patch(&http, &id, &first, "1").await.is(200).header("etag").to_owned();
    assert_ne!(first, second);
    let before = http.show(&id).await;
    let metadata = patch(&http, &id, &first, "2").await.error(412, "STALE_ETAG");
    assert_eq!(metadata["etag"], second.trim_matches('"'));
    assert_eq!(metadata["given_etag"], first.trim_matches('"'));
    assert_eq!(http.show(&id).await, before);
    assert_eq!(world.revisions(&id).await.len(), 2);
    patch(&http, &id, &second, "3").await.is(200);
}

async fn one_of_several_etags_will_do(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let current = etag(&http, &id).await;
    let current =
        patch(&http, &id, &format!("\"a\",{current} , \"b\""), "1").await.is(200).header("etag").to_owned();
    patch(&http, &id, "\"a\", \"b\"", "2").await.error(412, "STALE_ETAG");
    patch(&http, &id, &format!("  {current}  "), "2").await.is(200);
    // Without quotes, as some clients send it.
    let bare = etag(&http, &id).await.trim_matches('"').to_owned();
    patch(&http, &id, &bare, "3").await.is(200);
}

async fn any_image_will_do(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    for value in ["1", "2"] {
        assert_eq!(patch(&http, &id, "*", value).await.is(200).json()["k"], value);
    }
    patch(&http, "00000000-0000-4000-8000-000000000000", "*", "v").await.error(404, "IMAGE_NOT_FOUND");
}

async fn a_weak_etag_is_none_of_ours(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let current = etag(&http, &id).await;
    for given in [format!("W/{current}"), "\"\"".to_owned(), "nonsense".to_owned(), "é".to_owned()] {
        patch(&http, &id, &given, "v").await.error(412, "STALE_ETAG");
    }
    assert_eq!(http.show(&id).await.get("k"), None);
}

async fn a_stale_etag_is_told_before_what_is_wrong_with_the_change(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let body = json!([{"op": "remove", "path": "/none"}]).to_string();
    for (etag, status) in [("\"stale\"", 412), ("*", 409)] {
        let call = http.call("PATCH", &image_path(&id)).header("content-type", V21).header("if-match", etag);
        call.text(&body).send().await.is(status);
    }
}

async fn one_of_many_changes_with_the_same_etag_wins(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let seen = etag(&http, &id).await;
    let outcomes = at_once(32, |number| {
        let (http, id, seen) = (http.clone(), id.clone(), seen.clone());
        async move { patch(&http, &id, &seen, &number.to_string()).await }
    });
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.await.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    for answer in lost {
        answer.error(412, "STALE_ETAG");
    }
    assert_eq!(http.show(&id).await["k"], won[0].json()["k"]);
    assert_eq!(world.get(&id).await.unwrap().revision, 2);
}

async fn an_etag_of_grpc_counts_over_http(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let image = world.get(&http.queued().await).await.unwrap();
    patch(&http, &image.id, &format!("\"{}\"", image.etag), "v").await.is(200);
    let stale = world.delete(&image.id, &image.etag).await.unwrap_err();
    assert_eq!(stale.code(), tonic::Code::Aborted);
    let current = etag(&http, &image.id).await;
    world.delete(&image.id, current.trim_matches('"')).await.unwrap();
}

async fn an_etag_says_nothing_to_those_who_must_not_see(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    patch(&world.http(Who::STRANGER), &id, "\"stale\"", "v").await.error(404, "IMAGE_NOT_FOUND");
    patch(&world.http(Who::READER), &id, "\"stale\"", "v").await.error(403, "NOT_PERMITTED");
}
