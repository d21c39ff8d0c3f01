//! What must be true of a request, in Nova's order.

use chassis::{on_both_databases, testing::TestDb};
use nova_api_svc::quota::Quota;
use proto::{
    glance::v1::{Image, image::Status as ImageStatus},
    nova::v1::CreateInstanceRequest,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    glance::map,
    support::{NOTHING, Nova, Settings, assert_error, assert_refused, bad_fields, of},
};

on_both_databases!(
    an_unknown_image_is_the_fault_of_the_request,
    an_unknown_flavor_is_the_fault_of_the_request,
    only_an_active_image_boots,
    the_flavor_has_the_memory_that_the_image_needs,
    the_image_fits_on_the_root_disk,
    the_root_disk_is_as_large_as_the_image_says,
    a_flavor_without_root_disk_skips_the_disk_checks_only,
    a_disabled_auto_disk_config_cannot_be_asked_for,
    the_first_check_that_fails_answers,
    validate_only_makes_every_check,
);

const GIB: i64 = 1024 * 1024 * 1024;

/// A request that must fail and leave nothing behind.
async fn refuse(nova: &Nova, request: CreateInstanceRequest) -> Status {
    let request = CreateInstanceRequest { request_id: "refused".to_owned(), ..request };
    let status = nova.create(request).await.unwrap_err();
    assert_eq!(nova.rows().await, NOTHING);
    status
}

fn on(flavor_id: &str, image: &Image) -> CreateInstanceRequest {
    CreateInstanceRequest { flavor_id: flavor_id.to_owned(), ..of(image) }
}

async fn an_unknown_image_is_the_fault_of_the_request(db: TestDb) {
    let nova = Nova::start(db).await;
    let id = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";
    let status = refuse(&nova, of(&Image { id: id.to_owned(), ..Image::default() })).await;
    let values = assert_error(&status, Code::InvalidArgument, "IMAGE_NOT_FOUND");
    assert_eq!((&values["image_id"], &values["field"]), (id, "image_id"));
    assert_eq!(bad_fields(&status), [("image_id".to_owned(), status.message().to_owned())]);
    assert!(status.message().contains(id));
}

async fn an_unknown_flavor_is_the_fault_of_the_request(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let status = refuse(&nova, on("m1.tiny", &image)).await;
    let values = assert_error(&status, Code::InvalidArgument, "FLAVOR_NOT_FOUND");
    assert_eq!(&values["flavor_id"], "m1.tiny");
    assert_eq!(bad_fields(&status), [("flavor_id".to_owned(), status.message().to_owned())]);
}

async fn only_an_active_image_boots(db: TestDb) {
    let nova = Nova::start(db).await;
    for image_status in [
        ImageStatus::Queued,
        ImageStatus::Saving,
        ImageStatus::Uploading,
        ImageStatus::Importing,
        ImageStatus::Deactivated,
        ImageStatus::Killed,
        ImageStatus::PendingDelete,
        ImageStatus::Deleted,
    ] {
        let image = nova.glance.add(Image { status: image_status.into(), ..Image::default() });
        let status = refuse(&nova, of(&image)).await;
        let values = assert_refused(&status, "IMAGE_NOT_ACTIVE", &image.id);
        assert_eq!((&values["status"], &values["needed"]), (image_status.as_str_name(), "ACTIVE"));
    }
}

async fn the_flavor_has_the_memory_that_the_image_needs(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.add(Image { min_ram: 2049, ..Image::default() });
    let status = refuse(&nova, of(&image)).await;
    let values = assert_refused(&status, "FLAVOR_MEMORY_TOO_SMALL", &image.id);
    assert_eq!((&values["needed_mb"], &values["available_mb"]), ("2049", "2048"));
    assert_eq!(&values["flavor_id"], "2");

    let image = nova.glance.add(Image { min_ram: i64::MAX, ..Image::default() });
    assert_refused(&refuse(&nova, on("5", &image)).await, "FLAVOR_MEMORY_TOO_SMALL", &image.id);
    let image = nova.glance.add(Image { min_ram: 2048, ..Image::default() });
    nova.create_one(of(&image)).await;
}

