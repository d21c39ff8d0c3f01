//! Many requests about one volume at once, through two replicas.

use chassis::db::ByDialect;

use super::*;

on_both_databases!(
    of_many_reservations_exactly_one_succeeds,
    the_same_instance_may_reserve_again,
    a_volume_for_several_is_reserved_by_all,
    a_request_that_comes_many_times_at_once_reserves_once,
    reservations_and_a_deletion_exclude_each_other,
    a_caller_that_leaves_reserves_nothing_or_all,
);

/// Number of concurrent requests.
const MANY: usize = 16;

/// Sends requests through both replicas at once; returns what became of each.
async fn at_once(
    cinder: &Cinder,
    request: impl Fn(usize) -> CreateAttachmentRequest,
) -> Vec<Result<Attachment, Status>> {
    let replicas = cinder.replicas().await;
    let send = |number: usize| {
        let mut client: AttachmentServiceClient<Channel> =
            AttachmentServiceClient::new(replicas[number % 2].clone());
        let request = as_alice(request(number));
        tokio::spawn(async move { client.create_attachment(request).await.map(tonic::Response::into_inner) })
    };
    let waiting: Vec<_> = (0..MANY).map(send).collect();
    let mut outcomes = Vec::new();
    for answer in waiting {
        outcomes.push(answer.await.unwrap());
    }
    outcomes
}

async fn of_many_reservations_exactly_one_succeeds(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let outcomes = at_once(&cinder, |_| reserve(&volume, Id::random())).await;
    let (succeeded, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(succeeded.len(), 1);
    let holder = succeeded.into_iter().next().unwrap().unwrap();
    for refused in refused {
        let values = assert_error(&refused.unwrap_err(), Code::FailedPrecondition, "VOLUME_RESERVED");
        assert_eq!(&values["instance_id"], holder.instance_id.as_str());
        assert_eq!(&values["attachment_id"], holder.id.as_str());
    }
    assert_eq!(cinder.get(&volume.id).await.unwrap().attachments, std::slice::from_ref(&holder));
    cinder.connected(&holder.id).await.unwrap();
    cinder.completed(&holder.id).await.unwrap();
    let values = cinder.reserved(reserve(&volume, Id::random())).await.unwrap_err();
    let values = assert_error(&values, Code::FailedPrecondition, "VOLUME_IN_USE");
    assert_eq!(&values["instance_id"], holder.instance_id.as_str());
}

async fn the_same_instance_may_reserve_again(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (volume, instance) = (cinder.volume().await, Id::random());
    for outcome in at_once(&cinder, |_| reserve(&volume, instance)).await {
        outcome.unwrap();
    }
    let shown = cinder.get(&volume.id).await.unwrap();
    assert_eq!((shown.status(), shown.attachments.len()), (VolumeStatus::Reserved, MANY));
    assert_eq!(shown.revision, 1 + i64::try_from(MANY).unwrap(), "each made a revision of its own");
}

async fn a_volume_for_several_is_reserved_by_all(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let shared = "UPDATE volumes SET multiattach = TRUE";
    cinder.execute(ByDialect { sqlite: shared, postgres: shared }).await;
    let outcomes = at_once(&cinder, |_| reserve(&volume, Id::random())).await;
    let ids: BTreeSet<_> = outcomes.into_iter().map(|outcome| outcome.unwrap().id).collect();
    assert_eq!(ids.len(), MANY);
    assert_eq!(cinder.get(&volume.id).await.unwrap().attachments.len(), MANY);
}

async fn a_request_that_comes_many_times_at_once_reserves_once(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (volume, instance) = (cinder.volume().await, Id::random());
    let request = CreateAttachmentRequest { request_id: "r".to_owned(), ..reserve(&volume, instance) };
    let outcomes = at_once(&cinder, |_| request.clone()).await;
    let ids: BTreeSet<_> = outcomes.into_iter().map(|outcome| outcome.unwrap().id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(cinder.get(&volume.id).await.unwrap().attachments.len(), 1);
}

async fn reservations_and_a_deletion_exclude_each_other(db: TestDb) {
    let (cinder, mut left) = (Cinder::start(db).await, 0);
    for _ in 0..4 {
        let volume = cinder.volume().await;
        let reserving = at_once(&cinder, |_| reserve(&volume, Id::random()));
        let (outcomes, deleted) = tokio::join!(reserving, cinder.delete(&volume.id));
        let succeeded = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(succeeded, usize::from(deleted.is_err()), "{outcomes:?}, {deleted:?}");
        left += i64::try_from(succeeded).unwrap();
        assert_eq!(cinder.count("SELECT COUNT(*) FROM attachments").await, left);
    }
}

async fn a_caller_that_leaves_reserves_nothing_or_all(db: TestDb) {
    let cinder = Cinder::start(db).await;
    for micros in (0..4000).step_by(250) {
        let volume = cinder.volume().await;
        let request =
            CreateAttachmentRequest { connector: CONNECTOR.to_owned(), ..reserve(&volume, Id::random()) };
        let leaving =
            tokio::time::timeout(std::time::Duration::from_micros(micros), cinder.reserved(request));
        let _ = leaving.await;
        // Whatever the server still does ends before the next change of the volume.
        let instance = Id::random();
        let next = cinder.reserved(reserve(&volume, instance)).await;
        let shown = cinder.get(&volume.id).await.unwrap();
        assert_eq!(shown.attachments.len(), 1);
        let only = &shown.attachments[0];
        assert_eq!(next.is_ok(), only.instance_id == instance.to_string());
        let whole = cinder.attachment(&only.id).await.unwrap();
        assert_eq!(whole.connector.is_empty(), next.is_ok());
        let history = cinder.history(&volume.id).await;
        assert_eq!((history.len(), shown.revision), (2, 2));
    }
}
