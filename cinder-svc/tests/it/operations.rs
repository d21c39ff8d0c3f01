//! What is done with volumes, by their owners and by whatever keeps their data.

use chassis::{on_both_databases, testing::TestDb};
use cinder_svc::volume::Storage;
use futures_util::future::join_all;
use peers::testing::glance::{Mood, map};
use prost_types::FieldMask;
use proto::{
    cinder::v1::{
        CreateVolumeRequest, DeleteVolumeRequest, ExtendVolumeRequest, GetVolumeHistoryRequest,
        GetVolumeRequest, ListDriftRequest, ReimageVolumeRequest, ReportVolumeStateRequest,
        RetypeVolumeRequest, UpdateVolumeImagePropertiesRequest, UpdateVolumeRequest, Volume,
        VolumeHistoryEntry, VolumeType,
        report_volume_state_request::Result as Outcome,
        volume::Status as VolumeStatus,
        volume_history_entry::{Operation, Step},
        volume_service_client::VolumeServiceClient,
        volume_task::State as TaskState,
    },
    glance::v1::Image,
};
use tonic::{Code, Status, transport::Channel};

use crate::support::{
    Cinder, Settings, as_admin, as_alice, as_reader, as_stranger, assert_error, assert_violation, fields,
    from_image, made_as,
};

on_both_databases!(
    an_update_changes_what_its_mask_names,
    properties_are_edited_like_those_of_images,
    sixteen_edits_of_different_properties_all_survive,
    a_volume_only_becomes_larger,
    a_volume_gets_another_type,
    a_reimage_replaces_data_and_memory_together,
    an_agent_completes_operations,
    what_fails_leaves_the_volume_as_it_was,
    a_report_is_a_compare_and_set,
    a_status_that_does_not_allow_it_says_what_would,
    a_retry_changes_nothing,
    an_old_etag_is_refused,
    a_deleted_volume_leaves_its_history,
    only_admins_delete_by_force,
    every_revision_can_be_read,
    others_change_nothing,
    drift_is_found_by_property,
);

fn image() -> Image {
    Image { size: Some(7), properties: map(&[("hw_disk_bus", "scsi"), ("a", "1")]), ..Image::default() }
}

async fn volume(cinder: &Cinder) -> Volume {
    let image = cinder.glance.add(image());
    cinder.create(from_image(&image)).await.unwrap()
}

async fn agent(db: TestDb) -> Cinder {
    Cinder::start_with(db, Settings { storage: Storage::Agent, ..Settings::default() }).await
}

fn client(cinder: &Cinder) -> VolumeServiceClient<Channel> {
    cinder.volumes()
}

fn set(id: &str, properties: &[(&str, &str)]) -> UpdateVolumeImagePropertiesRequest {
    UpdateVolumeImagePropertiesRequest { id: id.to_owned(), set: map(properties), ..Default::default() }
}

fn extend(id: &str, size_gib: i32) -> ExtendVolumeRequest {
    ExtendVolumeRequest { id: id.to_owned(), size_gib, ..Default::default() }
}

/// A report of how the task of a volume ended.
fn ended(volume: &Volume, result: Outcome) -> ReportVolumeStateRequest {
    ReportVolumeStateRequest {
        id: volume.id.clone(),
        seen_status: volume.status,
        seen_task_state: volume.task.as_ref().map_or(0, |task| task.state),
        result: result.into(),
        message: "SAN".to_owned(),
        ..Default::default()
    }
}

async fn report(cinder: &Cinder, request: ReportVolumeStateRequest) -> Result<Volume, Status> {
    let request = made_as("agent", "services", "service", request);
    Ok(client(cinder).report_volume_state(request).await?.into_inner())
}

/// A volume whose data whatever keeps it has made.
async fn made(cinder: &Cinder) -> Volume {
    let volume = volume(cinder).await;
    report(cinder, ended(&volume, Outcome::Succeeded)).await.unwrap()
}

async fn update(cinder: &Cinder, volume: Volume, mask: &[&str]) -> Result<Volume, Status> {
    let paths = mask.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = (!mask.is_empty()).then_some(FieldMask { paths });
    let request = UpdateVolumeRequest { volume: Some(volume), update_mask, ..Default::default() };
    Ok(client(cinder).update_volume(as_alice(request)).await?.into_inner())
}