async fn the_image_fits_on_the_root_disk(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.add(Image { size: Some(20 * GIB + 1), ..Image::default() });
    let status = refuse(&nova, of(&image)).await;
    let values = assert_refused(&status, "FLAVOR_DISK_SMALLER_THAN_IMAGE", &image.id);
    assert_eq!((&values["needed_bytes"], &values["available_bytes"]), ("21474836481", "21474836480"));
    assert_eq!(&values["flavor_id"], "2");

    let image = nova.glance.add(Image { size: Some(i64::MAX), ..Image::default() });
    assert_refused(&refuse(&nova, of(&image)).await, "FLAVOR_DISK_SMALLER_THAN_IMAGE", &image.id);
    let image = nova.glance.add(Image { size: Some(20 * GIB), ..Image::default() });
    nova.create_one(of(&image)).await;
}

async fn the_root_disk_is_as_large_as_the_image_says(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.add(Image { min_disk: 21, size: Some(1), ..Image::default() });
    let status = refuse(&nova, of(&image)).await;
    let values = assert_refused(&status, "FLAVOR_DISK_SMALLER_THAN_MIN_DISK", &image.id);
    assert_eq!((&values["needed_gb"], &values["available_gb"]), ("21", "20"));
    assert_eq!(&values["flavor_id"], "2");

    let image = nova.glance.add(Image { min_disk: 20, ..Image::default() });
    nova.create_one(of(&image)).await;
}

async fn a_flavor_without_root_disk_skips_the_disk_checks_only(db: TestDb) {
    let nova = Nova::start(db).await;
    nova.flavor("diskless", 512, 1, 0).await;
    let image = Image { min_disk: 99, size: Some(i64::MAX), min_ram: 512, ..Image::default() };
    let image = nova.glance.add(image);
    let memory = nova.glance.add(Image { id: String::new(), min_ram: 513, ..image.clone() });
    let status = refuse(&nova, on("diskless", &memory)).await;
    assert_refused(&status, "FLAVOR_MEMORY_TOO_SMALL", &memory.id);
    nova.create_one(on("diskless", &image)).await;
}

async fn a_disabled_auto_disk_config_cannot_be_asked_for(db: TestDb) {
    let nova = Nova::start(db).await;
    for value in ["disabled", " Disabled ", "DISABLED\n"] {
        let image = nova.glance.with(&[("auto_disk_config", value)]);
        let status =
            refuse(&nova, CreateInstanceRequest { auto_disk_config: Some(true), ..of(&image) }).await;
        assert_refused(&status, "AUTO_DISK_CONFIG_DISABLED", &image.id);
    }
}

