//! Who may do what with an image: each visibility, each caller, each operation, over both edges.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{EDGES, Who, World};

mod matrix;
mod past;
mod revisions;

on_both_databases!(
    what_callers_may_do_with_an_image,
    what_callers_may_do_with_an_image_that_nobody_owns,
    what_callers_may_do_changes_with_the_image,
    behind_a_proxy_nobody_is_refused,
);

use matrix::{Level, OPERATIONS, act, active};

/// A user of a project that has nothing to do with the image, who may only read.
const PASSER_BY: Who = Who::new("pat", "stranger", "reader");

/// A user of no project.
const HOMELESS: Who = Who::new("hal", "", "member,reader");

const CALLERS: [Who; 10] = [
    Who::OWNER,
    Who::READER,
    Who::ADMIN,
    Who::NOBODY,
    Who::PENDING,
    Who::ACCEPTED,
    Who::REJECTED,
    Who::STRANGER,
    PASSER_BY,
    HOMELESS,
];

/// What [`CALLERS`] may do with an image of each visibility that is shared with three of them.
const MATRIX: [(&str, [Level; 10]); 4] = {
    use Level::{Changes, Nothing, Reads, Sees, Watches};
    [
        (
            "private",
            [Changes, Watches, Changes, Changes, Nothing, Nothing, Nothing, Nothing, Nothing, Nothing],
        ),
        ("shared", [Changes, Watches, Changes, Changes, Reads, Reads, Reads, Nothing, Nothing, Nothing]),
        ("community", [Changes, Watches, Changes, Changes, Reads, Reads, Reads, Reads, Sees, Reads]),
        ("public", [Changes, Watches, Changes, Changes, Reads, Reads, Reads, Reads, Sees, Reads]),
    ]
};

/// Whose lists show it unless they ask for more (Glance: community images are not listed, shared ones when they
/// are accepted).
fn lists(visibility: &str, who: Who) -> bool {
    match visibility {
        "private" => [Who::OWNER, Who::READER, Who::ADMIN, Who::NOBODY].contains(&who),
        "shared" => [Who::OWNER, Who::READER, Who::ADMIN, Who::NOBODY, Who::ACCEPTED].contains(&who),
        "community" => [Who::OWNER, Who::READER].contains(&who),
        _ => true,
    }
}

async fn what_callers_may_do_with_an_image(db: TestDb) {
    let world = World::start(db).await;
    for (visibility, levels) in MATRIX {
        let mut id = active(&world, visibility).await;
        for (who, level) in CALLERS.into_iter().zip(levels) {
            for (operation, edge) in
                OPERATIONS.into_iter().flat_map(|operation| EDGES.map(|edge| (operation, edge)))
            {
                let expected = level.outcome(operation);
                let outcome = act(&world, edge, who, operation, &id).await;
                assert_eq!(
                    outcome, expected,
                    "{operation:?} of a {visibility} image by {who:?} over {edge:?}"
                );
                if world.get(&id).await.is_err() {
                    id = active(&world, visibility).await;
                }
            }
            for edge in EDGES {
                let shown = matrix::list(&world, edge, who).await.contains(&id);
                assert_eq!(
                    shown,
                    lists(visibility, who),
                    "list of {visibility} images by {who:?} over {edge:?}"
                );
            }
        }
    }
}

async fn what_callers_may_do_with_an_image_that_nobody_owns(db: TestDb) {
    let world = World::start(db).await;
    for visibility in ["private", "shared"] {
        let mut id = active(&world, visibility).await;
        for who in CALLERS {
            // Glance: a shared image without an owner is visible to everybody, a private one is not.
            let level = match who {
                Who::ADMIN | Who::NOBODY => Level::Changes,
                _ if visibility == "private" => Level::Nothing,
                Who::READER | PASSER_BY => Level::Sees,
                _ => Level::Reads,
            };
            world.http(Who::ADMIN).set(&id, "owner", json!(null)).await.is(200);
            for (operation, edge) in
                OPERATIONS.into_iter().flat_map(|operation| EDGES.map(|edge| (operation, edge)))
            {
                let outcome = act(&world, edge, who, operation, &id).await;
                assert_eq!(outcome, level.outcome(operation), "{operation:?} by {who:?} over {edge:?}");
                if world.get(&id).await.is_err() {
                    id = active(&world, visibility).await;
                    world.http(Who::ADMIN).set(&id, "owner", json!(null)).await.is(200);
                }
            }
        }
    }
}

async fn what_callers_may_do_changes_with_the_image(db: TestDb) {
    let world = World::start(db).await;
    let id = active(&world, "shared").await;
    let owner = world.http(Who::OWNER);
    let read = matrix::Operation::Get;
    for (visibility, member, stranger) in [
        ("private", "IMAGE_NOT_FOUND", "IMAGE_NOT_FOUND"),
        ("community", "DONE", "DONE"),
        ("shared", "DONE", "IMAGE_NOT_FOUND"),
    ] {
        owner.set(&id, "visibility", json!(visibility)).await.is(200);
        for edge in EDGES {
            assert_eq!(act(&world, edge, Who::PENDING, read, &id).await, member, "{visibility} {edge:?}");
            assert_eq!(act(&world, edge, Who::STRANGER, read, &id).await, stranger, "{visibility} {edge:?}");
        }
    }
    owner.delete(&format!("/v2/images/{id}/members/pending")).await.is(204);
    for edge in EDGES {
        assert_eq!(act(&world, edge, Who::PENDING, read, &id).await, "IMAGE_NOT_FOUND");
    }
}

async fn behind_a_proxy_nobody_is_refused(db: TestDb) {
    let settings = crate::support::Settings {
        identity: chassis::caller::Identity::Proxy,
        ..crate::support::Settings::default()
    };
    let world = World::start_with(db, settings).await;
    let id = world.http(Who::OWNER).queued().await;
    for who in [Who::NOBODY, Who::new("user", "", "")] {
        for (operation, edge) in
            OPERATIONS.into_iter().flat_map(|operation| EDGES.map(|edge| (operation, edge)))
        {
            assert_eq!(
                act(&world, edge, who, operation, &id).await,
                "UNAUTHENTICATED",
                "{operation:?} {edge:?}"
            );
        }
        let refused = world.grpc(who).list_images(proto::glance::v1::ListImagesRequest::default()).await;
        assert_eq!(crate::support::over_grpc(refused), "UNAUTHENTICATED");
        world.http(who).get("/v2/images").await.error(401, "UNAUTHENTICATED");
    }
    assert_eq!(world.http(Who::OWNER).list("").await, ["cirros"]);
}
