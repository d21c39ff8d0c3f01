//! Disk and container formats: which there are, which go together, when they can change.

use common::{on_both_databases, testing::TestDb};
use proto::glance::v1::{Image, image::Status};
use tonic::Code;

use crate::support::{Glance, assert_error, assert_violation, change_of, named};

on_both_databases!(
    fills_in_the_second_amazon_format,
    refuses_a_mix_of_amazon_formats,
    takes_every_known_format,
    completes_amazon_formats,
    locks_formats_outside_of_queued_and_importing,
);

async fn fills_in_the_second_amazon_format(db: TestDb) {
    let glance = Glance::start(db).await;
    for format in ["ami", "ari", "aki"] {
        let disk = Image { disk_format: format.to_owned(), ..named("disk") };
        let container = Image { container_format: format.to_owned(), ..named("container") };
        for image in [disk, container] {
            let created = glance.create(image).await.unwrap();
            assert_eq!((created.disk_format.as_str(), created.container_format.as_str()), (format, format));
        }
    }
}

async fn refuses_a_mix_of_amazon_formats(db: TestDb) {
    let glance = Glance::start(db).await;
    for (disk, container) in [("ami", "aki"), ("ami", "bare"), ("raw", "ari")] {
        let image =
            Image { disk_format: disk.to_owned(), container_format: container.to_owned(), ..named("cirros") };
        let refused = glance.create(image).await.unwrap_err();
        assert_violation(&refused, "image.container_format", "need the same in both");
    }
}

async fn takes_every_known_format(db: TestDb) {
    let glance = Glance::start(db).await;
    for disk in ["", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"] {
        for container in ["", "bare", "ovf", "ova", "docker", "compressed"] {
            let image = Image {
                disk_format: disk.to_owned(),
                container_format: container.to_owned(),
                ..named("cirros")
            };
            let created = glance.create(image).await.unwrap();
            assert_eq!((created.disk_format.as_str(), created.container_format.as_str()), (disk, container));
        }
    }
}

async fn completes_amazon_formats(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    let ami = Image { disk_format: "ami".to_owned(), ..change_of(&id) };
    let after = glance.update(ami, &[]).await.unwrap();
    assert_eq!(after.container_format, "ami");
    let bare = Image { container_format: "bare".to_owned(), ..change_of(&id) };
    let refused = glance.update(bare, &[]).await.unwrap_err();
    assert_violation(&refused, "image.container_format", "need the same in both");
}

async fn locks_formats_outside_of_queued_and_importing(db: TestDb) {
    let glance = Glance::start(db).await;
    for (status, open) in [
        (Status::Queued, true),
        (Status::Importing, true),
        (Status::Saving, false),
        (Status::Uploading, false),
    ] {
        let id = glance.create(Image { disk_format: "raw".into(), ..named("cirros") }).await.unwrap().id;
        glance.update(Image { status: status.into(), ..change_of(&id) }, &[]).await.unwrap();
        for attribute in ["disk_format", "container_format"] {
            let (disk_format, container_format) = ("iso".to_owned(), "bare".to_owned());
            let change = Image { disk_format, container_format, ..change_of(&id) };
            match glance.update(change, &[attribute]).await {
                Ok(_) => assert!(open, "{attribute} while {status:?}"),
                Err(refused) => {
                    assert!(!open, "{attribute} while {status:?}");
                    let metadata = assert_error(&refused, Code::FailedPrecondition, "ATTRIBUTE_LOCKED");
                    assert_eq!(metadata["attribute"], attribute);
                    assert_eq!(metadata["status"], status.as_str_name());
                    assert_eq!(metadata["allowed"], "QUEUED, IMPORTING");
                }
            }
        }
    }
}
