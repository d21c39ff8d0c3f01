//! Who may do what with attachments.

use super::*;

on_both_databases!(
    another_project_sees_nothing,
    a_reader_changes_nothing,
    whoever_uses_a_volume_keeps_it,
    services_attach_for_others,
    lists_show_the_own_project,
);

async fn another_project_sees_nothing(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let hidden = cinder.attachments().create_attachment(as_stranger(reserve(&volume, Id::random()))).await;
    assert_error(&hidden.unwrap_err(), Code::NotFound, "VOLUME_NOT_FOUND");
    let id = cinder.reserved(reserve(&volume, Id::random())).await.unwrap().id;
    let before = cinder.get(&volume.id).await.unwrap();
    for refused in every_call(&cinder, &id, as_stranger(())).await {
        assert_error(&refused.unwrap_err(), Code::NotFound, "ATTACHMENT_NOT_FOUND");
    }
    assert_eq!(cinder.get(&volume.id).await.unwrap(), before);
}

async fn a_reader_changes_nothing(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let refused = cinder.attachments().create_attachment(as_reader(reserve(&volume, Id::random()))).await;
    assert_error(&refused.unwrap_err(), Code::PermissionDenied, "NOT_PERMITTED");
    let id = cinder.reserved(reserve(&volume, Id::random())).await.unwrap().id;
    let before = cinder.get(&volume.id).await.unwrap();
    let answers = every_call(&cinder, &id, as_reader(())).await;
    for (number, answer) in answers.into_iter().enumerate() {
        if number == 0 {
            answer.unwrap();
        } else {
            assert_error(&answer.unwrap_err(), Code::PermissionDenied, "NOT_PERMITTED");
        }
    }
    assert_eq!(cinder.get(&volume.id).await.unwrap(), before);
}

/// Every call about one attachment, first the one that only reads, made as somebody.
async fn every_call(cinder: &Cinder, id: &str, who: Request<()>) -> Vec<Result<(), Status>> {
    fn by<T>(who: &Request<()>, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = who.metadata().clone();
        request
    }
    let (mut client, id) = (cinder.attachments(), id.to_owned());
    let report = ReportAttachmentRequest {
        id: id.clone(),
        seen_status: AttachmentStatus::Attaching.into(),
        connection_info: "{}".to_owned(),
        ..Default::default()
    };
    let complete = CompleteAttachmentRequest { id: id.clone(), ..Default::default() };
    let begin = BeginDetachingRequest { id: id.clone(), ..Default::default() };
    let roll = RollDetachingRequest { id: id.clone(), ..Default::default() };
    vec![
        client.get_attachment(by(&who, GetAttachmentRequest { id: id.clone() })).await.map(drop),
        client.update_attachment(by(&who, connect(&id))).await.map(drop),
        client.complete_attachment(by(&who, complete)).await.map(drop),
        client.begin_detaching(by(&who, begin)).await.map(drop),
        client.roll_detaching(by(&who, roll)).await.map(drop),
        client.report_attachment(by(&who, report)).await.map(drop),
        client.delete_attachment(by(&who, end(&id))).await.map(drop),
    ]
}

async fn whoever_uses_a_volume_keeps_it(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (volume, attachment) = cinder.attached(Id::random()).await;
    for status in ["ATTACHED", "DETACHING"] {
        let refused = cinder.ended(as_alice(end(&attachment.id))).await.unwrap_err();
        let values = assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
        assert!(values["action"].ends_with(&format!("which is {status}")), "{}", &values["action"]);
        let _ = cinder.detaching(&attachment.id).await;
    }
    assert_eq!(cinder.status(&volume).await, VolumeStatus::InUse);
    cinder.ended(as_service(end(&attachment.id))).await.unwrap();
    // A reservation is given back by any member of the project that made it.
    let id = cinder.reserved(reserve(&volume, Id::random())).await.unwrap().id;
    cinder.ended(made_as("bob", OWNER, "member", end(&id))).await.unwrap();
    assert_eq!(cinder.status(&volume).await, VolumeStatus::Available);
}

async fn services_attach_for_others(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    for who in [as_service, as_admin] {
        let request = who(reserve(&volume, Id::random()));
        let id = cinder.attachments().create_attachment(request).await.unwrap().into_inner().id;
        let connector = connect(&id);
        let mut request = who(reserve(&volume, Id::random()));
        let metadata = std::mem::take(request.metadata_mut());
        let mut update = Request::new(connector);
        *update.metadata_mut() = metadata;
        let shown = cinder.attachments().update_attachment(update).await.unwrap().into_inner();
        assert_eq!(shown.connector, CONNECTOR);
        cinder.ended(as_service(end(&id))).await.unwrap();
    }
}

async fn lists_show_the_own_project(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    cinder.reserved(reserve(&volume, Id::random())).await.unwrap();
    let list = async |request: Request<ListAttachmentsRequest>| {
        let page = cinder.attachments().list_attachments(request).await?.into_inner();
        Ok::<_, Status>(page.attachments.len())
    };
    let own = ListAttachmentsRequest::default();
    let all = ListAttachmentsRequest { all_projects: true, ..Default::default() };
    assert_eq!(list(as_alice(own.clone())).await.unwrap(), 1);
    assert_eq!(list(as_reader(own.clone())).await.unwrap(), 1);
    assert_eq!(list(as_stranger(own.clone())).await.unwrap(), 0);
    assert_eq!(list(as_service(own)).await.unwrap(), 0);
    assert_eq!(list(as_service(all.clone())).await.unwrap(), 1);
    assert_eq!(list(as_admin(all.clone())).await.unwrap(), 1);
    let refused = list(as_alice(all)).await.unwrap_err();
    assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
}