/// A request that fails everything; each cure makes the next check the first that fails.
async fn the_first_check_that_fails_answers(db: TestDb) {
    let settings =
        Settings { quota: Quota { instances: Some(0), ..Quota::default() }, ..Settings::default() };
    let nova = Nova::start_with(db, settings).await;
    let unknown = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";
    let mut image = Image {
        id: unknown.to_owned(),
        status: ImageStatus::Queued.into(),
        min_ram: 4096,
        size: Some(30 * GIB),
        min_disk: 25,
        properties: map(&[("auto_disk_config", "disabled"), ("kernel_id", unknown), ("ramdisk_id", "none")]),
        ..Image::default()
    };
    let mut request = CreateInstanceRequest {
        flavor_id: "none".to_owned(),
        auto_disk_config: Some(true),
        metadata: map(&[("", "")]),
        min_count: -1,
        ..of(&image)
    };
    let reason = async |request: &CreateInstanceRequest| {
        let status = refuse(&nova, request.clone()).await;
        status.get_details_error_info().unwrap().reason
    };
    assert_eq!(reason(&request).await, "INVALID_REQUEST");
    request.min_count = 1;
    assert_eq!(reason(&request).await, "FLAVOR_NOT_FOUND");
    "2".clone_into(&mut request.flavor_id);
    assert_eq!(reason(&request).await, "IMAGE_NOT_FOUND");
    image = nova.glance.add(image);
    assert_eq!(reason(&request).await, "AUTO_DISK_CONFIG_DISABLED");
    request.auto_disk_config = None;
    assert_eq!(reason(&request).await, "INVALID_REQUEST");
    request.metadata.clear();
    assert_eq!(reason(&request).await, "IMAGE_NOT_ACTIVE");
    image = nova.glance.add(Image { status: ImageStatus::Active.into(), ..image });
    assert_eq!(reason(&request).await, "FLAVOR_MEMORY_TOO_SMALL");
    image = nova.glance.add(Image { min_ram: 2048, ..image });
    assert_eq!(reason(&request).await, "FLAVOR_DISK_SMALLER_THAN_IMAGE");
    image = nova.glance.add(Image { size: Some(1), ..image });
    assert_eq!(reason(&request).await, "FLAVOR_DISK_SMALLER_THAN_MIN_DISK");
    image = nova.glance.add(Image { min_disk: 20, ..image });
    // The kernel is an image now, namely this one; the ramdisk is not.
    assert_eq!(reason(&request).await, "IMAGE_NOT_FOUND");
    image.properties.remove("ramdisk_id");
    nova.glance.add(image);
    assert_eq!(reason(&request).await, "QUOTA_EXCEEDED");
}

async fn validate_only_makes_every_check(db: TestDb) {
    let settings = Settings { quota: Quota { cores: Some(1), ..Quota::default() }, ..Settings::default() };
    let nova = Nova::start_with(db, settings).await;
    let image = nova.glance.add(Image { min_ram: 513, ..Image::default() });
    let small = nova.glance.with(&[("kernel_id", "none"), ("auto_disk_config", "disabled")]);
    let request = CreateInstanceRequest { validate_only: true, ..of(&image) };
    let of_small = CreateInstanceRequest { validate_only: true, ..of(&small) };
    let unknown = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11".to_owned();
    for (request, reason) in [
        (CreateInstanceRequest { name: String::new(), ..request.clone() }, "INVALID_REQUEST"),
        (CreateInstanceRequest { flavor_id: "none".to_owned(), ..request.clone() }, "FLAVOR_NOT_FOUND"),
        (CreateInstanceRequest { image_id: unknown.clone(), ..request.clone() }, "IMAGE_NOT_FOUND"),
        (CreateInstanceRequest { flavor_id: "1".to_owned(), ..request.clone() }, "FLAVOR_MEMORY_TOO_SMALL"),
        (
            CreateInstanceRequest { auto_disk_config: Some(true), ..of_small.clone() },
            "AUTO_DISK_CONFIG_DISABLED",
        ),
        (CreateInstanceRequest { metadata: map(&[(" ", "")]), ..of_small.clone() }, "INVALID_REQUEST"),
        (of_small, "IMAGE_NOT_FOUND"),
        (CreateInstanceRequest { kernel_id: unknown, ..request.clone() }, "IMAGE_NOT_FOUND"),
        (CreateInstanceRequest { flavor_id: "3".to_owned(), ..request.clone() }, "QUOTA_EXCEEDED"),
        (
            CreateInstanceRequest {
                flavor_id: "5".to_owned(),
                name: "x".repeat(255),
                min_count: 2,
                ..request.clone()
            },
            "QUOTA_EXCEEDED",
        ),
    ] {
        let status = refuse(&nova, request).await;
        assert_eq!(status.get_details_error_info().unwrap().reason, reason);
    }
    nova.create(request).await.unwrap();
    assert_eq!(nova.rows().await, NOTHING);
}
