//! What a project may use.

use chassis::{on_both_databases, testing::TestDb};
use nova_api_svc::quota::Quota;
use proto::{glance::v1::Image, nova::v1::CreateInstanceRequest};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{NOTHING, Nova, Settings, assert_error, made_by, of, several};

on_both_databases!(
    each_resource_is_limited,
    fewer_are_created_down_to_the_minimum,
    one_of_several_is_named_plainly,
    each_project_has_a_quota_of_its_own,
    what_is_deleted_is_free_again,
    the_flavor_counts_as_it_was,
    eight_at_once_never_exceed_it,
    a_quota_of_nothing_allows_nothing,
    a_dry_run_counts_what_is_used_and_uses_nothing,
);

async fn limited(db: TestDb, quota: Quota) -> (Nova, Image) {
    let nova = Nova::start_with(db, Settings { quota, ..Settings::default() }).await;
    let image = nova.glance.with(&[]);
    (nova, image)
}

#[track_caller]
fn assert_exceeded(status: &Status, resource: &str, [requested, used, limit]: [&str; 3]) {
    let values = assert_error(status, Code::ResourceExhausted, "QUOTA_EXCEEDED");
    assert_eq!(&values["resource"], resource);
    assert_eq!([&values["requested"], &values["used"], &values["limit"]], [requested, used, limit]);
    let failure = status.get_details_quota_failure().unwrap();
    assert_eq!(failure.violations.len(), 1);
    assert_eq!(failure.violations[0].description, status.message());
}

async fn each_resource_is_limited(db: TestDb) {
    let another = db.another().await;
    let yet_another = db.another().await;
    // m1.small has one CPU and 2048 MiB, m1.medium two and 4096.
    let (nova, image) = limited(db, Quota { instances: Some(2), ..Quota::default() }).await;
    nova.create(several(&image, 2)).await.unwrap();
    let status = nova.create(of(&image)).await.unwrap_err();
    assert_exceeded(&status, "instances", ["1", "2", "2"]);

    let (nova, image) = limited(another, Quota { cores: Some(4), ..Quota::default() }).await;
    nova.create(several(&image, 3)).await.unwrap();
    let medium = CreateInstanceRequest { flavor_id: "3".to_owned(), ..several(&image, 1) };
    assert_exceeded(&nova.create(medium).await.unwrap_err(), "cores", ["2", "3", "4"]);
    nova.create(of(&image)).await.unwrap();

    let (nova, image) = limited(yet_another, Quota { ram_mb: Some(8191), ..Quota::default() }).await;
    nova.create(of(&image)).await.unwrap();
    assert_exceeded(&nova.create(several(&image, 3)).await.unwrap_err(), "ram_mb", ["6144", "2048", "8191"]);
    nova.create(several(&image, 2)).await.unwrap();
    assert_eq!(nova.rows().await, (3, 0, 39, 0, 1));
}

async fn fewer_are_created_down_to_the_minimum(db: TestDb) {
    let quota = Quota { instances: Some(9), cores: Some(5), ram_mb: Some(1_000_000) };
    let (nova, image) = limited(db, quota).await;
    let request = CreateInstanceRequest { max_count: 9, ..several(&image, 6) };
    let status = nova.create(request.clone()).await.unwrap_err();
    assert_exceeded(&status, "cores", ["6", "0", "5"]);
    assert_eq!(nova.rows().await, NOTHING);

    let answer = nova.create(CreateInstanceRequest { min_count: 5, ..request }).await.unwrap();
    assert_eq!((answer.requested_count, answer.instances.len()), (9, 5));
    assert!(answer.instances.iter().map(|it| it.launch_index).eq(0..5));
    assert_eq!(nova.rows().await, (5, 0, 65, 0, 1));
}

async fn one_of_several_is_named_plainly(db: TestDb) {
    let (nova, image) = limited(db, Quota { instances: Some(1), ..Quota::default() }).await;
    // Long enough that two of that name are refused.
    let name = "x".repeat(255);
    let request = CreateInstanceRequest { name: name.clone(), min_count: 1, max_count: 5, ..of(&image) };
    let answer = nova.create(request).await.unwrap();
    assert_eq!((answer.requested_count, answer.instances.len()), (5, 1));
    assert_eq!(answer.instances[0].name, name);
    assert_eq!(answer.instances[0].hostname, "x".repeat(63));
}

