//! A retry with the same request id creates nothing new, and a dry run creates nothing at all.

use std::collections::BTreeSet;

use chassis::{on_both_databases, testing::TestDb};
use chrono::TimeDelta;
use common::clock;
use nova_api_svc::quota::Quota;
use proto::{
    glance::v1::Image,
    nova::v1::{CreateInstanceRequest, InstanceView, instance::State},
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    glance::{Mood, map},
    records::store,
    support::{NOTHING, Nova, Settings, assert_error, execute, made_by, of, reason, several},
};

on_both_databases!(
    a_retry_gives_the_same_instances,
    what_is_left_out_is_the_same_as_its_default,
    another_request_with_the_same_id_is_refused,
    each_project_has_request_ids_of_its_own,
    without_an_id_every_request_creates,
    sixteen_at_once_create_once,
    sixteen_different_requests_at_once_create_one,
    a_retry_needs_no_glance_and_not_the_old_image,
    a_retry_works_when_the_flavor_is_gone_and_the_quota_used_up,
    a_retry_of_a_failure_tries_again,
    a_request_that_is_refused_leaves_its_id_to_those_beside_it,
    a_retry_of_a_partial_batch_says_what_was_asked_for,
    a_retry_of_a_large_batch_is_as_basic_as_the_first_answer,
    a_dry_run_says_what_would_be_written,
    a_dry_run_does_not_use_up_its_request_id,
    what_is_known_of_requests_is_forgotten_after_a_while,
    old_requests_are_forgotten_a_few_at_a_time,
);

fn with_id(request_id: &str, image: &Image) -> CreateInstanceRequest {
    CreateInstanceRequest { request_id: request_id.to_owned(), ..of(image) }
}

async fn a_retry_gives_the_same_instances(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("os_type", "linux"), ("long", &"x".repeat(300))]);
    let metadata = map(&[("b", "2"), ("a", "1")]);
    let request = CreateInstanceRequest { min_count: 3, metadata, ..with_id("名", &image) };
    let first = nova.create(request.clone()).await.unwrap();
    let rows = nova.rows().await;
    assert_eq!(rows, (3, 6, 45, 1, 0));
    assert_eq!(nova.create(request.clone()).await.unwrap(), first);
    // Who in the project asks does not matter.
    assert_eq!(nova.create(made_by("bob", "demo", request)).await.unwrap(), first);
    assert_eq!(nova.rows().await, rows);
    assert_eq!(nova.glance.calls().len(), 1);
}

async fn what_is_left_out_is_the_same_as_its_default(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let first = nova.create(with_id("1", &image)).await.unwrap();
    let request = CreateInstanceRequest {
        name: " web ".to_owned(),
        image_id: image.id.to_uppercase(),
        min_count: 1,
        max_count: 1,
        ..with_id("1", &image)
    };
    assert_eq!(nova.create(request).await.unwrap(), first);
}

async fn another_request_with_the_same_id_is_refused(db: TestDb) {
    let nova = Nova::start(db).await;
    let (image, other) = (nova.glance.with(&[]), nova.glance.with(&[]));
    let request = CreateInstanceRequest { metadata: map(&[("a", "1")]), ..with_id("taken", &image) };
    nova.create(request.clone()).await.unwrap();
    let rows = nova.rows().await;
    for other in [
        CreateInstanceRequest { name: "db".to_owned(), ..request.clone() },
        CreateInstanceRequest { image_id: other.id.clone(), ..request.clone() },
        CreateInstanceRequest { flavor_id: "1".to_owned(), ..request.clone() },
        CreateInstanceRequest { max_count: 2, ..request.clone() },
        CreateInstanceRequest { min_count: 2, ..request.clone() },
        CreateInstanceRequest { metadata: map(&[("a", "2")]), ..request.clone() },
        CreateInstanceRequest { metadata: map(&[]), ..request.clone() },
        CreateInstanceRequest { kernel_id: "nokernel".to_owned(), ..request.clone() },
        CreateInstanceRequest { ramdisk_id: other.id.clone(), ..request.clone() },
        CreateInstanceRequest { auto_disk_config: Some(false), ..request.clone() },
        CreateInstanceRequest { validate_only: true, name: "db".to_owned(), ..request.clone() },
    ] {
        let status = nova.create(other).await.unwrap_err();
        let values = assert_error(&status, Code::AlreadyExists, "REQUEST_ID_TAKEN");
        assert_eq!(&values["request_id"], "taken");
        let resource = status.get_details_resource_info().unwrap();
        assert_eq!(resource.resource_type, "nova.v1.CreateInstanceRequest");
        assert_eq!(resource.resource_name, "taken");
    }
    assert_eq!(nova.rows().await, rows);
}