async fn an_update_changes_what_its_mask_names(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let before = volume(&cinder).await;
    let given = Volume {
        id: before.id.clone(),
        name: " new ".to_owned(),
        metadata: map(&[("k", "v")]),
        read_only: true,
        ..Volume::default()
    };
    let after = update(&cinder, given.clone(), &["name", "bootable"]).await.unwrap();
    assert_eq!((after.name.as_str(), after.bootable, after.read_only), ("new", false, false));
    assert_eq!((after.revision, after.metadata.len()), (2, 0));
    let after = update(&cinder, given.clone(), &[]).await.unwrap();
    assert_eq!((after.bootable, after.read_only, after.metadata.len()), (false, true, 1));
    assert_eq!(update(&cinder, given.clone(), &[]).await.unwrap(), after);
    let cleared = Volume { id: before.id.clone(), ..Volume::default() };
    let after = update(&cinder, cleared.clone(), &["*"]).await.unwrap();
    assert_eq!((after.name.as_str(), after.metadata.len(), after.image), ("", 0, before.image));
    assert_violation(&update(&cinder, given, &["size_gib"]).await.unwrap_err(), "update_mask", "size_gib");
    assert_violation(&update(&cinder, cleared, &[]).await.unwrap_err(), "update_mask", "name a field");
    let long = Volume { id: before.id, name: "x".repeat(256), ..Volume::default() };
    assert_violation(&update(&cinder, long, &[]).await.unwrap_err(), "volume.name", "256");
}

