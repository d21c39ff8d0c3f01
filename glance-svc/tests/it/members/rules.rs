//! What becomes of members.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use super::{Accept, Add, Get, Remove, act, shown};
use crate::support::{DONE, EDGES, Edge, Who, World, at_once, image_path};

on_both_databases!(
    a_member_answers_as_often_as_it_likes,
    who_does_not_manage_the_image_sees_itself_alone,
    an_owner_does_not_answer_to_a_share_with_itself,
    an_image_has_at_most_128_members,
    the_quota_holds_against_many,
    of_many_that_add_the_same_member_one_wins,
    members_go_with_their_image,
    sharing_is_no_revision_of_the_image,
);

async fn a_member_answers_as_often_as_it_likes(db: TestDb) {
    let world = World::start(db).await;
    let owner = world.http(Who::OWNER);
    let id = owner.queued().await;
    let members = format!("/v2/images/{id}/members");
    let added = owner.post(&members, json!({"member": "accepted"})).await.is(200).json();
    let (created, member) = (added["created_at"].clone(), world.http(Who::ACCEPTED));
    for status in ["accepted", "rejected", "pending", "accepted", "accepted"] {
        let answer =
            member.put(&format!("{members}/accepted"), json!({"status": status})).await.is(200).json();
        assert_eq!((&answer["status"], &answer["created_at"]), (&json!(status), &created));
        assert!(answer["updated_at"].as_str() >= created.as_str());
        assert_eq!(shown(&world, Edge::Grpc, Who::OWNER, &id).await, [format!("accepted {status}")]);
        assert_eq!(member.list("").await.len(), usize::from(status == "accepted"));
        member.get(&image_path(&id)).await.is(200);
    }
}

async fn who_does_not_manage_the_image_sees_itself_alone(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    world.share(&id).await;
    let all = ["pending pending", "accepted accepted", "rejected rejected"];
    for edge in EDGES {
        for who in [Who::OWNER, Who::READER, Who::ADMIN] {
            assert_eq!(shown(&world, edge, who, &id).await, all, "{who:?}");
        }
        for (index, who) in [Who::PENDING, Who::ACCEPTED, Who::REJECTED].into_iter().enumerate() {
            assert_eq!(shown(&world, edge, who, &id).await, [all[index]], "{who:?}");
        }
    }
}

async fn an_owner_does_not_answer_to_a_share_with_itself(db: TestDb) {
    let world = World::start(db).await;
    let owner = world.http(Who::OWNER);
    let id = owner.queued().await;
    let members = format!("/v2/images/{id}/members");
    owner.post(&members, json!({"member": "owner"})).await.is(200);
    let accepted = json!({"status": "accepted"});
    owner.put(&format!("{members}/owner"), accepted.clone()).await.error(403, "NOT_PERMITTED");
    assert_eq!(shown(&world, Edge::Grpc, Who::OWNER, &id).await, ["owner pending"]);
    world.http(Who::ADMIN).put(&format!("{members}/owner"), accepted).await.is(200);
}

async fn an_image_has_at_most_128_members(db: TestDb) {
    let world = World::start(db).await;
    let owner = world.http(Who::OWNER);
    let id = owner.queued().await;
    let members = format!("/v2/images/{id}/members");
    for number in 0..127 {
        owner.post(&members, json!({"member": format!("p{number:03}")})).await.is(200);
    }
    assert_eq!(act(&world, Edge::Grpc, Who::OWNER, Add("last"), &id).await, DONE);
    for edge in EDGES {
        assert_eq!(act(&world, edge, Who::OWNER, Add("other"), &id).await, "IMAGE_QUOTA_EXCEEDED");
        assert_eq!(act(&world, edge, Who::OWNER, Add("last"), &id).await, "MEMBER_EXISTS");
        assert_eq!(shown(&world, edge, Who::OWNER, &id).await.len(), 128);
    }
    let metadata = owner.post(&members, json!({"member": "other"})).await.error(413, "IMAGE_QUOTA_EXCEEDED");
    assert_eq!(metadata, json!({"resource": "members", "attempted": "129", "maximum": "128"}));
    assert_eq!(act(&world, Edge::Http, Who::OWNER, Remove("last"), &id).await, DONE);
    assert_eq!(act(&world, Edge::Http, Who::OWNER, Add("other"), &id).await, DONE);
}

async fn the_quota_holds_against_many(db: TestDb) {
    let world = World::start(db).await;
    let owner = world.http(Who::OWNER);
    let id = owner.queued().await;
    let outcomes = at_once(140, |number| {
        let (owner, path) = (owner.clone(), format!("/v2/images/{id}/members"));
        async move { owner.post(&path, json!({"member": format!("p{number}")})).await.status }
    });
    let outcomes = outcomes.await;
    assert_eq!(outcomes.iter().filter(|status| **status == 200).count(), 128);
    assert_eq!(outcomes.iter().filter(|status| **status == 413).count(), 12);
    assert_eq!(shown(&world, Edge::Http, Who::OWNER, &id).await.len(), 128);
}

async fn of_many_that_add_the_same_member_one_wins(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    let outcomes = at_once(16, |number| {
        let (world, id) = (world.clone(), id.clone());
        async move { act(&world, EDGES[number % 2], Who::OWNER, Add("p"), &id).await }
    });
    let mut outcomes = outcomes.await;
    outcomes.sort_unstable();
    assert_eq!(
        (outcomes[0].as_str(), &outcomes[1..]),
        (DONE, &[const { "MEMBER_EXISTS" }; 15].map(str::to_owned)[..])
    );
}

async fn members_go_with_their_image(db: TestDb) {
    let world = World::start(db).await;
    let owner = world.http(Who::OWNER);
    let id = owner.queued().await;
    world.share(&id).await;
    owner.delete(&image_path(&id)).await.is(204);
    for edge in EDGES {
        for who in [Who::OWNER, Who::ADMIN, Who::ACCEPTED] {
            for operation in [Get("accepted"), Accept("accepted"), Remove("accepted"), Add("other")] {
                assert_eq!(
                    act(&world, edge, who, operation, &id).await,
                    "IMAGE_NOT_FOUND",
                    "{operation:?} {who:?}"
                );
            }
        }
    }
    let rows: Vec<(i64,)> =
        crate::schema::rows(&crate::schema::open(&world.db).await, "SELECT COUNT(*) FROM image_members")
            .await;
    assert_eq!(rows, [(0,)]);
}

async fn sharing_is_no_revision_of_the_image(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    let before = world.get(&id).await.unwrap();
    world.share(&id).await;
    assert_eq!(world.get(&id).await.unwrap(), before);
    assert_eq!(world.revisions(&id).await.len(), 1);
}