async fn each_project_has_request_ids_of_its_own(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let request = with_id("1", &image);
    let first = nova.create(made_by("alice", "one", request.clone())).await.unwrap();
    let second = nova.create(made_by("alice", "two", request.clone())).await.unwrap();
    assert_ne!(first.reservation_id, second.reservation_id);
    assert_ne!(first.instances[0].id, second.instances[0].id);
    // Even another request.
    let other = CreateInstanceRequest { name: "db".to_owned(), ..request.clone() };
    nova.create(made_by("alice", "three", other)).await.unwrap();
    assert_eq!(nova.create(made_by("alice", "one", request)).await.unwrap(), first);
    assert_eq!(nova.rows().await, (3, 0, 39, 3, 0));
}

async fn without_an_id_every_request_creates(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let first = nova.create(of(&image)).await.unwrap();
    assert_ne!(nova.create(of(&image)).await.unwrap().reservation_id, first.reservation_id);
    assert_eq!(nova.rows().await, (2, 0, 26, 0, 0));
}

async fn sixteen_at_once_create_once(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("os_type", "linux")]);
    let request = CreateInstanceRequest { min_count: 3, ..with_id("at once", &image) };
    let creating: Vec<_> = (0..16)
        .map(|_| {
            let (mut instances, request) = (nova.instances(), made_by("alice", "demo", request.clone()));
            tokio::spawn(async move { instances.create_instance(request).await })
        })
        .collect();
    let mut answers = Vec::new();
    for create in creating {
        answers.push(create.await.unwrap().unwrap().into_inner());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(answers[0].instances.len(), 3);
    assert_eq!(nova.rows().await, (3, 0, 42, 1, 0));
}

async fn sixteen_different_requests_at_once_create_one(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let creating: Vec<_> = (0..16)
        .map(|number| {
            let request = CreateInstanceRequest { name: format!("web {number}"), ..with_id("1", &image) };
            let (mut instances, request) = (nova.instances(), made_by("alice", "demo", request));
            tokio::spawn(async move { instances.create_instance(request).await })
        })
        .collect();
    let mut created = 0;
    for create in creating {
        match create.await.unwrap() {
            Ok(_) => created += 1,
            Err(status) => {
                assert_error(&status, Code::AlreadyExists, "REQUEST_ID_TAKEN");
            }
        }
    }
    assert_eq!(created, 1);
    assert_eq!(nova.rows().await, (1, 0, 13, 1, 0));
}

async fn a_retry_needs_no_glance_and_not_the_old_image(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("hw_disk_bus", "ide")]);
    let first = nova.create(with_id("1", &image)).await.unwrap();
    nova.glance.add(Image { revision: 2, status: 6, properties: map(&[]), ..image.clone() });
    assert_eq!(nova.create(with_id("1", &image)).await.unwrap(), first);
    nova.glance.forget(&image);
    nova.glance.be(Mood::Hanging);
    assert_eq!(nova.create(with_id("1", &image)).await.unwrap(), first);
    assert_eq!(nova.glance.calls().len(), 1);
}

async fn a_retry_works_when_the_flavor_is_gone_and_the_quota_used_up(db: TestDb) {
    let settings =
        Settings { quota: Quota { instances: Some(1), ..Quota::default() }, ..Settings::default() };
    let nova = Nova::start_with(db, settings).await;
    let image = nova.glance.with(&[]);
    let first = nova.create(with_id("1", &image)).await.unwrap();
    let flavor = proto::nova::v1::DeleteFlavorRequest { id: "2".to_owned() };
    nova.flavors().delete_flavor(flavor).await.unwrap();
    assert_eq!(nova.create(with_id("1", &image)).await.unwrap(), first);
}

async fn a_retry_of_a_failure_tries_again(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.add(Image { min_ram: 4096, ..Image::default() });
    let status = nova.create(with_id("1", &image)).await.unwrap_err();
    assert_error(&status, Code::FailedPrecondition, "FLAVOR_MEMORY_TOO_SMALL");
    assert_eq!(nova.rows().await, NOTHING);
    nova.glance.add(Image { min_ram: 0, ..image.clone() });
    nova.create(with_id("1", &image)).await.unwrap();
}

async fn a_request_that_is_refused_leaves_its_id_to_those_beside_it(db: TestDb) {
    let quota = Quota { instances: Some(1), ..Quota::default() };
    let nova = Nova::start_with(db, Settings { quota, ..Settings::default() }).await;
    let image = nova.glance.with(&[]);
    // As many rounds as it takes for several to share a transaction, the refused one first.
    for round in 0..25 {
        let project = format!("p{round}");
        let creating: Vec<_> = (0..16)
            .map(|number| {
                let count = if number % 4 == 3 { 1 } else { 2 };
                let request = CreateInstanceRequest { min_count: count, ..with_id("1", &image) };
                let (mut instances, request) = (nova.instances(), made_by("alice", &project, request));
                tokio::spawn(async move { (count, instances.create_instance(request).await) })
            })
            .collect();
        let mut reservations = BTreeSet::new();
        for create in creating {
            match create.await.unwrap() {
                (1, created) => drop(reservations.insert(created.unwrap().into_inner().reservation_id)),
                (_, created) => {
                    let reason = reason(&created.unwrap_err());
                    assert!(["QUOTA_EXCEEDED", "REQUEST_ID_TAKEN"].contains(&&*reason), "{reason}");
                }
            }
        }
        assert_eq!(reservations.len(), 1, "all four are one request");
    }
    assert_eq!(nova.rows().await.3, 25);
}

