//! Deleting an image.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{Who, World, image_path};

on_both_databases!(
    what_is_deleted_is_gone_for_everybody,
    a_protected_image_is_not_deleted,
    an_etag_must_be_current,
    only_its_owner_and_operators_delete_it,
    an_image_in_any_status_is_deleted,
    of_many_deletions_at_once_one_succeeds,
);

async fn what_is_deleted_is_gone_for_everybody(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    world.share(&id).await;
    let answer = http.delete(&image_path(&id)).await.is(204);
    assert_eq!(answer.body.len(), 0);
    for who in [Who::OWNER, Who::ACCEPTED, Who::ADMIN, Who::NOBODY] {
        let http = world.http(who);
        for path in ["", "/file", "/members", "/members/accepted"] {
            http.get(&format!("{}{path}", image_path(&id))).await.error(404, "IMAGE_NOT_FOUND");
        }
        http.delete(&image_path(&id)).await.error(404, "IMAGE_NOT_FOUND");
        http.set(&id, "k", json!("v")).await.error(404, "IMAGE_NOT_FOUND");
        http.upload(&id, "data").await.error(404, "IMAGE_NOT_FOUND");
        assert!(http.list("visibility=all&member_status=all").await.is_empty());
    }
}

async fn a_protected_image_is_not_deleted(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    http.set(&id, "protected", json!(true)).await.is(200);
    for who in [Who::OWNER, Who::ADMIN] {
        world.http(who).delete(&image_path(&id)).await.error(403, "IMAGE_PROTECTED");
    }
    // Callers who must not see it learn nothing of it.
    world.http(Who::STRANGER).delete(&image_path(&id)).await.error(404, "IMAGE_NOT_FOUND");
    http.set(&id, "protected", json!(false)).await.is(200);
    http.delete(&image_path(&id)).await.is(204);
}

async fn an_etag_must_be_current(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let stale = http.get(&image_path(&id)).await.header("etag").to_owned();
    let current = http.set(&id, "k", json!("v")).await.is(200).header("etag").to_owned();
    let delete =
        async |etag: &str| http.call("DELETE", &image_path(&id)).header("if-match", etag).send().await;
    for refused in [stale.as_str(), "\"nonsense\"", &format!("W/{current}")] {
        let metadata = delete(refused).await.error(412, "STALE_ETAG");
        assert_eq!(metadata["etag"], current.trim_matches('"'), "{refused}");
    }
    http.show(&id).await;
    delete(&format!("{stale}, {current}")).await.is(204);
    delete("*").await.error(404, "IMAGE_NOT_FOUND");
}

async fn only_its_owner_and_operators_delete_it(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    world.share(&id).await;
    for (who, status) in [(Who::STRANGER, 404), (Who::READER, 403), (Who::ACCEPTED, 403), (Who::PENDING, 403)]
    {
        world.http(who).delete(&image_path(&id)).await.is(status);
    }
    world.http(Who::ADMIN).delete(&image_path(&id)).await.is(204);
    let id = http.queued().await;
    world.http(Who::NOBODY).delete(&image_path(&id)).await.is(204);
}

async fn an_image_in_any_status_is_deleted(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    for status in ["queued", "active", "deactivated"] {
        let id = http.queued().await;
        if status != "queued" {
            http.upload(&id, "hello").await.is(204);
        }
        if status == "deactivated" {
            http.call("POST", &format!("{}/actions/deactivate", image_path(&id))).send().await.is(204);
        }
        assert_eq!(http.show(&id).await["status"], status);
        http.delete(&image_path(&id)).await.is(204);
        assert!(world.data().is_empty(), "{status}");
    }
}

async fn of_many_deletions_at_once_one_succeeds(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let outcomes = crate::support::at_once(16, |_| {
        let (http, id) = (http.clone(), id.clone());
        async move { http.delete(&image_path(&id)).await.status }
    });
    let mut outcomes = outcomes.await;
    outcomes.sort_unstable();
    assert_eq!((outcomes[0], &outcomes[1..]), (204, &[404; 15][..]));
}