async fn each_project_has_a_quota_of_its_own(db: TestDb) {
    let (nova, image) = limited(db, Quota { instances: Some(1), ..Quota::default() }).await;
    for project in ["one", "two", ""] {
        nova.create(made_by("alice", project, of(&image))).await.unwrap();
    }
    for project in ["one", "two", ""] {
        let status = nova.create(made_by("bob", project, of(&image))).await.unwrap_err();
        assert_exceeded(&status, "instances", ["1", "1", "1"]);
    }
    assert_eq!(nova.rows().await, (3, 0, 39, 0, 3));
}

async fn what_is_deleted_is_free_again(db: TestDb) {
    let (nova, image) = limited(db, Quota { ram_mb: Some(2048), ..Quota::default() }).await;
    let instance = nova.create_one(of(&image)).await;
    nova.create(of(&image)).await.unwrap_err();
    nova.delete(&instance.id).await.unwrap();
    nova.create(of(&image)).await.unwrap();
}

async fn the_flavor_counts_as_it_was(db: TestDb) {
    let (nova, image) = limited(db, Quota { cores: Some(9), ..Quota::default() }).await;
    nova.flavor("large", 1, 8, 0).await;
    let request = CreateInstanceRequest { flavor_id: "large".to_owned(), ..of(&image) };
    nova.create(request).await.unwrap();
    let delete = proto::nova::v1::DeleteFlavorRequest { id: "large".to_owned() };
    nova.flavors().delete_flavor(delete).await.unwrap();
    nova.create(of(&image)).await.unwrap();
    assert_exceeded(&nova.create(of(&image)).await.unwrap_err(), "cores", ["1", "9", "9"]);
}

async fn eight_at_once_never_exceed_it(db: TestDb) {
    let (nova, image) = limited(db, Quota { instances: Some(10), ..Quota::default() }).await;
    let creating: Vec<_> = (0..8)
        .map(|_| {
            let request = CreateInstanceRequest { min_count: 2, max_count: 3, ..of(&image) };
            let (mut instances, request) = (nova.instances(), made_by("alice", "demo", request));
            tokio::spawn(async move { instances.create_instance(request).await })
        })
        .collect();
    let mut sizes = Vec::new();
    for create in creating {
        match create.await.unwrap() {
            Ok(answer) => sizes.push(answer.into_inner().instances.len()),
            Err(status) => assert_exceeded(&status, "instances", ["2", "9", "10"]),
        }
    }
    sizes.sort_unstable();
    // Three times three, and the one that is left is below the minimum of two.
    assert_eq!(sizes, [3, 3, 3]);
    assert_eq!(nova.rows().await.0, 9);
}

async fn a_quota_of_nothing_allows_nothing(db: TestDb) {
    let (nova, image) = limited(db, Quota { ram_mb: Some(0), ..Quota::default() }).await;
    let status = nova.create(CreateInstanceRequest { max_count: 1000, ..of(&image) }).await.unwrap_err();
    assert_exceeded(&status, "ram_mb", ["2048", "0", "0"]);
    assert_eq!(nova.rows().await, NOTHING);
}

async fn a_dry_run_counts_what_is_used_and_uses_nothing(db: TestDb) {
    let (nova, image) = limited(db, Quota { instances: Some(3), ..Quota::default() }).await;
    nova.create(of(&image)).await.unwrap();
    let dry = CreateInstanceRequest { max_count: 9, validate_only: true, ..of(&image) };
    for _ in 0..2 {
        let answer = nova.create(dry.clone()).await.unwrap();
        assert_eq!((answer.requested_count, answer.instances.len()), (9, 2));
    }
    let status = nova.create(CreateInstanceRequest { min_count: 3, ..dry }).await.unwrap_err();
    assert_exceeded(&status, "instances", ["3", "1", "3"]);
    assert_eq!(nova.rows().await, (1, 0, 13, 0, 1));
}
