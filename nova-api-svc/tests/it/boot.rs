//! Kernel and ramdisk: the request's, else the image's.

use chassis::{on_both_databases, testing::TestDb};
use proto::{
    glance::v1::{Image, image::Status as ImageStatus},
    nova::v1::CreateInstanceRequest,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    glance::map,
    support::{NOTHING, Nova, assert_error, bad_fields, of},
};

on_both_databases!(
    kernel_and_ramdisk_come_from_the_properties,
    the_request_wins_over_the_properties,
    no_kernel_means_neither,
    an_empty_property_is_no_kernel,
    no_kernel_is_no_ramdisk_of_that_name,
    an_unknown_kernel_of_the_request_is_its_fault,
    an_unknown_kernel_of_the_property_is_the_images_fault,
    a_property_that_is_no_id_is_the_images_fault,
    a_property_of_any_text_is_told_cleanly,
);

const UNKNOWN: &str = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";

/// An image that boots with the two, and one that has them as properties.
async fn with_kernel_and_ramdisk(db: TestDb) -> (Nova, Image, Image, Image) {
    let nova = Nova::start(db).await;
    let kernel = nova.glance.with(&[]);
    // It must exist; nothing else is asked of it.
    let ramdisk = nova.glance.add(Image { status: ImageStatus::Queued.into(), ..Image::default() });
    let image = nova.glance.with(&[("kernel_id", &kernel.id), ("ramdisk_id", &ramdisk.id)]);
    (nova, image, kernel, ramdisk)
}

async fn boots(nova: &Nova, request: CreateInstanceRequest) -> (String, String) {
    let instance = nova.create_one(request).await;
    assert_eq!(nova.get(&instance.id).await.unwrap(), instance);
    (instance.kernel_id, instance.ramdisk_id)
}

async fn refuse(nova: &Nova, request: CreateInstanceRequest) -> Status {
    let status = nova.create(request).await.unwrap_err();
    assert_eq!(nova.rows().await, NOTHING);
    status
}

async fn kernel_and_ramdisk_come_from_the_properties(db: TestDb) {
    let (nova, image, kernel, ramdisk) = with_kernel_and_ramdisk(db).await;
    assert_eq!(boots(&nova, of(&image)).await, (kernel.id.clone(), ramdisk.id.clone()));
    let mut asked: Vec<_> = nova.glance.calls().into_iter().map(|call| call.id).collect();
    assert_eq!(asked.remove(0), image.id);
    asked.sort();
    let mut expected = [kernel.id, ramdisk.id];
    expected.sort();
    assert_eq!(asked, expected);
}

async fn the_request_wins_over_the_properties(db: TestDb) {
    let (nova, image, kernel, ramdisk) = with_kernel_and_ramdisk(db).await;
    let (kernel_id, ramdisk_id) = (ramdisk.id.to_uppercase(), kernel.id.clone());
    let request = CreateInstanceRequest { kernel_id, ramdisk_id, ..of(&image) };
    assert_eq!(boots(&nova, request).await, (ramdisk.id.clone(), kernel.id));
    let plain = nova.glance.with(&[("kernel_id", UNKNOWN), ("ramdisk_id", &ramdisk.id)]);
    let request = CreateInstanceRequest { kernel_id: ramdisk.id.clone(), ..of(&plain) };
    assert_eq!(boots(&nova, request).await, (ramdisk.id.clone(), ramdisk.id));
}

async fn no_kernel_means_neither(db: TestDb) {
    let (nova, image, kernel, ramdisk) = with_kernel_and_ramdisk(db).await;
    let neither = (String::new(), String::new());
    let request = CreateInstanceRequest { kernel_id: "nokernel".to_owned(), ..of(&image) };
    assert_eq!(boots(&nova, request.clone()).await, neither);
    let request = CreateInstanceRequest { ramdisk_id: ramdisk.id.clone(), ..request };
    assert_eq!(boots(&nova, request).await, neither);

    let image = nova.glance.with(&[("kernel_id", "nokernel"), ("ramdisk_id", UNKNOWN)]);
    assert_eq!(boots(&nova, of(&image)).await, neither);
    // The ramdisk of the request goes with the kernel of the image; a kernel of the request brings it back.
    let request = CreateInstanceRequest { ramdisk_id: ramdisk.id.clone(), ..of(&image) };
    assert_eq!(boots(&nova, request.clone()).await, neither);
    let request = CreateInstanceRequest { kernel_id: kernel.id.clone(), ..request };
    assert_eq!(boots(&nova, request).await, (kernel.id, ramdisk.id));
}