async fn properties_are_edited_like_those_of_images(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let before = volume(&cinder).await;
    let edit = |request| async { client(&cinder).update_volume_image_properties(as_alice(request)).await };
    let request = UpdateVolumeImagePropertiesRequest {
        remove: vec!["a".to_owned(), "missing".to_owned()],
        ..set(&before.id, &[("hw_disk_bus", "virtio"), ("b", "2")])
    };
    let after = edit(request.clone()).await.unwrap().into_inner();
    assert_eq!(after.image_properties, map(&[("b", "2"), ("hw_disk_bus", "virtio")]));
    assert_eq!((after.image.clone(), after.revision), (before.image, 2));
    assert_eq!(edit(request).await.unwrap().into_inner().revision, 2);
    let purge = UpdateVolumeImagePropertiesRequest { purge: true, ..set(&before.id, &[("c", "3")]) };
    let after = edit(purge).await.unwrap().into_inner();
    assert_eq!(after.image_properties, map(&[("c", "3")]));

    let bad = set(&before.id, &[("image_id", "x"), ("size", "1"), ("cinder_encryption_key_id", "k")]);
    let mut wrong = fields(&edit(bad).await.unwrap_err());
    wrong.sort();
    assert_eq!(wrong, [r#"set["cinder_encryption_key_id"]"#, r#"set["image_id"]"#, r#"set["size"]"#]);
    assert_violation(&edit(set(&before.id, &[])).await.unwrap_err(), "set", "must name a property");
    let many: Vec<_> = (0..128).map(|number| format!("p{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "v")).collect();
    let refused = edit(set(&before.id, &many)).await.unwrap_err();
    let values = assert_error(&refused, Code::ResourceExhausted, "PROPERTY_LIMIT_EXCEEDED");
    assert_eq!((&values["attempted"], &values["maximum"]), ("129", "128"));
    assert_eq!(cinder.get(&before.id).await.unwrap().revision, 3);
}

async fn sixteen_edits_of_different_properties_all_survive(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = volume(&cinder).await;
    let replica = VolumeServiceClient::new(cinder.replica(&Settings::default()).await);
    join_all((0..16).map(|number| {
        let mut client = if number % 2 == 0 { cinder.volumes() } else { replica.clone() };
        let request = as_alice(set(&volume.id, &[(&format!("p{number}"), "v")]));
        async move { client.update_volume_image_properties(request).await.unwrap() }
    }))
    .await;
    let after = cinder.get(&volume.id).await.unwrap();
    assert_eq!((after.image_properties.len(), after.revision), (18, 17));
    assert_eq!(cinder.history(&volume.id).await.len(), 17);
}

async fn a_volume_only_becomes_larger(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = volume(&cinder).await;
    let extend = |size| {
        let request = as_alice(extend(&volume.id, size));
        async { Ok::<_, Status>(client(&cinder).extend_volume(request).await?.into_inner()) }
    };
    assert_eq!(extend(5).await.unwrap().size_gib, 5);
    for size in [5, 4] {
        assert_error(&extend(size).await.unwrap_err(), Code::InvalidArgument, "NOT_LARGER");
    }
    assert_violation(&extend(0).await.unwrap_err(), "size_gib", "1 to");
    let entry = cinder.history(&volume.id).await.remove(0);
    assert_eq!((entry.operation(), entry.step()), (Operation::Extend, Step::Finished));
    let change = &entry.changes[0];
    assert_eq!((change.old_value.as_deref(), change.new_value.as_deref()), (Some("1"), Some("5")));
}

async fn a_volume_gets_another_type(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = volume(&cinder).await;
    let small = map(&[("provisioning:max_vol_size", "1"), ("multiattach", "<is> True")]);
    let large = map(&[("provisioning:min_vol_size", "2")]);
    for (name, extra_specs) in [("small", small), ("large", large)] {
        let named = VolumeType { name: name.to_owned(), is_public: true, extra_specs, ..Default::default() };
        cinder.volume_type(named).await.unwrap();
    }
    let retype = |volume_type: &str| {
        let (id, volume_type) = (volume.id.clone(), volume_type.to_owned());
        let request = as_alice(RetypeVolumeRequest { id, volume_type, ..Default::default() });
        async { Ok::<_, Status>(client(&cinder).retype_volume(request).await?.into_inner()) }
    };
    let after = retype("small").await.unwrap();
    assert_eq!((after.volume_type.as_str(), after.multiattach), ("small", true));
    assert_error(&retype("small").await.unwrap_err(), Code::InvalidArgument, "SAME_VOLUME_TYPE");
    assert_error(&retype("large").await.unwrap_err(), Code::InvalidArgument, "VOLUME_TYPE_SIZE");
    assert_error(&retype("tape").await.unwrap_err(), Code::InvalidArgument, "VOLUME_TYPE_NOT_FOUND");
}

async fn a_reimage_replaces_data_and_memory_together(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let before = volume(&cinder).await;
    let request = as_alice(set(&before.id, &[("edited", "yes")]));
    client(&cinder).update_volume_image_properties(request).await.unwrap();
    let other = cinder.glance.add(Image { name: "b".to_owned(), ..cinder.glance.with(&[("b", "2")]) });
    let other = cinder.glance.change(&other.id, |_| {});
    let reimage = |image: &Image, added: &[(&str, &str)]| {
        let request = as_alice(ReimageVolumeRequest {
            id: before.id.clone(),
            image_id: image.id.clone(),
            image_properties: map(added),
            ..Default::default()
        });
        async { Ok::<_, Status>(client(&cinder).reimage_volume(request).await?.into_inner()) }
    };
    let after = reimage(&other, &[("c", "3")]).await.unwrap();
    assert_eq!(after.image_properties, map(&[("b", "2"), ("c", "3")]));
    let stamp = after.image.clone().unwrap();
    assert_eq!((&stamp.id, stamp.revision), (&other.id, other.revision));
    let large = cinder.glance.add(Image { min_disk: 9, ..image() });
    let refused = reimage(&large, &[]).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "VOLUME_SMALLER_THAN_MIN_DISK");
    cinder.glance.be(Mood::Failing(Status::unavailable("SECRET")));
    let refused = reimage(&large, &[]).await.unwrap_err();
    assert_error(&refused, Code::Unavailable, "GLANCE_UNAVAILABLE");
    assert_eq!(cinder.get(&before.id).await.unwrap(), after);
}

async fn an_agent_completes_operations(db: TestDb) {
    let cinder = agent(db).await;
    let creating = volume(&cinder).await;
    assert_eq!((creating.status(), creating.revision), (VolumeStatus::Creating, 1));
    let task = creating.task.clone().unwrap();
    assert_eq!((task.state(), &task.image_id), (TaskState::Creating, &creating.image.clone().unwrap().id));
    let done = ReportVolumeStateRequest {
        host: Some("san1@pool".to_owned()),
        ..ended(&creating, Outcome::Succeeded)
    };
    let created = report(&cinder, done).await.unwrap();
    assert_eq!(
        (created.status(), created.task, created.host.as_str()),
        (VolumeStatus::Available, None, "san1@pool")
    );
    let get = as_reader(GetVolumeRequest { id: created.id.clone(), revision: 0 });
    assert_eq!(client(&cinder).get_volume(get).await.unwrap().into_inner().host, "");

    let extending =
        client(&cinder).extend_volume(as_alice(extend(&created.id, 3))).await.unwrap().into_inner();
    assert_eq!((extending.size_gib, extending.task.as_ref().unwrap().size_gib), (1, 3));
    let extended = report(&cinder, ended(&extending, Outcome::Succeeded)).await.unwrap();
    assert_eq!((extended.size_gib, extended.revision), (3, 4));

    let request = DeleteVolumeRequest { id: created.id.clone(), ..Default::default() };
    client(&cinder).delete_volume(as_alice(request)).await.unwrap();
    let deleting = cinder.get(&created.id).await.unwrap();
    assert_eq!(
        (deleting.status(), deleting.task.as_ref().unwrap().state()),
        (VolumeStatus::Deleting, TaskState::Deleting)
    );
    let gone = report(&cinder, ended(&deleting, Outcome::Succeeded)).await.unwrap_err();
    assert_error(&gone, Code::NotFound, "VOLUME_NOT_FOUND");
    let history = cinder.history(&created.id).await;
    let steps: Vec<_> = history.iter().map(VolumeHistoryEntry::step).collect();
    let (started, finished) = (Step::Started, Step::Finished);
    assert_eq!(steps, [finished, started, finished, started, finished, started]);
}

async fn what_fails_leaves_the_volume_as_it_was(db: TestDb) {
    let cinder = agent(db).await;
    let creating = volume(&cinder).await;
    let failed = report(&cinder, ended(&creating, Outcome::Failed)).await.unwrap();
    assert_eq!(failed.status(), VolumeStatus::Error);
    let failure = failed.last_failure.clone().unwrap();
    assert_eq!((failure.task_state(), failure.message.as_str()), (TaskState::Creating, "SAN"));

    let made = made(&cinder).await;
    let other = cinder.glance.with(&[("b", "2")]);
    let request =
        ReimageVolumeRequest { id: made.id.clone(), image_id: other.id.clone(), ..Default::default() };
    let reimaging = client(&cinder).reimage_volume(as_alice(request)).await.unwrap().into_inner();
    assert_eq!(reimaging.image_properties, made.image_properties);
    assert_eq!(reimaging.task.as_ref().unwrap().image_properties, map(&[("b", "2")]));
    let failed = report(&cinder, ended(&reimaging, Outcome::Failed)).await.unwrap();
    assert_eq!((failed.status(), failed.task.clone()), (VolumeStatus::Available, None));
    assert_eq!((&failed.image, &failed.image_properties), (&made.image, &made.image_properties));
    let entry = cinder.history(&made.id).await.remove(0);
    assert_eq!(
        (entry.operation(), entry.step(), entry.message.as_str()),
        (Operation::Reimage, Step::Failed, "SAN")
    );

    let extending = client(&cinder).extend_volume(as_alice(extend(&made.id, 3))).await.unwrap().into_inner();
    let extended = report(&cinder, ended(&extending, Outcome::Succeeded)).await.unwrap();
    assert_eq!(extended.last_failure, None);
}

async fn a_report_is_a_compare_and_set(db: TestDb) {
    let cinder = agent(db).await;
    let creating = volume(&cinder).await;
    let done = ended(&creating, Outcome::Succeeded);
    let made = report(&cinder, done.clone()).await.unwrap();
    let late = report(&cinder, done).await.unwrap_err();
    let values = assert_error(&late, Code::Aborted, "STATE_CHANGED");
    assert_eq!((&values["status"], &values["task"]), ("AVAILABLE", ""));
    let no_task = report(&cinder, ended(&made, Outcome::Succeeded)).await.unwrap_err();
    assert_violation(&no_task, "result", "needs a task");
    let status = |status: VolumeStatus, seen: &Volume| ReportVolumeStateRequest {
        status: status.into(),
        ..ended(seen, Outcome::Unspecified)
    };
    let in_use = report(&cinder, status(VolumeStatus::InUse, &made)).await.unwrap_err();
    assert_violation(&in_use, "status", "does not follow");
    let broken = report(&cinder, status(VolumeStatus::Error, &made)).await.unwrap();
    assert_eq!(broken.status(), VolumeStatus::Error);
    let mended = report(&cinder, status(VolumeStatus::Available, &broken)).await.unwrap();
    assert_eq!(mended.status(), VolumeStatus::Available);
    let request = as_alice(status(VolumeStatus::Error, &mended));
    let owner = client(&cinder).report_volume_state(request).await.unwrap_err();
    assert_error(&owner, Code::PermissionDenied, "NOT_PERMITTED");
}

async fn a_status_that_does_not_allow_it_says_what_would(db: TestDb) {
    let cinder = agent(db).await;
    let creating = volume(&cinder).await;
    let request = as_alice(set(&creating.id, &[("a", "2")]));
    let edit = client(&cinder).update_volume_image_properties(request).await.unwrap_err();
    let values = assert_error(&edit, Code::FailedPrecondition, "WRONG_STATE");
    assert_eq!((&values["status"], &values["task"]), ("CREATING", "CREATING"));
    assert_eq!(&values["allowed"], "UpdateVolume");
    let named = Volume { id: creating.id.clone(), name: "n".to_owned(), ..Volume::default() };
    assert_eq!(update(&cinder, named, &[]).await.unwrap().status(), VolumeStatus::Creating);

    let made = made(&cinder).await;
    client(&cinder).extend_volume(as_alice(extend(&made.id, 3))).await.unwrap();
    let again = client(&cinder).extend_volume(as_alice(extend(&made.id, 4))).await.unwrap_err();
    let values = assert_error(&again, Code::FailedPrecondition, "WRONG_STATE");
    assert_eq!((&values["task"], &values["needed"]), ("EXTENDING", "AVAILABLE, IN_USE"));
    let source = CreateVolumeRequest {
        source: Some(proto::cinder::v1::create_volume_request::Source::SourceVolumeId(creating.id.clone())),
        ..Default::default()
    };
    let refused = cinder.create(source).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "SOURCE_NOT_AVAILABLE");
}

async fn a_retry_changes_nothing(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = volume(&cinder).await;
    let request = ExtendVolumeRequest { request_id: "r".to_owned(), ..extend(&volume.id, 3) };
    for _ in 0..2 {
        let after = client(&cinder).extend_volume(as_alice(request.clone())).await.unwrap().into_inner();
        assert_eq!((after.size_gib, after.revision), (3, 2));
    }
    let other = ExtendVolumeRequest { request_id: "r".to_owned(), ..extend(&volume.id, 4) };
    let taken = client(&cinder).extend_volume(as_alice(other)).await.unwrap_err();
    assert_error(&taken, Code::AlreadyExists, "REQUEST_ID_TAKEN");
    let delete =
        DeleteVolumeRequest { id: volume.id.clone(), request_id: "d".to_owned(), ..Default::default() };
    for _ in 0..2 {
        client(&cinder).delete_volume(as_alice(delete.clone())).await.unwrap();
    }
    let stranger = client(&cinder).delete_volume(as_stranger(delete)).await.unwrap_err();
    assert_error(&stranger, Code::NotFound, "VOLUME_NOT_FOUND");
}

async fn an_old_etag_is_refused(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = volume(&cinder).await;
    let request = ExtendVolumeRequest { etag: volume.etag.clone(), ..extend(&volume.id, 3) };
    let after = client(&cinder).extend_volume(as_alice(request.clone())).await.unwrap().into_inner();
    assert_ne!(after.etag, volume.etag);
    let stale = client(&cinder).extend_volume(as_alice(request)).await.unwrap_err();
    let values = assert_error(&stale, Code::Aborted, "STALE_ETAG");
    assert_eq!(&values["etag"], after.etag);
}

async fn a_deleted_volume_leaves_its_history(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = volume(&cinder).await;
    cinder.delete(&volume.id).await.unwrap();
    assert_error(&cinder.get(&volume.id).await.unwrap_err(), Code::NotFound, "VOLUME_NOT_FOUND");
    let history = cinder.history(&volume.id).await;
    let operations: Vec<_> = history.iter().map(|entry| (entry.operation(), entry.revision)).collect();
    assert_eq!(operations, [(Operation::Delete, 2), (Operation::Create, 1)]);
    assert_eq!((history[0].new_status, history[0].changes.len()), (0, 0));
    let at = GetVolumeRequest { id: volume.id.clone(), revision: 1 };
    let past = client(&cinder).get_volume(as_alice(at)).await.unwrap().into_inner();
    assert_eq!((past.image, past.image_properties), (volume.image, volume.image_properties));
    let request = GetVolumeHistoryRequest { id: volume.id.clone(), ..Default::default() };
    let stranger = client(&cinder).get_volume_history(as_stranger(request)).await.unwrap_err();
    assert_error(&stranger, Code::NotFound, "VOLUME_NOT_FOUND");
    for table in ["volumes", "volume_metadata", "volume_tasks"] {
        let query = match table {
            "volumes" => "SELECT COUNT(*) FROM volumes",
            "volume_metadata" => "SELECT COUNT(*) FROM volume_metadata",
            _ => "SELECT COUNT(*) FROM volume_tasks",
        };
        assert_eq!(cinder.count(query).await, 0, "{table}");
    }
}

async fn only_admins_delete_by_force(db: TestDb) {
    let cinder = agent(db).await;
    let creating = volume(&cinder).await;
    let delete = |force| DeleteVolumeRequest { id: creating.id.clone(), force, ..Default::default() };
    let refused = client(&cinder).delete_volume(as_alice(delete(true))).await.unwrap_err();
    assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
    let refused = client(&cinder).delete_volume(as_admin(delete(false))).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "WRONG_STATE");
    client(&cinder).delete_volume(as_admin(delete(true))).await.unwrap();
    assert_eq!(cinder.get(&creating.id).await.unwrap().status(), VolumeStatus::Deleting);
}

async fn every_revision_can_be_read(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let first = volume(&cinder).await;
    let request = as_alice(set(&first.id, &[("a", "2")]));
    let second = client(&cinder).update_volume_image_properties(request).await.unwrap().into_inner();
    let third = client(&cinder).extend_volume(as_alice(extend(&first.id, 3))).await.unwrap().into_inner();
    for expected in [first.clone(), second, third] {
        let at = GetVolumeRequest { id: first.id.clone(), revision: expected.revision };
        let past = client(&cinder).get_volume(as_alice(at)).await.unwrap().into_inner();
        assert_eq!(past, expected);
    }
    for (revision, code, reason) in
        [(4, Code::NotFound, "REVISION_NOT_FOUND"), (-1, Code::InvalidArgument, "INVALID_REQUEST")]
    {
        let at = GetVolumeRequest { id: first.id.clone(), revision };
        assert_error(&client(&cinder).get_volume(as_alice(at)).await.unwrap_err(), code, reason);
    }
}

async fn others_change_nothing(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = volume(&cinder).await;
    let reader = client(&cinder).extend_volume(as_reader(extend(&volume.id, 3))).await.unwrap_err();
    assert_error(&reader, Code::PermissionDenied, "NOT_PERMITTED");
    let stranger = client(&cinder).extend_volume(as_stranger(extend(&volume.id, 3))).await.unwrap_err();
    assert_error(&stranger, Code::NotFound, "VOLUME_NOT_FOUND");
    let service = made_as("nova", "services", "service", extend(&volume.id, 3));
    let service = client(&cinder).extend_volume(service).await.unwrap_err();
    assert_error(&service, Code::PermissionDenied, "NOT_PERMITTED");
    assert_eq!(cinder.get(&volume.id).await.unwrap(), volume);
}

async fn drift_is_found_by_property(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let image = cinder.glance.add(image());
    let drifted = cinder.create(from_image(&image)).await.unwrap();
    cinder.glance.change(&image.id, |image| image.properties = map(&[("hw_disk_bus", "virtio"), ("a", "1")]));
    let current = cinder.create(from_image(&image)).await.unwrap();
    cinder.blank("demo", 1, "").await.unwrap();
    let list = |request: ListDriftRequest, all_projects| {
        let request = ListDriftRequest { all_projects, ..request };
        let request = if all_projects { as_admin(request) } else { as_alice(request) };
        async { client(&cinder).list_drift(request).await.unwrap().into_inner().drifts }
    };
    for all_projects in [false, true] {
        let drifts = list(ListDriftRequest::default(), all_projects).await;
        assert_eq!(drifts.len(), 1);
        assert_eq!((&drifts[0].volume_id, drifts[0].current_revision), (&drifted.id, 2));
        let difference = &drifts[0].differences[0];
        assert_eq!(
            (difference.volume_value.as_deref(), difference.image_value.as_deref()),
            (Some("scsi"), Some("virtio"))
        );
        let by = |property: &str, value: Option<&str>| ListDriftRequest {
            property: property.to_owned(),
            value: value.map(str::to_owned),
            ..Default::default()
        };
        assert_eq!(list(by("hw_disk_bus", Some("scsi")), all_projects).await.len(), 1);
        assert_eq!(list(by("hw_disk_bus", Some("virtio")), all_projects).await.len(), 0);
        assert_eq!(list(by("a", None), all_projects).await.len(), 0);
    }
    assert_ne!(current.id, drifted.id);
}
