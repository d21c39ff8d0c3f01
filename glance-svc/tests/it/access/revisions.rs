//! Earlier revisions: for those who see the image now and saw it then; history: for those who manage it.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{GetImageRequest, ListImageRevisionsRequest};
use serde_json::json;

use crate::support::{DONE, Who, World, image_path, over_grpc};

on_both_databases!(
    what_was_private_then_is_not_shown_to_strangers_now,
    what_is_private_now_is_not_shown_as_it_was,
    what_belonged_to_others_then_is_theirs,
    the_past_of_a_deleted_image_is_for_those_who_managed_it,
    a_member_sees_nothing_from_before_the_image_was_shared_with_it,
    a_new_owner_is_not_told_what_was_before,
    a_former_owner_sees_nothing_after_the_deletion,
);

pub(super) async fn at(world: &World, who: Who, id: &str, revision: i64) -> String {
    over_grpc(world.grpc(who).get_image(GetImageRequest { id: id.to_owned(), revision }).await)
}

async fn history(world: &World, who: Who, id: &str) -> String {
    let request = ListImageRevisionsRequest { image_id: id.to_owned(), ..Default::default() };
    over_grpc(world.grpc(who).list_image_revisions(request).await)
}

async fn what_was_private_then_is_not_shown_to_strangers_now(db: TestDb) {
    let world = World::start(db).await;
    let (owner, admin) = (world.http(Who::OWNER), world.http(Who::ADMIN));
    let secret = owner.create(json!({"name": "cirros", "visibility": "private", "password": "secret"})).await;
    let id = crate::support::id_of(&secret);
    // Revision 2 has no secret any more, revision 3 is public.
    owner.patch(&id, json!([{"op": "remove", "path": "/password"}])).await.is(200);
    admin.set(&id, "visibility", json!("public")).await.is(200);
    for who in [Who::STRANGER, Who::ACCEPTED, Who::new("x", "", "member")] {
        assert_eq!(at(&world, who, &id, 3).await, DONE);
        for revision in [1, 2] {
            assert_eq!(at(&world, who, &id, revision).await, "IMAGE_NOT_FOUND", "{revision} by {who:?}");
        }
        assert_eq!(history(&world, who, &id).await, "NOT_PERMITTED");
    }
    for who in [Who::OWNER, Who::READER, Who::ADMIN, Who::NOBODY] {
        assert_eq!(at(&world, who, &id, 1).await, DONE, "{who:?}");
        assert_eq!(history(&world, who, &id).await, DONE, "{who:?}");
    }
}

async fn what_is_private_now_is_not_shown_as_it_was(db: TestDb) {
    let world = World::start(db).await;
    let owner = world.http(Who::OWNER);
    let id = crate::support::id_of(&owner.create(json!({"name": "cirros", "visibility": "community"})).await);
    assert_eq!(at(&world, Who::STRANGER, &id, 1).await, DONE);
    owner.set(&id, "visibility", json!("private")).await.is(200);
    for revision in [1, 2] {
        assert_eq!(at(&world, Who::STRANGER, &id, revision).await, "IMAGE_NOT_FOUND");
    }
    assert_eq!(history(&world, Who::STRANGER, &id).await, "IMAGE_NOT_FOUND");
    // Only callers who see the image learn that there is no such revision.
    let missing = world.grpc(Who::OWNER).get_image(GetImageRequest { id: id.clone(), revision: 9 }).await;
    crate::support::assert_error(&missing.unwrap_err(), tonic::Code::NotFound, "IMAGE_REVISION_NOT_FOUND");
    assert_eq!(at(&world, Who::STRANGER, &id, 9).await, "IMAGE_NOT_FOUND");
}

async fn what_belonged_to_others_then_is_theirs(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    world.http(Who::ADMIN).set(&id, "owner", json!("stranger")).await.is(200);
    assert_eq!(at(&world, Who::STRANGER, &id, 2).await, DONE);
    assert_eq!(at(&world, Who::STRANGER, &id, 1).await, "IMAGE_NOT_FOUND", "it was not its image then");
    for revision in [1, 2] {
        assert_eq!(at(&world, Who::OWNER, &id, revision).await, "IMAGE_NOT_FOUND", "it is not its image now");
    }
}

