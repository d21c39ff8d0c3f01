//! `CreateImage`: what an image may be, and what it becomes.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{
    Image,
    image::{Status, Visibility},
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{
    Glance, assert_error, assert_not_found, assert_violation, fields, made_by, named, violations,
};

on_both_databases!(
    keeps_every_field,
    fills_in_what_is_not_given,
    ignores_what_is_output_only,
    takes_the_id_of_the_caller_in_either_case,
    refuses_a_taken_id,
    refuses_the_id_of_a_deleted_image,
    gives_an_id_to_one_of_many_who_want_it,
    derives_the_status_from_the_size,
    refuses_a_status_that_contradicts_the_size,
    refuses_every_other_status,
    takes_the_owner_from_the_caller_unless_given,
    names_all_violations_at_once,
    takes_the_extremes,
    an_unknown_status_is_one_violation,
    a_missing_image_needs_a_name,
    writes_nothing_when_it_refuses,
);

const ID: &str = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";

fn everything() -> Image {
    Image {
        id: ID.to_owned(),
        name: "cirros 0.3 — “quoted” \\ 🦀".to_owned(),
        status: Status::Active.into(),
        visibility: Visibility::Community.into(),
        owner: "demo".to_owned(),
        protected: true,
        disk_format: "qcow2".to_owned(),
        container_format: "bare".to_owned(),
        min_ram: 512,
        min_disk: 3,
        size: Some(i64::MAX),
        checksum: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        tags: vec!["a".to_owned(), "b \"c\"".to_owned(), "🦀".to_owned()],
        properties: [("kernel_id", "nokernel"), ("os_distro", "ubuntu"), ("空", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Default::default()
    }
}

async fn keeps_every_field(db: TestDb) {
    let glance = Glance::start(db).await;
    let created = glance.create(everything()).await.unwrap();
    let Image { revision, etag, create_time, update_time, .. } = created.clone();
    assert_eq!(revision, 1);
    assert!(!etag.is_empty());
    assert!(create_time.is_some());
    assert_eq!(create_time, update_time);
    assert_eq!(created, Image { revision, etag, create_time, update_time, ..everything() });
    assert_eq!(glance.get(ID).await.unwrap(), created);
    assert_eq!(glance.get_at(ID, 1).await.unwrap(), created);
}

async fn fills_in_what_is_not_given(db: TestDb) {
    let glance = Glance::start(db).await;
    let created = glance.named("cirros").await;
    let Image { id, etag, create_time, update_time, .. } = created.clone();
    let expected = Image {
        id,
        etag,
        create_time,
        update_time,
        revision: 1,
        status: Status::Queued.into(),
        visibility: Visibility::Shared.into(),
        ..named("cirros")
    };
    assert_eq!(created, expected);
    assert_ne!(glance.named("cirros").await.id, created.id);
}

async fn ignores_what_is_output_only(db: TestDb) {
    let glance = Glance::start(db).await;
    let created = glance
        .create(Image {
            revision: 7,
            etag: "x".to_owned(),
            create_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            ..named("cirros")
        })
        .await
        .unwrap();
    assert_eq!(created.revision, 1);
    assert_ne!(created.etag, "x");
    assert!(created.create_time.unwrap().seconds > 1);
}

async fn takes_the_id_of_the_caller_in_either_case(db: TestDb) {
    let glance = Glance::start(db).await;
    let created = glance.create(Image { id: ID.to_uppercase(), ..named("cirros") }).await.unwrap();
    assert_eq!(created.id, ID);
    assert_eq!(glance.get(&ID.to_uppercase()).await.unwrap(), created);
}

async fn refuses_a_taken_id(db: TestDb) {
    let glance = Glance::start(db).await;
    let first = glance.create(everything()).await.unwrap();
    let refused = glance.create(Image { id: ID.to_owned(), ..named("other") }).await.unwrap_err();
    let metadata = assert_error(&refused, Code::AlreadyExists, "IMAGE_ID_TAKEN");
    assert_eq!(metadata["image_id"], ID);
    assert_eq!(refused.get_details_resource_info().unwrap().resource_name, ID);
    assert_eq!(glance.get(ID).await.unwrap(), first);
}

async fn refuses_the_id_of_a_deleted_image(db: TestDb) {
    let glance = Glance::start(db).await;
    glance.create(Image { id: ID.to_owned(), ..named("first") }).await.unwrap();
    glance.delete(ID, "").await.unwrap();
    let refused = glance.create(Image { id: ID.to_owned(), ..named("second") }).await.unwrap_err();
    assert_error(&refused, Code::AlreadyExists, "IMAGE_ID_TAKEN");
    assert_not_found(&glance.get(ID).await.unwrap_err(), ID);
    assert_eq!(glance.revisions(ID).await.len(), 2);
}

async fn gives_an_id_to_one_of_many_who_want_it(db: TestDb) {
    let glance = Glance::start(db).await;
    let rivals = (0..16).map(|number| {
        let mut client = glance.client.clone();
        let image = Image { id: ID.to_owned(), ..named(&number.to_string()) };
        let request = proto::glance::v1::CreateImageRequest { image: Some(image) };
        tokio::spawn(async move { client.create_image(request).await })
    });
    let rivals: Vec<_> = rivals.collect();
    let mut winners = Vec::new();
    for rival in rivals {
        match rival.await.unwrap() {
            Ok(created) => winners.push(created.into_inner()),
            Err(status) => {
                assert_error(&status, Code::AlreadyExists, "IMAGE_ID_TAKEN");
            }
        }
    }
    assert_eq!(winners, [glance.get(ID).await.unwrap()]);
}

async fn derives_the_status_from_the_size(db: TestDb) {
    let glance = Glance::start(db).await;
    for (size, status) in [(None, Status::Queued), (Some(0), Status::Active), (Some(7), Status::Active)] {
        let created = glance.create(Image { size, ..named("cirros") }).await.unwrap();
        assert_eq!((created.size, created.status()), (size, status));
        let given = Image { size, status: status.into(), ..named("cirros") };
        assert_eq!(glance.create(given).await.unwrap().status(), status);
    }
}

async fn refuses_a_status_that_contradicts_the_size(db: TestDb) {
    let glance = Glance::start(db).await;
    let active = Image { status: Status::Active.into(), ..named("cirros") };
    assert_violation(&glance.create(active).await.unwrap_err(), "image.size", "give its size");
    let queued = Image { status: Status::Queued.into(), size: Some(0), ..named("cirros") };
    assert_violation(&glance.create(queued).await.unwrap_err(), "image.size", "has no data");
}

async fn refuses_every_other_status(db: TestDb) {
    let glance = Glance::start(db).await;
    for number in 2..=9 {
        let status = Status::try_from(number).unwrap();
        if status == Status::Active {
            continue;
        }
        for size in [None, Some(1)] {
            let image = Image { status: number, size, ..named("cirros") };
            let refused = glance.create(image).await.unwrap_err();
            assert_violation(&refused, "image.status", "ACTIVE (with its size) or QUEUED");
        }
    }
}

async fn takes_the_owner_from_the_caller_unless_given(db: TestDb) {
    let mut glance = Glance::start(db).await;
    for (given, expected) in [("", "demo"), ("demo", "demo")] {
        let image = Image { owner: given.to_owned(), ..named("cirros") };
        let request = proto::glance::v1::CreateImageRequest { image: Some(image) };
        let created = glance.client.create_image(made_by("alice", "demo", request)).await.unwrap();
        assert_eq!(created.into_inner().owner, expected);
    }
    let owned = Image { owner: "other".to_owned(), ..named("cirros") };
    assert_eq!(glance.create(owned).await.unwrap().owner, "other");
}

async fn names_all_violations_at_once(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = Image {
        id: "not-a-uuid".to_owned(),
        name: "x".repeat(256),
        status: Status::Killed.into(),
        visibility: 99,
        owner: "o".repeat(256),
        disk_format: "QCOW2".to_owned(),
        container_format: "tar".to_owned(),
        min_ram: -1,
        min_disk: 1 << 31,
        size: Some(-1),
        checksum: "c".repeat(33),
        tags: vec![String::new()],
        properties: [("name", "x"), ("", "x"), ("good", "x")].map(|(k, v)| (k.into(), v.into())).into(),
        ..Default::default()
    };
    let mut found = fields(&glance.create(image).await.unwrap_err());
    found.sort_unstable();
    let expected = [
        "image.checksum",
        "image.container_format",
        "image.disk_format",
        "image.id",
        "image.min_disk",
        "image.min_ram",
        "image.name",
        "image.owner",
        "image.properties[\"\"]",
        "image.properties[\"name\"]",
        "image.size",
        "image.status",
        "image.tags[\"\"]",
        "image.visibility",
    ];
    assert_eq!(found, expected);
}

async fn takes_the_extremes(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = Image {
        owner: "é".repeat(255),
        min_ram: i64::from(i32::MAX),
        min_disk: i64::from(i32::MAX),
        tags: vec!["🦀".repeat(255)],
        ..named(&"🦀".repeat(255))
    };
    let created = glance.create(image.clone()).await.unwrap();
    assert_eq!((created.name, created.owner, created.tags), (image.name, image.owner, image.tags));
    assert_eq!((created.min_ram, created.min_disk), (image.min_ram, image.min_disk));
    let longer = glance.create(named(&"🦀".repeat(256))).await.unwrap_err();
    assert_violation(&longer, "image.name", "has 256 characters, at most 255");
}

async fn an_unknown_status_is_one_violation(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = Image { status: 77, size: Some(1), ..named("cirros") };
    assert_violation(&glance.create(image).await.unwrap_err(), "image.status", "77 is not a status");
}

async fn a_missing_image_needs_a_name(db: TestDb) {
    let mut glance = Glance::start(db).await;
    let request = proto::glance::v1::CreateImageRequest { image: None };
    let refused = glance.client.create_image(request).await.unwrap_err();
    assert_eq!(
        violations(&refused),
        [("image.name".to_owned(), "must not be empty: 1 to 255 characters".to_owned())]
    );
}

async fn writes_nothing_when_it_refuses(db: TestDb) {
    let glance = Glance::start(db).await;
    let bad = Image { id: ID.to_owned(), min_ram: -1, ..named("cirros") };
    glance.create(bad).await.unwrap_err();
    assert_not_found(&glance.get(ID).await.unwrap_err(), ID);
    assert!(glance.find("").await.is_empty());
    glance.create(Image { id: ID.to_owned(), ..named("cirros") }).await.unwrap();
}