async fn an_empty_property_is_no_kernel(db: TestDb) {
    let (nova, _, _, ramdisk) = with_kernel_and_ramdisk(db).await;
    let image = nova.glance.with(&[("kernel_id", ""), ("ramdisk_id", &ramdisk.id)]);
    assert_eq!(boots(&nova, of(&image)).await, (String::new(), ramdisk.id));
}

async fn no_kernel_is_no_ramdisk_of_that_name(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("ramdisk_id", "nokernel")]);
    let status = refuse(&nova, of(&image)).await;
    let values = assert_error(&status, Code::FailedPrecondition, "IMAGE_NOT_FOUND");
    assert_eq!(&values["image_id"], "nokernel");
}

async fn an_unknown_kernel_of_the_request_is_its_fault(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let kernel = CreateInstanceRequest { kernel_id: UNKNOWN.to_owned(), ..of(&image) };
    let ramdisk = CreateInstanceRequest { ramdisk_id: UNKNOWN.to_owned(), ..of(&image) };
    let both = CreateInstanceRequest { ramdisk_id: UNKNOWN.to_owned(), ..kernel.clone() };
    for (request, field) in [(kernel, "kernel_id"), (ramdisk, "ramdisk_id"), (both, "kernel_id")] {
        let status = refuse(&nova, request).await;
        let values = assert_error(&status, Code::InvalidArgument, "IMAGE_NOT_FOUND");
        assert_eq!((&values["image_id"], &values["field"]), (UNKNOWN, field));
        assert_eq!(bad_fields(&status), [(field.to_owned(), status.message().to_owned())]);
    }
}

async fn an_unknown_kernel_of_the_property_is_the_images_fault(db: TestDb) {
    let nova = Nova::start(db).await;
    for name in ["kernel_id", "ramdisk_id"] {
        let image = nova.glance.with(&[(name, UNKNOWN)]);
        assert_image_is_missing(&refuse(&nova, of(&image)).await, name, UNKNOWN);
    }
}

async fn a_property_that_is_no_id_is_the_images_fault(db: TestDb) {
    let nova = Nova::start(db).await;
    for name in ["kernel_id", "ramdisk_id"] {
        let image = nova.glance.with(&[(name, "vmlinuz")]);
        assert_image_is_missing(&refuse(&nova, of(&image)).await, name, "vmlinuz");
        assert_eq!(nova.glance.calls().pop().unwrap().id, image.id);
    }
}

async fn a_property_of_any_text_is_told_cleanly(db: TestDb) {
    let nova = Nova::start(db).await;
    for value in
        ["🎉".repeat(10_000), "\u{1}\r\n%".to_owned(), " nokernel".to_owned(), "\u{10ffff}".repeat(99)]
    {
        let image = nova.glance.add(Image { properties: map(&[("kernel_id", &value)]), ..Image::default() });
        let status = refuse(&nova, of(&image)).await;
        assert_error(&status, Code::FailedPrecondition, "IMAGE_NOT_FOUND");
        assert!(status.message().starts_with("property kernel_id of the image: there is no image "));
    }
}

#[track_caller]
fn assert_image_is_missing(status: &Status, property: &str, id: &str) {
    let values = assert_error(status, Code::FailedPrecondition, "IMAGE_NOT_FOUND");
    let field = format!("property {property} of the image");
    assert_eq!((&values["image_id"], &values["field"]), (id, field.as_str()));
    let failure = status.get_details_precondition_failure().unwrap();
    assert_eq!(failure.violations.len(), 1);
    assert_eq!(failure.violations[0].r#type, "IMAGE_EXISTS");
    assert_eq!(failure.violations[0].subject, format!("image/{id}"));
}
