//! Which images the lists of each caller show (the default policy of Glance, current release).

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::ListImagesRequest;
use serde_json::json;

use crate::support::{Who, World, id_of};

on_both_databases!(
    shows_what_each_caller_may_list,
    shows_one_visibility,
    shows_what_the_project_said_to_shared_images,
    grpc_lists_the_same,
    lists_are_for_those_who_may_read,
    an_image_that_is_no_longer_shared_is_not_listed,
);

/// An image of the owner for each visibility, shared with the three projects, and one of a stranger for each.
async fn images(world: &World) {
    let (owner, stranger, admin) =
        (world.http(Who::OWNER), world.http(Who::STRANGER), world.http(Who::ADMIN));
    let ids = [
        id_of(&owner.create(json!({"name": "shared"})).await),
        id_of(&owner.create(json!({"name": "private"})).await),
        id_of(&owner.create(json!({"name": "community"})).await),
    ];
    for (id, visibility) in ids.iter().zip(["shared", "private", "community"]) {
        world.share(id).await;
        owner.set(id, "visibility", json!(visibility)).await.is(200);
    }
    admin.create(json!({"name": "public", "visibility": "public", "owner": "owner"})).await;
    for visibility in ["shared", "private", "community"] {
        stranger.create(json!({"name": format!("x-{visibility}"), "visibility": visibility})).await;
    }
}

/// Checks what a query shows to each caller.
async fn shows(world: &World, query: &str, table: &[(Who, &[&str])]) {
    for (who, expected) in table {
        let listed = world.http(*who).list(&format!("sort=name:asc&{query}")).await;
        assert_eq!(listed, *expected, "{query} of {}", who.project);
    }
}

const OF_ALL: &[&str] = &["community", "private", "public", "shared", "x-community", "x-private", "x-shared"];

async fn lists_are_for_those_who_may_read(db: TestDb) {
    let world = World::start(db).await;
    images(&world).await;
    for roles in ["service", "observer", "service,observer"] {
        let who = Who::new("x", "owner", roles);
        world.http(who).get("/v2/images").await.error(403, "NOT_PERMITTED");
        world.http(who).get("/v2/images?limit=0").await.error(403, "NOT_PERMITTED");
        let refused = world.grpc(who).list_images(ListImagesRequest::default()).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{roles}");
    }
    for roles in ["reader", "member", "manager", "admin", ""] {
        assert!(world.http(Who::new("x", "owner", roles)).list("").await.len() > 1, "{roles}");
    }
}

async fn shows_what_each_caller_may_list(db: TestDb) {
    let world = World::start(db).await;
    images(&world).await;
    let mine: &[_] = &["community", "private", "public", "shared"];
    let no_community: &[_] = &["private", "public", "shared", "x-private", "x-shared"];
    let table: &[(Who, &[&str])] = &[
        (Who::OWNER, mine),
        (Who::READER, mine),
        (Who::PENDING, &["public"]),
        (Who::ACCEPTED, &["public", "shared"]),
        (Who::REJECTED, &["public"]),
        (Who::STRANGER, &["public", "x-community", "x-private", "x-shared"]),
        (Who::new("x", "", "member"), &["public"]),
        (Who::ADMIN, no_community),
        (Who::NOBODY, no_community),
        (
            Who::new("root", "owner", "admin"),
            &["community", "private", "public", "shared", "x-private", "x-shared"],
        ),
    ];
    shows(&world, "", table).await;
}

async fn shows_one_visibility(db: TestDb) {
    let world = World::start(db).await;
    images(&world).await;
    let (community, none) = (&["community", "x-community"][..], &[][..]);
    for (visibility, table) in [
        ("public", [&["public"][..], &["public"], &["public"], &["public"]]),
        ("community", [community, community, community, community]),
        ("shared", [&["shared"], &["shared"], none, &["shared", "x-shared"]]),
        ("private", [&["private"], none, none, &["private", "x-private"]]),
        (
            "all",
            [
                &["community", "private", "public", "shared", "x-community"],
                &["community", "public", "shared", "x-community"],
                &["community", "public", "x-community"],
                OF_ALL,
            ],
        ),
    ] {
        let callers = [Who::OWNER, Who::ACCEPTED, Who::PENDING, Who::ADMIN];
        let table: Vec<_> = callers.into_iter().zip(table).collect();
        shows(&world, &format!("visibility={visibility}"), &table).await;
    }
    shows(&world, "visibility=all&owner=stranger", &[(Who::OWNER, &["x-community"])]).await;
}

async fn shows_what_the_project_said_to_shared_images(db: TestDb) {
    let world = World::start(db).await;
    images(&world).await;
    let (shared, none) = (&["shared"][..], &[][..]);
    for (status, pending, accepted, rejected) in [
        ("pending", shared, none, none),
        ("accepted", none, shared, none),
        ("rejected", none, none, shared),
        ("all", shared, shared, shared),
    ] {
        let table = [(Who::PENDING, pending), (Who::ACCEPTED, accepted), (Who::REJECTED, rejected)];
        shows(&world, &format!("visibility=shared&member_status={status}"), &table).await;
        // It is no condition on other images, nor on the caller's own.
        let own =
            [(Who::OWNER, shared), (Who::STRANGER, &["x-shared"]), (Who::ADMIN, &["shared", "x-shared"])];
        shows(&world, &format!("visibility=shared&member_status={status}"), &own).await;
        shows(&world, &format!("visibility=public&member_status={status}"), &[(Who::PENDING, &["public"])])
            .await;
    }
}

async fn grpc_lists_the_same(db: TestDb) {
    let world = World::start(db).await;
    images(&world).await;
    for who in
        [Who::OWNER, Who::READER, Who::PENDING, Who::ACCEPTED, Who::REJECTED, Who::STRANGER, Who::ADMIN]
    {
        for (query, filter) in [
            ("", ""),
            ("visibility=all", "visibility = ALL"),
            ("visibility=shared", "visibility = SHARED"),
            ("visibility=community", "visibility = COMMUNITY"),
            ("member_status=pending", "member_status = PENDING"),
            ("member_status=all&visibility=all", "member_status = ALL AND visibility = ALL"),
            ("os_hidden=true", "os_hidden = true"),
            ("owner=stranger", "owner = stranger"),
        ] {
            let request = ListImagesRequest { filter: filter.to_owned(), ..crate::support::by("name") };
            let listed = world.grpc(who).list_images(request).await.unwrap().into_inner();
            let names: Vec<_> = listed.images.into_iter().map(|image| image.name).collect();
            assert_eq!(
                world.http(who).list(&format!("sort=name:asc&{query}")).await,
                names,
                "{query} of {who:?}"
            );
        }
    }
}

async fn an_image_that_is_no_longer_shared_is_not_listed(db: TestDb) {
    let world = World::start(db).await;
    let (owner, member) = (world.http(Who::OWNER), world.http(Who::ACCEPTED));
    let id = owner.queued().await;
    world.share(&id).await;
    assert_eq!(member.list("").await, ["cirros"]);
    owner.set(&id, "visibility", json!("private")).await.is(200);
    assert!(member.list("member_status=all&visibility=all").await.is_empty());
    owner.set(&id, "visibility", json!("shared")).await.is(200);
    assert_eq!(member.list("").await, ["cirros"], "what it said is remembered");
    owner.delete(&format!("/v2/images/{id}/members/accepted")).await.is(204);
    assert!(member.list("member_status=all&visibility=all").await.is_empty());
}
