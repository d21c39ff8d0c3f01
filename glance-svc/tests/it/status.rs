//! The status machine: every move of Glance's current release, and no other.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{
    Image,
    image::Status::{
        self, Active, Deactivated, Deleted, Importing, Killed, PendingDelete, Queued, Saving, Uploading,
    },
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Glance, assert_error, assert_violation, change_of};

on_both_databases!(
    makes_the_legal_moves_and_no_other,
    needs_a_size_to_become_active,
    forgets_the_data_when_it_is_queued_again,
    a_size_given_on_the_way_back_is_forgotten_too,
    deletes_from_every_status,
);

const STATUSES: [Status; 8] =
    [Queued, Saving, Uploading, Importing, Active, Deactivated, Killed, PendingDelete];

/// How an image gets into a status, and where it may go from there (deletion aside).
const fn path_and_next(status: Status) -> (&'static [Status], &'static [Status]) {
    match status {
        Queued => (&[], &[Saving, Uploading, Importing, Active]),
        Saving => (&[Saving], &[Active, Killed, Queued]),
        Uploading => (&[Uploading], &[Importing, Queued]),
        Importing => (&[Importing], &[Active, Queued]),
        Active => (&[Active], &[PendingDelete, Deactivated]),
        Deactivated => (&[Active, Deactivated], &[Active]),
        Killed => (&[Saving, Killed], &[]),
        PendingDelete => (&[Active, PendingDelete], &[Active]),
        Deleted | Status::Unspecified => panic!("no image gets there"),
    }
}

async fn image_in(glance: &Glance, status: Status) -> Image {
    let mut image = glance.named("cirros").await;
    for next in path_and_next(status).0 {
        image = go(glance, &image, *next).await.unwrap();
    }
    assert_eq!(image.status(), status);
    image
}

/// Moves an image, with a size where that needs one.
async fn go(glance: &Glance, image: &Image, status: Status) -> Result<Image, tonic::Status> {
    let size = image.size.or((status == Active).then_some(7));
    let mask: &[&str] = if size == image.size { &["status"] } else { &["status", "size"] };
    glance.update(Image { status: status.into(), size, ..change_of(&image.id) }, mask).await
}

async fn makes_the_legal_moves_and_no_other(db: TestDb) {
    let glance = Glance::start(db).await;
    for from in STATUSES {
        let legal = path_and_next(from).1;
        for to in STATUSES.into_iter().chain([Deleted]).filter(|to| *to != from) {
            let image = image_in(&glance, from).await;
            match go(&glance, &image, to).await {
                Ok(moved) => {
                    assert!(legal.contains(&to), "{from:?} to {to:?} must be refused");
                    assert_eq!((moved.status(), moved.revision), (to, image.revision + 1));
                }
                Err(refused) => {
                    assert!(!legal.contains(&to), "{from:?} to {to:?}: {refused:?}");
                    assert_illegal(&refused, from, to);
                    assert_eq!(glance.get(&image.id).await.unwrap(), image);
                }
            }
        }
    }
}

#[track_caller]
fn assert_illegal(refused: &tonic::Status, from: Status, to: Status) {
    let metadata = assert_error(refused, Code::FailedPrecondition, "ILLEGAL_STATUS_MOVE");
    assert_eq!((metadata["from"].as_str(), metadata["to"].as_str()), (from.as_str_name(), to.as_str_name()));
    for next in path_and_next(from).1 {
        assert!(metadata["allowed"].contains(next.as_str_name()));
    }
    assert_eq!(refused.get_details_precondition_failure().unwrap().violations[0].r#type, "STATUS");
}

async fn needs_a_size_to_become_active(db: TestDb) {
    let glance = Glance::start(db).await;
    for from in [Queued, Saving, Importing] {
        let image = image_in(&glance, from).await;
        let change = Image { status: Active.into(), ..change_of(&image.id) };
        let refused = glance.update(change, &[]).await.unwrap_err();
        assert_violation(&refused, "image.size", "an ACTIVE image has data");
        assert_eq!(glance.get(&image.id).await.unwrap(), image);
    }
}

async fn forgets_the_data_when_it_is_queued_again(db: TestDb) {
    let glance = Glance::start(db).await;
    for from in [Saving, Uploading, Importing] {
        let image = image_in(&glance, from).await;
        let data = Image { size: Some(9), checksum: "c".to_owned(), ..change_of(&image.id) };
        let sized = glance.update(data, &[]).await.unwrap();
        assert_eq!((sized.size, sized.checksum.as_str()), (Some(9), "c"));
        let queued = go(&glance, &sized, Queued).await.unwrap();
        assert_eq!((queued.size, queued.checksum.as_str()), (None, ""));
        assert_eq!(glance.get(&image.id).await.unwrap(), queued);
        let changed = &glance.revisions(&image.id).await[0].changes;
        assert_eq!(changed.len(), 3, "checksum, size, status: {changed:?}");
    }
}

async fn a_size_given_on_the_way_back_is_forgotten_too(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = image_in(&glance, Saving).await;
    let change = Image { status: Queued.into(), size: Some(9), ..change_of(&image.id) };
    assert_eq!(glance.update(change, &[]).await.unwrap().size, None);
}

async fn deletes_from_every_status(db: TestDb) {
    let glance = Glance::start(db).await;
    for from in STATUSES {
        let image = image_in(&glance, from).await;
        glance.delete(&image.id, "").await.unwrap();
        let deleted = glance.get_at(&image.id, image.revision + 1).await.unwrap();
        assert_eq!(deleted.status(), Deleted);
    }
}
