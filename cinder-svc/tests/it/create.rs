//! Creating volumes: what they remember, and what is refused.

use std::time::Duration;

use chassis::{on_both_databases, testing::TestDb};
use peers::testing::glance::{ClosedPort, Mood, map};
use proto::{
    cinder::v1::{
        CompareVolumeRequest, CreateVolumeRequest, GetVolumeRequest, UpdateVolumeImagePropertiesRequest,
        VolumeType, create_volume_request::Source, volume::Status as VolumeStatus,
        volume_service_client::VolumeServiceClient,
    },
    glance::v1::{Image, image::Status as ImageStatus},
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{
    Cinder, Settings, as_alice, assert_error, assert_violation, fields, from_image, made_as,
};

on_both_databases!(
    a_volume_remembers_its_image_as_it_was,
    a_volume_is_made_from_an_earlier_revision,
    properties_follow_the_data_into_clones,
    a_blank_volume_has_properties_of_its_own,
    the_size_follows_from_the_image,
    what_does_not_fit_is_refused,
    the_volume_type_is_that_of_the_request_the_source_the_image_or_the_default,
    all_that_is_wrong_is_told_at_once,
    a_retry_is_answered_with_the_same_volume,
    sixteen_with_one_request_id_make_one_volume,
    without_glance_nothing_is_written_and_a_retry_works,
    nothing_is_written_to_validate,
    only_members_create_and_only_their_project_sees,
);

const GIB: i64 = 1 << 30;

fn image() -> Image {
    Image {
        name: "ubuntu".to_owned(),
        disk_format: "qcow2".to_owned(),
        container_format: "bare".to_owned(),
        checksum: "5d41402abc4b2a76b9719d911017c592".to_owned(),
        min_disk: 2,
        min_ram: 512,
        size: Some(7),
        properties: map(&[("hw_disk_bus", "scsi"), ("min_disk_note", "x"), ("image_id", "shadow")]),
        ..Image::default()
    }
}

fn of_volume(id: &str) -> CreateVolumeRequest {
    CreateVolumeRequest { source: Some(Source::SourceVolumeId(id.to_owned())), ..Default::default() }
}

async fn refused(cinder: &Cinder, request: CreateVolumeRequest) -> Status {
    let refused = cinder.create(request).await.unwrap_err();
    assert_eq!(cinder.count("SELECT COUNT(*) FROM volumes").await, 0);
    assert_eq!(cinder.count("SELECT COUNT(*) FROM create_requests").await, 0);
    refused
}

async fn a_volume_remembers_its_image_as_it_was(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let image = cinder.glance.add(image());
    let added = map(&[("hw_disk_bus", "virtio"), ("os_distro", "ubuntu")]);
    let request = CreateVolumeRequest { image_properties: added, ..from_image(&image) };
    let volume = cinder.create(request).await.unwrap();
    assert_eq!((volume.size_gib, volume.bootable, volume.status()), (2, true, VolumeStatus::Available));
    let stamp = volume.image.clone().unwrap();
    assert_eq!((&stamp.id, stamp.revision, stamp.name.as_str()), (&image.id, 1, "ubuntu"));
    assert_eq!((stamp.min_disk, stamp.min_ram, stamp.size), (2, 512, Some(7)));
    let properties = map(&[
        ("hw_disk_bus", "virtio"),
        ("image_id", "shadow"),
        ("min_disk_note", "x"),
        ("os_distro", "ubuntu"),
    ]);
    assert_eq!(volume.image_properties, properties);
    cinder.glance.change(&image.id, |image| image.properties = map(&[("hw_disk_bus", "ide")]));
    assert_eq!(cinder.get(&volume.id).await.unwrap(), volume);

    let request = CompareVolumeRequest { id: volume.id.clone() };
    let compared = cinder.volumes().compare_volume(as_alice(request)).await.unwrap().into_inner();
    assert_eq!((compared.image_revision, compared.current_revision, compared.has_revision), (1, 2, true));
    let properties = |differences: &[proto::cinder::v1::ImageDifference]| {
        differences
            .iter()
            .map(|one| (one.volume_value.clone().unwrap_or_default(), one.image_value.clone()))
            .collect::<Vec<_>>()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        properties(&compared.at_revision),
        [("virtio".to_owned(), text("scsi")), ("ubuntu".to_owned(), None)]
    );
    assert_eq!(compared.current.len(), 4);
}

async fn a_volume_is_made_from_an_earlier_revision(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let image = cinder.glance.add(image());
    cinder.glance.change(&image.id, |image| image.properties.clear());
    let at = |image_revision| CreateVolumeRequest { image_revision, ..from_image(&image) };
    let refused = refused(&cinder, at(7)).await;
    let values = assert_error(&refused, Code::InvalidArgument, "IMAGE_REVISION_NOT_FOUND");
    assert_eq!(&values["image_revision"], "7");
    let volume = cinder.create(at(1)).await.unwrap();
    assert_eq!(volume.image.unwrap().revision, 1);
    assert_eq!(volume.image_properties["hw_disk_bus"], "scsi");
    assert_eq!(cinder.create(at(0)).await.unwrap().image.unwrap().revision, 2);
}

async fn properties_follow_the_data_into_clones(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let image = cinder.glance.add(image());
    let source = cinder.create(from_image(&image)).await.unwrap();
    let update = UpdateVolumeImagePropertiesRequest {
        id: source.id.clone(),
        set: map(&[("edited", "yes")]),
        remove: vec!["hw_disk_bus".to_owned()],
        ..Default::default()
    };
    cinder.volumes().update_volume_image_properties(as_alice(update)).await.unwrap();
    cinder.glance.lose(&image);
    let clone = cinder.create(of_volume(&source.id)).await.unwrap();
    assert_eq!(clone.image, source.image);
    assert_eq!(clone.image_properties, cinder.get(&source.id).await.unwrap().image_properties);
    assert_eq!(clone.image_properties["edited"], "yes");
    assert_eq!((clone.size_gib, clone.bootable, &clone.source_volume_id), (2, true, &source.id));
    let smaller = CreateVolumeRequest { size_gib: Some(1), ..of_volume(&source.id) };
    let refused = cinder.create(smaller).await.unwrap_err();
    assert_error(&refused, Code::InvalidArgument, "VOLUME_SMALLER_THAN_SOURCE");
}

async fn a_blank_volume_has_properties_of_its_own(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let request = CreateVolumeRequest {
        size_gib: Some(1),
        image_properties: map(&[("hw_disk_bus", "scsi")]),
        ..Default::default()
    };
    let volume = cinder.create(request).await.unwrap();
    assert_eq!((volume.image, volume.bootable), (None, false));
    assert_eq!(volume.image_properties, map(&[("hw_disk_bus", "scsi")]));
}

async fn the_size_follows_from_the_image(db: TestDb) {
    let cinder = Cinder::start(db).await;
    for (size, virtual_size, min_disk, expected) in
        [(7, None, 0, 1), (GIB + 1, None, 0, 2), (7, Some(5 * GIB), 2, 5), (7, Some(GIB), 7, 7)]
    {
        let image = Image { size: Some(size), virtual_size, min_disk, ..image() };
        let volume = cinder.create(from_image(&cinder.glance.add(image))).await.unwrap();
        assert_eq!(volume.size_gib, expected);
    }
}

async fn what_does_not_fit_is_refused(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let cases = [
        (Image { size: Some(GIB + 1), min_disk: 0, ..image() }, "VOLUME_SMALLER_THAN_IMAGE"),
        (image(), "VOLUME_SMALLER_THAN_MIN_DISK"),
        (Image { virtual_size: Some(GIB + 1), min_disk: 1, ..image() }, "VOLUME_SMALLER_THAN_VIRTUAL_SIZE"),
        (Image { status: ImageStatus::Queued.into(), ..image() }, "IMAGE_NOT_ACTIVE"),
        (Image { properties: map(&[("cinder_encryption_key_id", "k")]), ..image() }, "IMAGE_ENCRYPTED"),
    ];
    for (image, reason) in cases {
        let image = cinder.glance.add(image);
        let request = CreateVolumeRequest { size_gib: Some(1), ..from_image(&image) };
        let values = assert_error(&refused(&cinder, request).await, Code::FailedPrecondition, reason);
        assert_eq!(&values["image_id"], image.id);
    }
    let zone = CreateVolumeRequest {
        size_gib: Some(1),
        availability_zone: "mars".to_owned(),
        ..CreateVolumeRequest::default()
    };
    let refusal = refused(&cinder, zone).await;
    assert_error(&refusal, Code::InvalidArgument, "AVAILABILITY_ZONE_NOT_FOUND");
    let nowhere = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";
    for (source, reason) in [
        (Source::ImageId(nowhere.to_owned()), "IMAGE_NOT_FOUND"),
        (Source::SnapshotId(nowhere.to_owned()), "SNAPSHOT_NOT_FOUND"),
        (Source::SourceVolumeId(nowhere.to_owned()), "VOLUME_NOT_FOUND"),
    ] {
        let request = CreateVolumeRequest { source: Some(source), ..Default::default() };
        assert_error(&refused(&cinder, request).await, Code::InvalidArgument, reason);
    }
}

async fn the_volume_type_is_that_of_the_request_the_source_the_image_or_the_default(db: TestDb) {
    let cinder = Cinder::start(db).await;
    for (name, size) in [("ssd", "3"), ("hdd", "1")] {
        let extra_specs = map(&[("provisioning:min_vol_size", size)]);
        let volume_type =
            VolumeType { name: name.to_owned(), is_public: true, extra_specs, ..Default::default() };
        cinder.volume_type(volume_type).await.unwrap();
    }
    let asks = |name: &str| Image { properties: map(&[("cinder_img_volume_type", name)]), ..image() };
    let image = cinder.glance.add(asks("ssd"));
    let refusal = refused(&cinder, from_image(&image)).await;
    let values = assert_error(&refusal, Code::InvalidArgument, "VOLUME_TYPE_SIZE");
    assert_eq!((&values["volume_type"], &values["minimum_gib"]), ("ssd", "3"));
    let unknown = cinder.glance.add(asks("tape"));
    let refusal = refused(&cinder, from_image(&unknown)).await;
    assert_error(&refusal, Code::FailedPrecondition, "VOLUME_TYPE_NOT_FOUND");

    let larger = CreateVolumeRequest { size_gib: Some(3), ..from_image(&image) };
    let source = cinder.create(larger).await.unwrap();
    assert_eq!(source.volume_type, "ssd");
    assert_eq!(cinder.create(of_volume(&source.id)).await.unwrap().volume_type, "ssd");
    let named = CreateVolumeRequest { volume_type: "hdd".to_owned(), ..from_image(&image) };
    assert_eq!(cinder.create(named).await.unwrap().volume_type, "hdd");
    let plain = cinder.glance.add(self::image());
    assert_eq!(cinder.create(from_image(&plain)).await.unwrap().volume_type, "__DEFAULT__");
}

async fn all_that_is_wrong_is_told_at_once(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let request = CreateVolumeRequest {
        name: "x".repeat(256),
        description: "y".repeat(256),
        size_gib: Some(0),
        source: Some(Source::ImageId("ubuntu".to_owned())),
        image_revision: -1,
        metadata: map(&[("", "v")]),
        image_properties: map(&[("image_id", "v"), ("status", "v")]),
        request_id: "z".repeat(256),
        ..CreateVolumeRequest::default()
    };
    let expected = [
        "name",
        "description",
        "image_id",
        "image_revision",
        "size_gib",
        "metadata[\"\"]",
        "image_properties[\"status\"]",
        "image_properties[\"image_id\"]",
        "request_id",
    ];
    assert_eq!(fields(&refused(&cinder, request).await), expected);
    let blank = refused(&cinder, CreateVolumeRequest::default()).await;
    assert_violation(&blank, "size_gib", "must be given");
}

async fn a_retry_is_answered_with_the_same_volume(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let image = cinder.glance.add(image());
    let request = CreateVolumeRequest { request_id: "r".to_owned(), ..from_image(&image) };
    let first = cinder.create(request.clone()).await.unwrap();
    cinder.glance.be(Mood::Failing(Status::unavailable("SECRET")));
    let mut replica = VolumeServiceClient::new(cinder.replica(&Settings::default()).await);
    let again = replica.create_volume(as_alice(request.clone())).await.unwrap().into_inner();
    assert_eq!(again, first);
    let other = CreateVolumeRequest { name: "other".to_owned(), ..request.clone() };
    let taken = cinder.create(other).await.unwrap_err();
    assert_error(&taken, Code::AlreadyExists, "REQUEST_ID_TAKEN");
    cinder.glance.be(Mood::Well);
    let elsewhere = made_as("bob", "other", "member", request);
    assert_ne!(replica.create_volume(elsewhere).await.unwrap().into_inner().id, first.id);
}

async fn sixteen_with_one_request_id_make_one_volume(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let image = cinder.glance.add(image());
    let request = CreateVolumeRequest { request_id: "r".to_owned(), ..from_image(&image) };
    let replica = VolumeServiceClient::new(cinder.replica(&Settings::default()).await);
    let creates = (0..16).map(|number| {
        let mut client = if number % 2 == 0 { cinder.volumes() } else { replica.clone() };
        let request = as_alice(request.clone());
        async move { client.create_volume(request).await.unwrap().into_inner().id }
    });
    let mut ids = futures_util::future::join_all(creates).await;
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(cinder.count("SELECT COUNT(*) FROM volumes").await, 1);
}

async fn without_glance_nothing_is_written_and_a_retry_works(db: TestDb) {
    let port = ClosedPort::reserve();
    let settings = Settings { glance_endpoint: Some(port.endpoint()), ..Settings::default() };
    let cinder = Cinder::start_with(db, settings).await;
    let image = Image { id: "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11".to_owned(), ..image() };
    let request = CreateVolumeRequest { request_id: "r".to_owned(), ..from_image(&image) };
    let refusal = refused(&cinder, request.clone()).await;
    assert_error(&refusal, Code::Unavailable, "GLANCE_UNAVAILABLE");
    let delay = refusal.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(delay > Duration::ZERO);
    port.open().add(image);
    assert_eq!(cinder.create(request).await.unwrap().name, "disk");
}

async fn nothing_is_written_to_validate(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let image = cinder.glance.add(image());
    let request = CreateVolumeRequest { validate_only: true, ..from_image(&image) };
    let volume = cinder.create(request).await.unwrap();
    assert_eq!(volume.image_properties, image.properties);
    assert_eq!(cinder.count("SELECT COUNT(*) FROM volumes").await, 0);
    assert_eq!(cinder.count("SELECT COUNT(*) FROM records").await, 0);
    assert_error(&cinder.get(&volume.id).await.unwrap_err(), Code::NotFound, "VOLUME_NOT_FOUND");
}

async fn only_members_create_and_only_their_project_sees(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let image = cinder.glance.add(image());
    let volume = cinder.create(from_image(&image)).await.unwrap();
    let mut client = cinder.volumes();
    for (project, roles) in [("demo", "reader"), ("", "member"), ("demo", "service")] {
        let request = made_as("eve", project, roles, from_image(&image));
        let refused = client.create_volume(request).await.unwrap_err();
        assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
    }
    let get = || GetVolumeRequest { id: volume.id.clone(), revision: 0 };
    let elsewhere = client.get_volume(made_as("eve", "other", "member", get())).await.unwrap_err();
    assert_error(&elsewhere, Code::NotFound, "VOLUME_NOT_FOUND");
    for (project, roles) in [("demo", "reader"), ("other", "service"), ("other", "admin")] {
        client.get_volume(made_as("eve", project, roles, get())).await.unwrap();
    }
}
