//! Snapshots whose data an agent keeps.

use super::*;

on_both_databases!(
    an_agent_takes_and_deletes_a_snapshot,
    a_snapshot_that_could_not_be_taken_is_in_error,
    what_is_being_copied_stays_as_it_is,
    a_report_about_another_status_is_refused,
);

async fn agent(db: TestDb) -> Cinder {
    Cinder::start_with(db, Settings { storage: Storage::Agent, ..Settings::default() }).await
}

impl Cinder {
    /// Reports of a snapshot that it is in `status` after `seen`.
    async fn report(
        &self,
        snapshot: &Snapshot,
        seen: SnapshotStatus,
        status: SnapshotStatus,
    ) -> Result<Snapshot, Status> {
        let request = ReportSnapshotStateRequest {
            id: snapshot.id.clone(),
            seen_status: seen.into(),
            status: status.into(),
            message: "says the agent".to_owned(),
            etag: String::new(),
        };
        Ok(self.snapshots().report_snapshot_state(as_service(request)).await?.into_inner())
    }

    /// Ends the task of a volume with success.
    async fn finish(&self, volume: &Volume) -> Volume {
        let seen = self.get(&volume.id).await.unwrap();
        let request = ReportVolumeStateRequest {
            id: seen.id.clone(),
            seen_status: seen.status,
            seen_task_state: seen.task.as_ref().map_or(0, |task| task.state),
            result: TaskResult::Succeeded.into(),
            ..Default::default()
        };
        self.volumes().report_volume_state(as_service(request)).await.unwrap().into_inner()
    }
}

use SnapshotStatus::{Available, Creating, Deleting, Error as Failed, Unspecified as Gone};

async fn an_agent_takes_and_deletes_a_snapshot(db: TestDb) {
    let cinder = agent(db).await;
    let volume = cinder.finish(&cinder.volume().await).await;
    let snapshot = cinder.snapshot(of(&volume)).await.unwrap();
    assert_eq!(snapshot.status(), Creating);
    let busy = cinder.delete_snapshot(delete(&snapshot)).await.unwrap_err();
    assert_error(&busy, Code::FailedPrecondition, "SNAPSHOT_BUSY");
    let early = cinder.create(from_snapshot(&snapshot)).await.unwrap_err();
    assert_error(&early, Code::FailedPrecondition, "SNAPSHOT_NOT_AVAILABLE");
    let taken = cinder.report(&snapshot, Creating, Available).await.unwrap();
    assert_eq!((taken.status(), taken.last_failure), (Available, None));
    cinder.delete_snapshot(delete(&snapshot)).await.unwrap();
    assert_eq!(cinder.get_snapshot(&snapshot.id).await.unwrap().status(), Deleting);
    cinder.report(&snapshot, Deleting, Gone).await.unwrap();
    let gone = cinder.get_snapshot(&snapshot.id).await.unwrap_err();
    assert_error(&gone, Code::NotFound, "SNAPSHOT_NOT_FOUND");
}

async fn a_snapshot_that_could_not_be_taken_is_in_error(db: TestDb) {
    let cinder = agent(db).await;
    let volume = cinder.finish(&cinder.volume().await).await;
    let snapshot = cinder.snapshot(of(&volume)).await.unwrap();
    let failed = cinder.report(&snapshot, Creating, Failed).await.unwrap();
    let failure = failed.last_failure.unwrap();
    assert_eq!((failure.task_state(), failure.reason.as_str()), (State::Creating, "REPORTED"));
    assert_eq!(failure.message, "says the agent");
    let back = cinder.report(&snapshot, Failed, Available).await.unwrap();
    assert_eq!((back.status(), back.last_failure), (Available, None));
    cinder.delete_snapshot(delete(&snapshot)).await.unwrap();
    let stuck = cinder.report(&snapshot, Deleting, Failed).await.unwrap();
    assert_eq!(stuck.last_failure.unwrap().task_state(), State::Deleting);
    cinder.delete_snapshot(delete(&snapshot)).await.unwrap();
    cinder.report(&snapshot, Deleting, Gone).await.unwrap();
}

async fn what_is_being_copied_stays_as_it_is(db: TestDb) {
    let cinder = agent(db).await;
    let volume = cinder.finish(&cinder.volume().await).await;
    let snapshot = cinder.snapshot(of(&volume)).await.unwrap();
    // Its data are being copied: nothing replaces or deletes them.
    let revert = async |snapshot: &Snapshot| {
        let (id, snapshot_id) = (volume.id.clone(), snapshot.id.clone());
        let request = RevertVolumeRequest { id, snapshot_id, ..Default::default() };
        cinder.volumes().revert_volume(as_alice(request)).await
    };
    assert_error(&revert(&snapshot).await.unwrap_err(), Code::FailedPrecondition, "SNAPSHOT_NOT_AVAILABLE");
    let cascade = DeleteVolumeRequest { id: volume.id.clone(), cascade: true, ..Default::default() };
    let refused = cinder.volumes().delete_volume(as_alice(cascade)).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "VOLUME_BEING_COPIED");
    cinder.report(&snapshot, Creating, Available).await.unwrap();
    let copy = cinder.create(from_snapshot(&snapshot)).await.unwrap();
    assert_eq!(copy.status(), VolumeStatus::Creating);
    let refused = cinder.delete_snapshot(delete(&snapshot)).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "SNAPSHOT_BEING_COPIED");
    cinder.finish(&copy).await;
    // The same for a copy of the volume itself.
    let source = Some(Source::SourceVolumeId(volume.id.clone()));
    let clone = cinder.create(CreateVolumeRequest { source, ..Default::default() }).await.unwrap();
    let refused = revert(&snapshot).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "VOLUME_BEING_COPIED");
    cinder.finish(&clone).await;
    let reverting = revert(&snapshot).await.unwrap().into_inner();
    let task = reverting.task.unwrap();
    assert_eq!((task.state(), task.snapshot_id.as_str()), (State::Reverting, snapshot.id.as_str()));
    let refused = cinder.snapshot(of(&volume)).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "SOURCE_NOT_AVAILABLE");
    cinder.finish(&volume).await;
    cinder.delete_snapshot(delete(&snapshot)).await.unwrap();
}

async fn a_report_about_another_status_is_refused(db: TestDb) {
    let cinder = agent(db).await;
    let volume = cinder.finish(&cinder.volume().await).await;
    let snapshot = cinder.snapshot(of(&volume)).await.unwrap();
    let late = cinder.report(&snapshot, Available, Failed).await.unwrap_err();
    let values = assert_error(&late, Code::Aborted, "STATE_CHANGED");
    assert_eq!((&values["snapshot_id"], &values["status"]), (snapshot.id.as_str(), "CREATING"));
    let never = cinder.report(&snapshot, Creating, Deleting).await.unwrap_err();
    assert_violation(&never, "status", "must be AVAILABLE or ERROR after CREATING");
    let nothing = cinder.report(&snapshot, Gone, Available).await.unwrap_err();
    assert_violation(&nothing, "seen_status", "must be given");
    assert_eq!(cinder.get_snapshot(&snapshot.id).await.unwrap(), snapshot);
}
