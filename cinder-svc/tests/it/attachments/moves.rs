//! From the reservation to the end, step by step.

use super::*;

on_both_databases!(
    an_instance_uses_a_volume_and_gives_it_back,
    the_host_can_be_named_at_once,
    whatever_runs_the_backend_says_how_the_data_is_reached,
    a_host_that_cannot_reach_the_data_is_told,
    a_move_from_the_wrong_status_is_refused,
    what_is_wrong_with_a_request_is_told_at_once,
    a_volume_that_is_read_only_is_not_written,
    an_etag_tells_of_changes,
    attachments_are_listed_page_by_page,
    history_tells_what_happened,
);

async fn an_instance_uses_a_volume_and_gives_it_back(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (volume, instance) = (cinder.volume().await, Id::random());
    let reserved = cinder.reserved(reserve(&volume, instance)).await.unwrap();
    assert_eq!((reserved.status(), reserved.mode()), (AttachmentStatus::Reserved, Mode::ReadWrite));
    assert_eq!((reserved.user_id.as_str(), reserved.project_id.as_str()), ("alice", OWNER));
    assert_eq!(reserved.instance_id, instance.to_string());
    assert!(reserved.expire_time.is_some() && reserved.attach_time.is_none());
    let shown = cinder.get(&volume.id).await.unwrap();
    assert_eq!((shown.status(), &shown.attachments), (VolumeStatus::Reserved, &vec![reserved.clone()]));
    let attaching = cinder.connected(&reserved.id).await.unwrap();
    assert_eq!((attaching.status(), attaching.host.as_str()), (AttachmentStatus::Attaching, "c1"));
    assert_eq!(attaching.expire_time, None, "something may be writing");
    assert_eq!(attaching.connector, "", "that is for whoever exports the data");
    assert_eq!(cinder.status(&volume).await, VolumeStatus::Reserved);
    let attached = cinder.completed(&reserved.id).await.unwrap();
    assert_eq!((attached.status(), attached.mountpoint.as_str()), (AttachmentStatus::Attached, "/dev/vdb"));
    assert!(attached.attach_time.is_some());
    assert_eq!(cinder.status(&volume).await, VolumeStatus::InUse);
    let detaching = cinder.detaching(&reserved.id).await.unwrap();
    assert_eq!(detaching.status(), AttachmentStatus::Detaching);
    assert_eq!(cinder.status(&volume).await, VolumeStatus::InUse);
    let roll = RollDetachingRequest { id: reserved.id.clone(), etag: String::new() };
    let back = cinder.attachments().roll_detaching(as_alice(roll)).await.unwrap().into_inner();
    assert_eq!((back.status(), back.attach_time), (AttachmentStatus::Attached, attached.attach_time));
    cinder.ended(as_service(end(&reserved.id))).await.unwrap();
    let free = cinder.get(&volume.id).await.unwrap();
    assert_eq!((free.status(), free.attachments.len()), (VolumeStatus::Available, 0));
    let gone = cinder.ended(as_service(end(&reserved.id))).await.unwrap_err();
    assert_error(&gone, Code::NotFound, "ATTACHMENT_NOT_FOUND");
}

async fn the_host_can_be_named_at_once(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let request = CreateAttachmentRequest {
        connector: CONNECTOR.to_owned(),
        mode: Mode::ReadOnly.into(),
        ..reserve(&volume, Id::random())
    };
    let attaching = cinder.reserved(request).await.unwrap();
    assert_eq!((attaching.status(), attaching.mode()), (AttachmentStatus::Attaching, Mode::ReadOnly));
    assert_eq!((attaching.host.as_str(), attaching.expire_time), ("c1", None));
    assert_eq!(cinder.attachment(&attaching.id).await.unwrap().connector, CONNECTOR);
}

async fn whatever_runs_the_backend_says_how_the_data_is_reached(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let id = cinder.reserved(reserve(&volume, Id::random())).await.unwrap().id;
    let info = r#"{"driver_volume_type": "iscsi", "data": {"target_lun": 1}}"#;
    let report = ReportAttachmentRequest {
        id: id.clone(),
        seen_status: AttachmentStatus::Attaching.into(),
        connection_info: info.to_owned(),
        ..Default::default()
    };
    let early = cinder.attachments().report_attachment(as_service(report.clone())).await.unwrap_err();
    let values = assert_error(&early, Code::FailedPrecondition, "WRONG_ATTACHMENT_STATUS");
    assert_eq!((&values["status"], &values["needed"]), ("RESERVED", "ATTACHING"));
    let attaching = cinder.connected(&id).await.unwrap();
    let reported = cinder.attachments().report_attachment(as_service(report.clone())).await.unwrap();
    let reported = reported.into_inner();
    assert_eq!((reported.connector.as_str(), reported.connection_info.as_str()), (CONNECTOR, info));
    assert_eq!(reported.status(), AttachmentStatus::Attaching);
    assert_ne!(reported.etag, attaching.etag);
    // Members see that it is there, but not how it is reached.
    let request = GetAttachmentRequest { id: id.clone() };
    let seen = cinder.attachments().get_attachment(as_alice(request)).await.unwrap().into_inner();
    assert_eq!((seen.connector.as_str(), seen.connection_info.as_str()), ("", ""));
    assert_eq!(seen.etag, reported.etag);
    let refused = cinder.attachments().report_attachment(as_alice(report)).await.unwrap_err();
    assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
}

