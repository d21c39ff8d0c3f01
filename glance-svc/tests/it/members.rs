//! Sharing an image, over both edges.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{
    CreateImageMemberRequest, DeleteImageMemberRequest, GetImageMemberRequest, ListImageMembersRequest,
    UpdateImageMemberRequest, image_member::Status,
};
use serde_json::{Value, json};

use crate::support::{DONE, EDGES, Edge, Who, World, over_grpc, over_http};

mod rules;
mod values;

on_both_databases!(who_may_do_what_with_members, only_shared_images_have_members);

/// What is done with the members of an image.
#[derive(Debug, Clone, Copy)]
enum Operation {
    List,
    Get(&'static str),
    Add(&'static str),
    Accept(&'static str),
    Remove(&'static str),
}

use Operation::{Accept, Add, Get, List, Remove};

/// What comes of an operation.
async fn act(world: &World, edge: Edge, who: Who, operation: Operation, id: &str) -> String {
    let members = format!("/v2/images/{id}/members");
    let http = world.http(who);
    if edge == Edge::Grpc {
        return act_over_grpc(world, who, operation, id).await;
    }
    over_http(&match operation {
        List => http.get(&members).await,
        Get(member) => http.get(&format!("{members}/{member}")).await,
        Add(member) => http.post(&members, json!({"member": member})).await,
        Accept(member) => http.put(&format!("{members}/{member}"), json!({"status": "accepted"})).await,
        Remove(member) => http.delete(&format!("{members}/{member}")).await,
    })
}

async fn act_over_grpc(world: &World, who: Who, operation: Operation, id: &str) -> String {
    let mut client = world.grpc(who);
    let image_id = id.to_owned();
    match operation {
        List => over_grpc(client.list_image_members(ListImageMembersRequest { image_id }).await),
        Get(member) => {
            let member_id = member.to_owned();
            over_grpc(client.get_image_member(GetImageMemberRequest { image_id, member_id }).await)
        }
        Add(member) => {
            let member_id = member.to_owned();
            over_grpc(client.create_image_member(CreateImageMemberRequest { image_id, member_id }).await)
        }
        Accept(member) => {
            let (member_id, status) = (member.to_owned(), Status::Accepted.into());
            over_grpc(
                client.update_image_member(UpdateImageMemberRequest { image_id, member_id, status }).await,
            )
        }
        Remove(member) => {
            let member_id = member.to_owned();
            over_grpc(client.delete_image_member(DeleteImageMemberRequest { image_id, member_id }).await)
        }
    }
}

/// Members as they are shown, each `PROJECT STATUS`.
async fn shown(world: &World, edge: Edge, who: Who, id: &str) -> Vec<String> {
    if edge == Edge::Grpc {
        let request = ListImageMembersRequest { image_id: id.to_owned() };
        let answer = world.grpc(who).list_image_members(request).await.unwrap().into_inner();
        let shown = |member: &proto::glance::v1::ImageMember| {
            format!("{} {}", member.member_id, member.status().as_str_name().to_lowercase())
        };
        return answer.members.iter().map(shown).collect();
    }
    let answer = world.http(who).get(&format!("/v2/images/{id}/members")).await.is(200).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let members = answer["members"].as_array().unwrap().iter();
    members.map(|member| format!("{} {}", text(&member["member_id"]), text(&member["status"]))).collect()
}

const MEMBER_READER: Who = Who::new("rob", "pending", "reader");

/// Who of owner, reader, admin, member (pending), a reader of that project, and stranger gets which answer to
/// which operation; `pending` and `accepted` are members, `other` is none.
const MATRIX: [(Operation, [&str; 6]); 10] = {
    const NO: &str = "NOT_PERMITTED";
    const NONE: &str = "IMAGE_NOT_FOUND";
    const ALIEN: &str = "MEMBER_NOT_FOUND";
    [
        (List, [DONE, DONE, DONE, DONE, DONE, NONE]),
        (Get("pending"), [DONE, DONE, DONE, DONE, DONE, NONE]),
        (Get("accepted"), [DONE, DONE, DONE, ALIEN, ALIEN, NONE]),
        (Get("other"), [ALIEN, ALIEN, ALIEN, ALIEN, ALIEN, NONE]),
        (Add("pending"), ["MEMBER_EXISTS", NO, "MEMBER_EXISTS", NO, NO, NONE]),
        (Add("other"), [DONE, NO, DONE, NO, NO, NONE]),
        (Accept("pending"), [NO, NO, DONE, DONE, NO, NONE]),
        (Accept("accepted"), [NO, NO, DONE, ALIEN, ALIEN, NONE]),
        (Remove("other"), [ALIEN, NO, ALIEN, NO, NO, NONE]),
        (Remove("pending"), [DONE, NO, DONE, NO, NO, NONE]),
    ]
};

/// The members that [`World::share`] adds.
const SHARED: [&str; 3] = ["pending pending", "accepted accepted", "rejected rejected"];

async fn new_shared(world: &World) -> String {
    let id = world.http(Who::OWNER).queued().await;
    world.share(&id).await;
    id
}

async fn who_may_do_what_with_members(db: TestDb) {
    let world = World::start(db).await;
    let callers = [Who::OWNER, Who::READER, Who::ADMIN, Who::PENDING, MEMBER_READER, Who::STRANGER];
    let mut id = new_shared(&world).await;
    for (index, who) in callers.into_iter().enumerate() {
        for (operation, outcomes) in MATRIX {
            let mut afterwards = Vec::new();
            for edge in EDGES {
                let outcome = act(&world, edge, who, operation, &id).await;
                assert_eq!(outcome, outcomes[index], "{operation:?} by {who:?} over {edge:?}");
                afterwards.push(shown(&world, edge, Who::OWNER, &id).await);
                if afterwards.last().unwrap() != &SHARED {
                    id = new_shared(&world).await;
                }
            }
            assert_eq!(afterwards[0], afterwards[1], "{operation:?} by {who:?}");
            let is_change =
                outcomes[index] == DONE && !matches!(operation, List | Get(_) | Accept("accepted"));
            assert_eq!(afterwards[0] != SHARED, is_change, "{operation:?} by {who:?}: {afterwards:?}");
        }
    }
}

async fn only_shared_images_have_members(db: TestDb) {
    let world = World::start(db).await;
    let (owner, admin) = (world.http(Who::OWNER), world.http(Who::ADMIN));
    for visibility in ["private", "community", "public"] {
        let id = new_shared(&world).await;
        admin.set(&id, "visibility", json!(visibility)).await.is(200);
        let stranger = if visibility == "private" { "IMAGE_NOT_FOUND" } else { "IMAGE_NOT_SHARED" };
        for edge in EDGES {
            for operation in
                [List, Add("pending"), Add("other"), Accept("pending"), Remove("pending"), Remove("other")]
            {
                for who in [Who::OWNER, Who::ADMIN, Who::READER] {
                    let outcome = act(&world, edge, who, operation, &id).await;
                    assert_eq!(
                        outcome, "IMAGE_NOT_SHARED",
                        "{operation:?} of {visibility} by {who:?} over {edge:?}"
                    );
                }
                for who in [Who::STRANGER, Who::PENDING] {
                    assert_eq!(
                        act(&world, edge, who, operation, &id).await,
                        stranger,
                        "{operation:?} {who:?}"
                    );
                }
            }
            assert_eq!(act(&world, edge, Who::OWNER, Get("pending"), &id).await, "MEMBER_NOT_FOUND");
        }
        // They are members again once it is shared again.
        owner.set(&id, "visibility", json!("shared")).await.is(200);
        let members = shown(&world, Edge::Http, Who::OWNER, &id).await;
        assert_eq!(members, SHARED);
    }
}
