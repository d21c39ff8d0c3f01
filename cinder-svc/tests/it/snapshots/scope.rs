//! Who may do what with snapshots.

use super::*;

on_both_databases!(
    another_project_sees_nothing,
    a_reader_changes_nothing,
    an_operator_takes_snapshots_for_the_owner,
    lists_show_the_own_project,
);

/// Every call about one snapshot, first the one that only reads, made as somebody.
async fn every_call(cinder: &Cinder, id: &str, who: Request<()>) -> Vec<Result<(), Status>> {
    fn by<T>(who: &Request<()>, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = who.metadata().clone();
        request
    }
    let (mut client, id) = (cinder.snapshots(), id.to_owned());
    let renamed = Snapshot { id: id.clone(), name: "x".to_owned(), ..Default::default() };
    let update = UpdateSnapshotRequest { snapshot: Some(renamed), update_mask: None };
    let report = ReportSnapshotStateRequest {
        id: id.clone(),
        seen_status: SnapshotStatus::Available.into(),
        status: SnapshotStatus::Error.into(),
        ..Default::default()
    };
    let delete = DeleteSnapshotRequest { id: id.clone(), ..Default::default() };
    vec![
        client.get_snapshot(by(&who, GetSnapshotRequest { id })).await.map(drop),
        client.update_snapshot(by(&who, update)).await.map(drop),
        client.report_snapshot_state(by(&who, report)).await.map(drop),
        client.delete_snapshot(by(&who, delete)).await.map(drop),
    ]
}

async fn another_project_sees_nothing(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let hidden = cinder.snapshots().create_snapshot(as_stranger(of(&volume))).await.unwrap_err();
    assert_error(&hidden, Code::NotFound, "VOLUME_NOT_FOUND");
    let snapshot = cinder.snapshot(of(&volume)).await.unwrap();
    for hidden in every_call(&cinder, &snapshot.id, as_stranger(())).await {
        assert_error(&hidden.unwrap_err(), Code::NotFound, "SNAPSHOT_NOT_FOUND");
    }
    let hidden = cinder.volumes().create_volume(as_stranger(from_snapshot(&snapshot))).await.unwrap_err();
    assert_error(&hidden, Code::InvalidArgument, "SNAPSHOT_NOT_FOUND");
    assert_eq!(cinder.get_snapshot(&snapshot.id).await.unwrap(), snapshot);
}

async fn a_reader_changes_nothing(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let refused = cinder.snapshots().create_snapshot(as_reader(of(&volume))).await.unwrap_err();
    assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
    let snapshot = cinder.snapshot(of(&volume)).await.unwrap();
    let mut answers = every_call(&cinder, &snapshot.id, as_reader(())).await.into_iter();
    answers.next().unwrap().unwrap();
    for refused in answers {
        assert_error(&refused.unwrap_err(), Code::PermissionDenied, "NOT_PERMITTED");
    }
    assert_eq!(cinder.get_snapshot(&snapshot.id).await.unwrap(), snapshot);
}

async fn an_operator_takes_snapshots_for_the_owner(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    for request in [as_admin(of(&volume)), as_service(of(&volume))] {
        let snapshot = cinder.snapshots().create_snapshot(request).await.unwrap().into_inner();
        assert_eq!(snapshot.project_id, OWNER);
        cinder.delete_snapshot(delete(&snapshot)).await.unwrap();
    }
    let quiesced = CreateSnapshotRequest { quiesced: true, ..of(&volume) };
    let refused = cinder.snapshot(quiesced.clone()).await.unwrap_err();
    assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
    cinder.snapshots().create_snapshot(as_service(quiesced)).await.unwrap();
}

async fn lists_show_the_own_project(db: TestDb) {
    let cinder = Cinder::start(db).await;
    cinder.snapshot(of(&cinder.volume().await)).await.unwrap();
    let list = async |request: Request<ListSnapshotsRequest>| {
        let page = cinder.snapshots().list_snapshots(request).await?.into_inner();
        Ok::<_, Status>(page.snapshots.len())
    };
    let own = ListSnapshotsRequest::default();
    let all = ListSnapshotsRequest { all_projects: true, ..Default::default() };
    let of_demo = ListSnapshotsRequest { filter: "project_id = demo".to_owned(), ..Default::default() };
    for (request, expected) in [
        (as_alice(own.clone()), 1),
        (as_reader(own.clone()), 1),
        (as_stranger(own.clone()), 0),
        (as_stranger(of_demo.clone()), 0),
        (as_service(own), 0),
        (as_service(of_demo), 1),
        (as_admin(all.clone()), 1),
    ] {
        assert_eq!(list(request).await.unwrap(), expected);
    }
    assert_error(&list(as_alice(all)).await.unwrap_err(), Code::PermissionDenied, "NOT_PERMITTED");
}