async fn a_retry_of_a_partial_batch_says_what_was_asked_for(db: TestDb) {
    let settings =
        Settings { quota: Quota { instances: Some(2), ..Quota::default() }, ..Settings::default() };
    let nova = Nova::start_with(db, settings).await;
    let image = nova.glance.with(&[]);
    let request = CreateInstanceRequest { min_count: 1, max_count: 5, ..with_id("1", &image) };
    let first = nova.create(request.clone()).await.unwrap();
    assert_eq!((first.requested_count, first.instances.len()), (5, 2));
    assert_eq!(nova.create(request).await.unwrap(), first);
}

async fn a_retry_of_a_large_batch_is_as_basic_as_the_first_answer(db: TestDb) {
    let nova = Nova::start(db).await;
    let properties: Vec<_> = (0..9).map(|number| (format!("note {number}"), "名".repeat(255))).collect();
    let properties: Vec<_> = properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let image = nova.glance.with(&properties);
    let request = CreateInstanceRequest { request_id: "1".to_owned(), ..several(&image, 1000) };
    let first = nova.create(request.clone()).await.unwrap();
    assert_eq!(first.view(), InstanceView::Basic);
    assert_eq!(nova.create(request).await.unwrap(), first);
}

async fn a_dry_run_says_what_would_be_written(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("os_type", "linux"), ("long", &"x".repeat(300))]);
    let request = CreateInstanceRequest { metadata: map(&[("a", "1")]), ..several(&image, 3) };
    let dry = CreateInstanceRequest { validate_only: true, ..request.clone() };
    let dry = nova.create(dry).await.unwrap();
    assert_eq!(nova.rows().await, NOTHING);
    let status = nova.get(&dry.instances[0].id).await.unwrap_err();
    assert_error(&status, Code::NotFound, "INSTANCE_NOT_FOUND");

    let wet = nova.create(request).await.unwrap();
    assert_eq!((dry.requested_count, dry.view), (wet.requested_count, wet.view));
    assert_eq!(dry.instances.len(), wet.instances.len());
    for (dry, wet) in dry.instances.iter().zip(&wet.instances) {
        assert_eq!((dry.state(), dry.launch_index), (State::Building, wet.launch_index));
        assert_eq!(dry.name, format!("web-{}", dry.id));
        let same = proto::nova::v1::Instance {
            id: wet.id.clone(),
            name: wet.name.clone(),
            hostname: wet.hostname.clone(),
            reservation_id: wet.reservation_id.clone(),
            create_time: wet.create_time,
            update_time: wet.update_time,
            etag: wet.etag.clone(),
            ..dry.clone()
        };
        assert_eq!(same, *wet);
    }
}

async fn a_dry_run_does_not_use_up_its_request_id(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let dry = CreateInstanceRequest { validate_only: true, ..with_id("1", &image) };
    nova.create(dry).await.unwrap();
    assert_eq!(nova.rows().await, NOTHING);
    let other = CreateInstanceRequest { name: "db".to_owned(), ..with_id("1", &image) };
    nova.create(other).await.unwrap();
}

async fn what_is_known_of_requests_is_forgotten_after_a_while(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let first = nova.create(with_id("1", &image)).await.unwrap();
    let store = store(&nova).await;
    let (day, now) = (TimeDelta::days(1), clock::now());
    assert_eq!(store.forget_requests(now - day).await.unwrap(), 0);
    assert_eq!(nova.create(with_id("1", &image)).await.unwrap(), first);
    assert_eq!(store.forget_requests(now + day).await.unwrap(), 1);
    let second = nova.create(with_id("1", &image)).await.unwrap();
    assert_ne!(second.reservation_id, first.reservation_id);
    assert_eq!(nova.create(with_id("1", &image)).await.unwrap(), second);
}

async fn old_requests_are_forgotten_a_few_at_a_time(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    nova.create(with_id("new", &image)).await.unwrap();
    let time = "2026-01-01T00:00:00+00:00";
    let rows: Vec<_> = (0..1203).map(|number| format!("('p', 'r{number}', '', 'r', 1, '{time}')")).collect();
    execute(&nova.db.url, &format!("INSERT INTO create_requests VALUES {}", rows.join(", "))).await;
    let store = store(&nova).await;
    assert_eq!(store.forget_requests(clock::now() - TimeDelta::hours(1)).await.unwrap(), 1203);
    assert_eq!(nova.rows().await.3, 1);
}
