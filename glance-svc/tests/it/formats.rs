//! Disk and container formats: which there are, when they can change.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{Image, image::Status};
use tonic::Code;

use crate::support::{Glance, assert_error, change_of, named};

on_both_databases!(takes_every_known_format, locks_formats_outside_of_queued_and_importing,);

/// Glance's current release: any two formats, none is filled in.
async fn takes_every_known_format(db: TestDb) {
    let glance = Glance::start(db).await;
    for disk in ["", "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"] {
        for container in ["", "ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"] {
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
