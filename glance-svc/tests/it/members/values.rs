//! What a member looks like, and what cannot be one.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{
    CreateImageMemberRequest, GetImageMemberRequest, ListImageMembersRequest, UpdateImageMemberRequest,
    image_member::Status,
};
use serde_json::{Value, json};

use crate::{
    database::execute,
    schema::open,
    support::{Who, World, assert_violation, fields},
};

on_both_databases!(
    shows_a_member,
    the_time_of_a_member_does_not_go_back,
    both_edges_show_the_same_member,
    a_project_may_have_any_name,
    refuses_what_is_no_member,
    refuses_what_is_no_status,
    refuses_over_grpc_what_names_nothing,
);

async fn the_time_of_a_member_does_not_go_back(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let members = format!("/v2/images/{id}/members");
    http.post(&members, json!({"member": Who::PENDING.project})).await.is(200);
    // Another machine changed it last, whose clock is far ahead.
    let later = "UPDATE image_members SET update_time = '2100-01-01T00:00:00+00:00'";
    execute(&open(&world.db).await, later).await;
    let member = format!("{members}/{}", Who::PENDING.project);
    let accepted = world.http(Who::PENDING).put(&member, json!({"status": "accepted"})).await.is(200).json();
    assert_eq!(
        (&accepted["status"], &accepted["updated_at"]),
        (&json!("accepted"), &json!("2100-01-01T00:00:00Z"))
    );
}

async fn shows_a_member(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let members = format!("/v2/images/{id}/members");
    let mut list = http.get(&members).await.is(200).json();
    assert_eq!(list, json!({"members": [], "schema": "/v2/schemas/members"}));
    let member = http.post(&members, json!({"member": "p"})).await.is(200).json();
    let time = member["created_at"].clone();
    let expected = json!({
        "image_id": id, "member_id": "p", "status": "pending", "created_at": time, "updated_at": time,
        "schema": "/v2/schemas/member",
    });
    assert_eq!(member, expected);
    assert_eq!(time.as_str().unwrap().len(), 20);
    assert_eq!(http.get(&format!("{members}/p")).await.is(200).json(), member);
    list["members"] = json!([member]);
    assert_eq!(http.get(&members).await.is(200).json(), list);
    assert_eq!(http.delete(&format!("{members}/p")).await.is(204).body.len(), 0);
    http.get(&format!("{members}/p")).await.error(404, "MEMBER_NOT_FOUND");
}

async fn both_edges_show_the_same_member(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let request = CreateImageMemberRequest { image_id: id.clone(), member_id: "accepted".to_owned() };
    let added = world.grpc(Who::OWNER).create_image_member(request).await.unwrap().into_inner();
    assert_eq!((added.status(), &added.image_id), (Status::Pending, &id));
    let path = format!("/v2/images/{id}/members/accepted");
    assert_eq!(http.get(&path).await.is(200).json()["status"], "pending");
    world.http(Who::ACCEPTED).put(&path, json!({"status": "accepted"})).await.is(200);
    let request = GetImageMemberRequest { image_id: id, member_id: "accepted".to_owned() };
    let member = world.grpc(Who::OWNER).get_image_member(request).await.unwrap().into_inner();
    assert_eq!((member.status(), member.create_time), (Status::Accepted, added.create_time));
    let shown = http.get(&path).await.json();
    let seconds = member.update_time.unwrap().seconds;
    let time: chrono::DateTime<chrono::Utc> = shown["updated_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(time.timestamp(), seconds);
}

async fn a_project_may_have_any_name(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let members = format!("/v2/images/{}/members", http.queued().await);
    let longest = "x".repeat(255);
    for (name, path) in [
        ("a/b", "a%2Fb"),
        ("a b", "a%20b"),
        ("é", "%C3%A9"),
        ("🦀", "%F0%9F%A6%80"),
        ("owner", "owner"),
        (&longest, &longest),
    ] {
        http.post(&members, json!({"member": name})).await.is(200);
        assert_eq!(http.get(&format!("{members}/{path}")).await.is(200).json()["member_id"], name);
    }
}

async fn refuses_what_is_no_member(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let members = format!("/v2/images/{}/members", http.queued().await);
    for body in [
        json!({}),
        json!({"member": ""}),
        json!({"member": null}),
        json!({"member": 1}),
        json!([]),
        json!("p"),
        json!({"member_id": "p"}),
    ] {
        http.post(&members, body).await.violation("member", "must be there, a string that is not empty");
    }
    for (member, part) in [
        (" ", "must not be empty"),
        ("a\nb", "must not contain control characters"),
        (&*"x".repeat(256), "has 256 characters"),
    ] {
        http.post(&members, json!({"member": member})).await.violation("member", part);
    }
    assert_eq!(http.get(&members).await.json()["members"], json!([]));
    for id in ["nonsense", "00000000-0000-4000-8000-000000000000"] {
        let members = format!("/v2/images/{id}/members");
        http.get(&members).await.error(404, "IMAGE_NOT_FOUND");
        http.post(&members, json!({"member": "p"})).await.error(404, "IMAGE_NOT_FOUND");
        http.delete(&format!("{members}/p")).await.error(404, "IMAGE_NOT_FOUND");
    }
}

async fn refuses_what_is_no_status(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    world.share(&id).await;
    let (http, path) = (world.http(Who::PENDING), format!("/v2/images/{id}/members/pending"));
    for status in [json!("nonsense"), json!("ACCEPTED"), json!("all")] {
        let refused = http.put(&path, json!({"status": status})).await;
        refused.violation("status", "must be pending, accepted or rejected");
    }
    for body in
        [json!({}), json!({"status": null}), json!({"status": 1}), json!([]), json!({"member": "pending"})]
    {
        http.put(&path, body).await.violation("status", "must be there");
    }
    assert_eq!(http.get(&path).await.json()["status"], "pending");
}

async fn refuses_over_grpc_what_names_nothing(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    let mut client = world.grpc(Who::OWNER);
    let member = |image: &str, member: &str| CreateImageMemberRequest {
        image_id: image.into(),
        member_id: member.into(),
    };
    for (image, project, expected) in [
        ("nonsense", "p", &["image_id"][..]),
        (&id, "", &["member_id"]),
        ("", " ", &["image_id", "member_id"]),
        (&id, "a\n", &["member_id"]),
    ] {
        let refused = client.create_image_member(member(image, project)).await.unwrap_err();
        assert_eq!(fields(&refused), expected);
    }
    let refused =
        client.list_image_members(ListImageMembersRequest { image_id: "x".into() }).await.unwrap_err();
    assert_violation(&refused, "image_id", "must be a UUID");
    for status in [0, 4, -1] {
        let request = UpdateImageMemberRequest { image_id: "x".into(), member_id: String::new(), status };
        let refused = client.update_image_member(request).await.unwrap_err();
        assert_eq!(fields(&refused), ["image_id", "member_id", "status"]);
    }
    assert_eq!(
        world.http(Who::OWNER).get(&format!("/v2/images/{id}/members")).await.json()["members"],
        Value::Array(vec![])
    );
}
