//! Reservations end by themselves.

use chassis::db::ByDialect;

use super::*;

on_both_databases!(
    a_reservation_that_comes_next_ends_one_that_is_over,
    reservations_that_are_over_end_in_the_background,
    a_confirmed_reservation_does_not_end,
    a_lease_can_be_extended,
    a_retry_of_a_reservation_that_has_ended_is_told,
);

/// Lets time pass: the lease of every reservation is over.
const LAPSE: ByDialect = ByDialect {
    sqlite: "UPDATE attachments SET lease_time = 1 WHERE lease_time IS NOT NULL",
    postgres: "UPDATE attachments SET lease_time = '2020-01-01T00:00:00Z' WHERE lease_time IS NOT NULL",
};

async fn a_reservation_that_comes_next_ends_one_that_is_over(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (volume, one, other) = (cinder.volume().await, Id::random(), Id::random());
    let first = cinder.reserved(reserve(&volume, one)).await.unwrap();
    let refused = cinder.reserved(reserve(&volume, other)).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "VOLUME_RESERVED");
    cinder.execute(LAPSE).await;
    let second = cinder.reserved(reserve(&volume, other)).await.unwrap();
    let shown = cinder.get(&volume.id).await.unwrap();
    assert_eq!((shown.status(), &shown.attachments), (VolumeStatus::Reserved, &vec![second.clone()]));
    assert_error(&cinder.attachment(&first.id).await.unwrap_err(), Code::NotFound, "ATTACHMENT_NOT_FOUND");
    let expected = format!(
        "attachment {} of instance {other}: RESERVED; attachment {} of instance {one}: ended by itself, its \
         lease was over",
        second.id, first.id
    );
    assert_eq!(cinder.history(&volume.id).await[0].message, expected);
}

async fn reservations_that_are_over_end_in_the_background(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let api = cinder.api().await;
    let (volume, kept) = (cinder.volume().await, cinder.volume().await);
    cinder.reserved(reserve(&volume, Id::random())).await.unwrap();
    assert_eq!(api.end_lapsed().await.unwrap(), 0);
    cinder.execute(LAPSE).await;
    cinder.reserved(reserve(&kept, Id::random())).await.unwrap();
    assert_eq!(api.end_lapsed().await.unwrap(), 1);
    assert_eq!(api.end_lapsed().await.unwrap(), 0);
    let free = cinder.get(&volume.id).await.unwrap();
    assert_eq!((free.status(), free.attachments.len()), (VolumeStatus::Available, 0));
    assert_eq!(cinder.status(&kept).await, VolumeStatus::Reserved);
    let last = cinder.history(&volume.id).await.remove(0);
    assert!(last.message.ends_with("ended by itself, its lease was over"), "{}", last.message);
    assert_eq!((last.operation(), last.user_id.as_str()), (Operation::Attachment, ""));
}

async fn a_confirmed_reservation_does_not_end(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let id = cinder.reserved(reserve(&volume, Id::random())).await.unwrap().id;
    let confirm = UpdateAttachmentRequest { id: id.clone(), confirm: true, ..Default::default() };
    assert_eq!(cinder.updated(confirm).await.unwrap().expire_time, None);
    cinder.execute(LAPSE).await;
    assert_eq!(cinder.api().await.end_lapsed().await.unwrap(), 0);
    assert_eq!(cinder.status(&volume).await, VolumeStatus::Reserved);
}

async fn a_lease_can_be_extended(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let lease = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let request = CreateAttachmentRequest { lease: lease(2), ..reserve(&volume, Id::random()) };
    let short = cinder.reserved(request).await.unwrap();
    let lasting = |attachment: &Attachment| attachment.expire_time.unwrap().seconds;
    let begun = short.create_time.unwrap().seconds;
    assert_eq!(lasting(&short) - begun, 2);
    let longer = UpdateAttachmentRequest { id: short.id, lease: lease(3600), ..Default::default() };
    let longer = cinder.updated(longer).await.unwrap();
    assert!(lasting(&longer) - begun >= 3600);
    assert_eq!(longer.status(), AttachmentStatus::Reserved);
}

async fn a_retry_of_a_reservation_that_has_ended_is_told(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let request = CreateAttachmentRequest { request_id: "r".to_owned(), ..reserve(&volume, Id::random()) };
    let first = cinder.reserved(request.clone()).await.unwrap();
    assert_eq!(cinder.reserved(request.clone()).await.unwrap(), first);
    let confirm = UpdateAttachmentRequest { id: first.id.clone(), confirm: true, ..Default::default() };
    let confirmed = cinder.updated(confirm).await.unwrap();
    assert_eq!(cinder.reserved(request.clone()).await.unwrap(), confirmed, "as it is now");
    let other = CreateAttachmentRequest { instance_id: Id::random().to_string(), ..request.clone() };
    let taken = cinder.reserved(other.clone()).await.unwrap_err();
    assert_error(&taken, Code::AlreadyExists, "REQUEST_ID_TAKEN");
    // The same id of another project is another one.
    let others = cinder.attachments().create_attachment(as_admin(other)).await.unwrap_err();
    assert_error(&others, Code::FailedPrecondition, "VOLUME_RESERVED");
    cinder.ended(as_alice(end(&first.id))).await.unwrap();
    let gone = cinder.reserved(request).await.unwrap_err();
    assert_error(&gone, Code::NotFound, "ATTACHMENT_NOT_FOUND");
    assert_eq!(cinder.status(&volume).await, VolumeStatus::Available);
}