async fn a_host_that_cannot_reach_the_data_is_told(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let id = cinder.reserved(reserve(&volume, Id::random())).await.unwrap().id;
    cinder.connected(&id).await.unwrap();
    let report = ReportAttachmentRequest {
        id: id.clone(),
        seen_status: AttachmentStatus::Attaching.into(),
        failure: "no route to the target".to_owned(),
        ..Default::default()
    };
    let failed = cinder.attachments().report_attachment(as_service(report)).await.unwrap().into_inner();
    assert_eq!((failed.status(), failed.host.as_str()), (AttachmentStatus::Reserved, ""));
    assert!(failed.expire_time.is_some());
    assert_eq!((failed.connector.as_str(), failed.connection_info.as_str()), ("", ""));
    let failure = cinder.get(&volume.id).await.unwrap().last_failure.unwrap();
    assert_eq!((failure.reason.as_str(), failure.message.as_str()), ("REPORTED", "no route to the target"));
    assert_eq!(cinder.history(&volume.id).await[0].step(), Step::Failed);
    // The next attempt succeeds.
    cinder.connected(&id).await.unwrap();
    cinder.completed(&id).await.unwrap();
    assert_eq!(cinder.get(&volume.id).await.unwrap().last_failure, None);
}

async fn a_move_from_the_wrong_status_is_refused(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let id = cinder.reserved(reserve(&volume, Id::random())).await.unwrap().id;
    let refused = |status: Status, needed: &str| {
        let values = assert_error(&status, Code::FailedPrecondition, "WRONG_ATTACHMENT_STATUS");
        assert_eq!(&values["needed"], needed);
    };
    refused(cinder.completed(&id).await.unwrap_err(), "ATTACHING");
    refused(cinder.detaching(&id).await.unwrap_err(), "ATTACHED");
    cinder.connected(&id).await.unwrap();
    refused(cinder.connected(&id).await.unwrap_err(), "RESERVED");
    cinder.completed(&id).await.unwrap();
    refused(cinder.completed(&id).await.unwrap_err(), "ATTACHING");
    let roll = RollDetachingRequest { id: id.clone(), etag: String::new() };
    refused(cinder.attachments().roll_detaching(as_alice(roll)).await.unwrap_err(), "DETACHING");
    let lease = UpdateAttachmentRequest { id: id.clone(), lease: Some(seconds(5)), ..Default::default() };
    refused(cinder.updated(lease).await.unwrap_err(), "RESERVED");
    // A confirmation that comes late changes nothing.
    let before = cinder.attachment(&id).await.unwrap();
    let confirm = UpdateAttachmentRequest { id, confirm: true, ..Default::default() };
    assert_eq!(cinder.updated(confirm).await.unwrap().etag, before.etag);
}

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

async fn what_is_wrong_with_a_request_is_told_at_once(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let bad = CreateAttachmentRequest {
        volume_id: "1".to_owned(),
        instance_id: "2".to_owned(),
        mode: 9,
        lease: Some(prost_types::Duration { seconds: i64::MAX, nanos: i32::MAX }),
        connector: "c1".to_owned(),
        request_id: "x".repeat(256),
        volume_etag: String::new(),
    };
    let refused = cinder.reserved(bad).await.unwrap_err();
    assert_eq!(fields(&refused), ["mode", "lease", "volume_id", "instance_id", "connector", "request_id"]);
    for lease in [0, -1, 3601] {
        let request =
            CreateAttachmentRequest { lease: Some(seconds(lease)), ..reserve(&volume, Id::random()) };
        assert_violation(&cinder.reserved(request).await.unwrap_err(), "lease", "1 s to 1 h");
    }
    let large = format!(r#"{{"host": "c1", "x": "{}"}}"#, "x".repeat(64 * 1024));
    let request = CreateAttachmentRequest { connector: large, ..reserve(&volume, Id::random()) };
    assert_violation(&cinder.reserved(request).await.unwrap_err(), "connector", "at most 65536 are allowed");
    let nothing = UpdateAttachmentRequest { id: "x".to_owned(), ..Default::default() };
    assert_eq!(fields(&cinder.updated(nothing).await.unwrap_err()), ["id", "connector"]);
    let filter = ListAttachmentsRequest { filter: "host:c1".to_owned(), page_size: -1, ..Default::default() };
    let refused = cinder.attachments().list_attachments(as_alice(filter)).await.unwrap_err();
    assert_eq!(fields(&refused), ["filter", "page_size"]);
    let unknown = CreateAttachmentRequest { volume_id: Id::random().to_string(), ..Default::default() };
    assert_error(&cinder.reserved(unknown).await.unwrap_err(), Code::NotFound, "VOLUME_NOT_FOUND");
    assert_eq!(cinder.status(&volume).await, VolumeStatus::Available);
}

async fn a_volume_that_is_read_only_is_not_written(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let update = Volume { id: volume.id.clone(), read_only: true, ..Default::default() };
    let update = UpdateVolumeRequest { volume: Some(update), ..Default::default() };
    cinder.volumes().update_volume(as_alice(update)).await.unwrap();
    let write = CreateAttachmentRequest { mode: Mode::ReadWrite.into(), ..reserve(&volume, Id::random()) };
    let refused = cinder.reserved(write).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "VOLUME_READ_ONLY");
    let reserved = cinder.reserved(reserve(&volume, Id::random())).await.unwrap();
    assert_eq!(reserved.mode(), Mode::ReadOnly);
}