async fn a_member_sees_nothing_from_before_the_image_was_shared_with_it(db: TestDb) {
    let world = World::start(db).await;
    let owner = world.http(Who::OWNER);
    let id = crate::support::id_of(&owner.create(json!({"name": "cirros", "password": "secret"})).await);
    owner.patch(&id, json!([{"op": "remove", "path": "/password"}])).await.is(200);
    world.share(&id).await;
    owner.set(&id, "k", json!("v")).await.is(200);
    for who in [Who::PENDING, Who::ACCEPTED, Who::REJECTED] {
        let shown =
            [at(&world, who, &id, 1).await, at(&world, who, &id, 2).await, at(&world, who, &id, 3).await];
        assert_eq!(shown, ["IMAGE_NOT_FOUND", DONE, DONE], "{who:?}");
    }
    // A member that was removed and added again sees it from then on.
    let members = format!("{}/members", image_path(&id));
    owner.delete(&format!("{members}/accepted")).await.is(204);
    assert_eq!(at(&world, Who::ACCEPTED, &id, 3).await, "IMAGE_NOT_FOUND");
    owner.post(&members, json!({"member": "accepted"})).await.is(200);
    assert_eq!(at(&world, Who::ACCEPTED, &id, 3).await, DONE);
    assert_eq!(at(&world, Who::ACCEPTED, &id, 2).await, "IMAGE_NOT_FOUND");
    assert_eq!(at(&world, Who::PENDING, &id, 2).await, DONE);
}

async fn a_new_owner_is_not_told_what_was_before(db: TestDb) {
    let world = World::start(db).await;
    let owner = world.http(Who::OWNER);
    let id = crate::support::id_of(&owner.create(json!({"name": "cirros", "password": "secret"})).await);
    owner.patch(&id, json!([{"op": "remove", "path": "/password"}])).await.is(200);
    let give = json!([{"op": "replace", "path": "/owner", "value": "stranger"},
                      {"op": "replace", "path": "/name", "value": "given"}]);
    world.http(Who::ADMIN).patch(&id, give).await.is(200);
    world.http(Who::STRANGER).set(&id, "k", json!("v")).await.is(200);
    let told = |who: Who| {
        let mut client = world.grpc(who);
        let request = ListImageRevisionsRequest { image_id: id.clone(), ..Default::default() };
        async move { client.list_image_revisions(request).await.unwrap().into_inner().revisions }
    };
    let all = told(Who::ADMIN).await;
    assert_eq!(all.len(), 4);
    let mut expected = all[..2].to_vec();
    for change in &mut expected[1].changes {
        change.old_value = None;
    }
    assert_eq!(told(Who::STRANGER).await, expected);
    assert_eq!(history(&world, Who::OWNER, &id).await, "IMAGE_NOT_FOUND");
}

async fn a_former_owner_sees_nothing_after_the_deletion(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    world.http(Who::ADMIN).set(&id, "owner", json!("stranger")).await.is(200);
    world.http(Who::STRANGER).delete(&image_path(&id)).await.is(204);
    for revision in 1..=3 {
        assert_eq!(at(&world, Who::OWNER, &id, revision).await, "IMAGE_NOT_FOUND");
        let expected = if revision == 1 { "IMAGE_NOT_FOUND" } else { DONE };
        assert_eq!(at(&world, Who::STRANGER, &id, revision).await, expected, "{revision}");
        assert_eq!(at(&world, Who::ADMIN, &id, revision).await, DONE);
    }
    assert_eq!(history(&world, Who::OWNER, &id).await, "IMAGE_NOT_FOUND");
    assert_eq!(history(&world, Who::STRANGER, &id).await, DONE);
}

async fn the_past_of_a_deleted_image_is_for_those_who_managed_it(db: TestDb) {
    let world = World::start(db).await;
    let owner = world.http(Who::OWNER);
    let id = crate::support::id_of(&owner.create(json!({"name": "cirros", "visibility": "community"})).await);
    owner.delete(&image_path(&id)).await.is(204);
    for (who, expected) in [
        (Who::OWNER, DONE),
        (Who::READER, DONE),
        (Who::ADMIN, DONE),
        (Who::STRANGER, "IMAGE_NOT_FOUND"),
        (Who::new("x", "", "member"), "IMAGE_NOT_FOUND"),
    ] {
        assert_eq!(at(&world, who, &id, 1).await, expected, "{who:?}");
        assert_eq!(history(&world, who, &id).await, expected, "{who:?}");
    }
    assert_eq!(history(&world, Who::OWNER, "00000000-0000-4000-8000-000000000000").await, "IMAGE_NOT_FOUND");
}
