//! Many uploads at once.

use chassis::{on_both_databases, testing::TestDb};
use tonic::Code;

use super::{Slow, SlowGrpc, becomes, bytes, chunked, md5, messages, upload_over_grpc};
use crate::support::{Who, World, assert_error, at_once};
use proto::glance::v1::image::Status;

on_both_databases!(
    of_many_uploads_to_one_image_one_wins,
    nobody_interrupts_an_upload,
    uploads_to_different_images_do_not_disturb_each_other,
);

const CALLERS: usize = 12;

async fn of_many_uploads_to_one_image_one_wins(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    // Each has data of its own, of which each byte tells whose they are.
    let outcomes = at_once(CALLERS, |number| {
        let (world, http, id) = (world.clone(), http.clone(), id.clone());
        async move {
            let data = vec![u8::try_from(number).unwrap(); 50_000 + number];
            if number % 2 == 0 {
                let answer = http.upload(&id, chunked(&data.clone().into(), 7_000)).await;
                if answer.status != 204 {
                    answer.error(409, "ILLEGAL_STATUS_MOVE");
                }
                (answer.status == 204, data)
            } else {
                let answer = upload_over_grpc(&world, Who::OWNER, messages(&id, None, &data, 7_000)).await;
                if let Err(refused) = &answer {
                    assert_error(refused, Code::FailedPrecondition, "ILLEGAL_STATUS_MOVE");
                }
                (answer.is_ok(), data)
            }
        }
    });
    let won: Vec<_> = outcomes.await.into_iter().filter_map(|(won, data)| won.then_some(data)).collect();
    assert_eq!(won.len(), 1);
    let image = http.show(&id).await;
    assert_eq!(image["checksum"], md5(&won[0]));
    assert!(http.download(&id).await.is(200).body == won[0]);
    assert_eq!(world.data().len(), 1);
    assert_eq!(world.get(&id).await.unwrap().revision, 3);
}

async fn nobody_interrupts_an_upload(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let first = Slow::begin(&world, &http, &id).await;
    http.upload(&id, "other").await.error(409, "ILLEGAL_STATUS_MOVE");
    let refused = upload_over_grpc(&world, Who::ADMIN, messages(&id, None, b"other", 9)).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "ILLEGAL_STATUS_MOVE");
    first.send("end").await;
    first.end().await.is(204);
    assert_eq!(http.download(&id).await.is(200).text(), "beginning end");

    let id = http.queued().await;
    let first = SlowGrpc::begin(&world, Who::OWNER, &id).await;
    http.upload(&id, "other").await.error(409, "ILLEGAL_STATUS_MOVE");
    assert_eq!(first.end().await.unwrap().size, Some(10));
    assert_eq!(http.download(&id).await.is(200).text(), "beginning ");
}

async fn uploads_to_different_images_do_not_disturb_each_other(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let broken = http.queued().await;
    let slow = SlowGrpc::begin(&world, Who::OWNER, &broken).await;
    let ids = at_once(CALLERS, |number| {
        let http = http.clone();
        async move {
            let id = http.queued().await;
            http.upload(&id, bytes(100_000 + number)).await.is(204);
            (id, number)
        }
    });
    let ids = ids.await;
    slow.answer.abort();
    becomes(&world, &broken, Status::Queued).await;
    for (id, number) in ids {
        assert!(http.download(&id).await.is(200).body == bytes(100_000 + number));
    }
}