async fn an_etag_tells_of_changes(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let stale = CreateAttachmentRequest { volume_etag: "0-0".to_owned(), ..reserve(&volume, Id::random()) };
    let values = assert_error(&cinder.reserved(stale).await.unwrap_err(), Code::Aborted, "STALE_ETAG");
    assert_eq!((&values["volume_id"], &values["etag"]), (volume.id.as_str(), volume.etag.as_str()));
    let fresh =
        CreateAttachmentRequest { volume_etag: volume.etag.clone(), ..reserve(&volume, Id::random()) };
    let reserved = cinder.reserved(fresh).await.unwrap();
    let confirm = UpdateAttachmentRequest {
        id: reserved.id.clone(),
        confirm: true,
        etag: reserved.etag.clone(),
        ..Default::default()
    };
    let confirmed = cinder.updated(confirm.clone()).await.unwrap();
    assert_ne!(confirmed.etag, reserved.etag);
    let values = assert_error(&cinder.updated(confirm).await.unwrap_err(), Code::Aborted, "STALE_ETAG");
    assert_eq!(&values["attachment_id"], reserved.id.as_str());
    let old = DeleteAttachmentRequest { id: reserved.id.clone(), etag: reserved.etag };
    assert_error(&cinder.ended(as_alice(old)).await.unwrap_err(), Code::Aborted, "STALE_ETAG");
    let now = DeleteAttachmentRequest { id: reserved.id, etag: confirmed.etag };
    cinder.ended(as_alice(now)).await.unwrap();
}

async fn attachments_are_listed_page_by_page(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let instance = Id::random();
    let mut ids = Vec::new();
    for number in 0..5 {
        let volume = cinder.volume().await;
        let reserved = cinder.reserved(reserve(&volume, instance)).await.unwrap();
        if number == 2 {
            cinder.connected(&reserved.id).await.unwrap();
        }
        ids.push(reserved.id);
    }
    let list = async |filter: &str, page_size| {
        let mut listed = Vec::new();
        let mut request =
            ListAttachmentsRequest { filter: filter.to_owned(), page_size, ..Default::default() };
        loop {
            let page = cinder.attachments().list_attachments(as_alice(request.clone())).await.unwrap();
            let page = page.into_inner();
            listed.extend(page.attachments);
            if page.next_page_token.is_empty() {
                return listed;
            }
            request.page_token = page.next_page_token;
        }
    };
    let all: Vec<_> = list("", 2).await.into_iter().map(|attachment| attachment.id).collect();
    assert_eq!(all, ids, "oldest first");
    assert_eq!(list(&format!("instance_id = \"{instance}\""), 0).await.len(), 5);
    for filter in ["status = ATTACHING", "host = c1", "status = attaching AND host = c1"] {
        let listed = list(filter, 0).await;
        assert_eq!(listed.len(), 1, "{filter}");
        assert_eq!((listed[0].id.as_str(), listed[0].connector.as_str()), (ids[2].as_str(), ""));
    }
    let volume = &list("", 0).await[3].volume_id;
    assert_eq!(list(&format!("volume_id = \"{volume}\""), 0).await[0].id, ids[3]);
}

async fn history_tells_what_happened(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let instance = Id::random();
    let (volume, attachment) = cinder.attached(instance).await;
    cinder.ended(as_service(end(&attachment.id))).await.unwrap();
    let history = cinder.history(&volume.id).await;
    let told: Vec<_> =
        history.iter().rev().map(|entry| (entry.new_status(), entry.message.as_str())).collect();
    let about = |what: &str| format!("attachment {} of instance {instance}: {what}", attachment.id);
    assert_eq!(
        told,
        [
            (VolumeStatus::Available, ""),
            (VolumeStatus::Reserved, about("RESERVED").as_str()),
            (VolumeStatus::Reserved, about("ATTACHING on host c1").as_str()),
            (VolumeStatus::InUse, about("ATTACHED").as_str()),
            (VolumeStatus::Available, about("ended").as_str()),
        ]
    );
    assert!(history[..4].iter().all(|entry| entry.operation() == Operation::Attachment));
    assert_eq!((history[0].user_id.as_str(), history[1].user_id.as_str()), ("nova", "alice"));
}
