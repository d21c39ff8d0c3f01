//! Snapshots whose data cinder-svc keeps in a folder.

use std::{fs, path::Path};

use proto::cinder::v1::{CompleteAttachmentRequest, CreateAttachmentRequest};

use super::*;

on_both_databases!(
    a_snapshot_keeps_the_data_as_it_was,
    a_snapshot_whose_maker_has_died_is_in_error,
    what_an_instance_may_be_writing_is_not_copied,
);

impl Cinder {
    /// The snapshot, once it is made, or could not be.
    async fn made(&self, snapshot: &Snapshot) -> Snapshot {
        loop {
            let now = self.get_snapshot(&snapshot.id).await.unwrap();
            if now.status() != SnapshotStatus::Creating {
                return now;
            }
        }
    }
}

/// The files with data in a folder, and how each begins.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.metadata().unwrap().len() == 1 << 30 {
            use std::io::Read as _;
            let mut beginning = [0; 4];
            fs::File::open(&path).unwrap().read_exact(&mut beginning).unwrap();
            found.push(String::from_utf8_lossy(&beginning).trim_matches('\0').to_owned());
        }
    }
    found.sort();
    found
}

/// Writes the beginning of the only file with data in a folder that begins with `old`.
fn write(folder: &Path, old: &str, new: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            write(&path, old, new);
        } else if path.metadata().unwrap().len() == 1 << 30 && files(path.parent().unwrap()) == [old] {
            use std::io::Write as _;
            fs::File::options().write(true).open(&path).unwrap().write_all(new.as_bytes()).unwrap();
        }
    }
}

async fn a_snapshot_keeps_the_data_as_it_was(db: TestDb) {
    let folder = tempfile::tempdir().unwrap();
    let cinder = Cinder::directory(db, &folder).await;
    let volume = cinder.settled(&cinder.volume().await).await;
    write(folder.path(), "", "old!");
    let snapshot = cinder.snapshot(of(&volume)).await.unwrap();
    assert_eq!(cinder.made(&snapshot).await.status(), SnapshotStatus::Available);
    assert_eq!(files(folder.path()), ["old!", "old!"]);
    // A copy of the snapshot has the same data, and a revert brings them back.
    let copy = cinder.settled(&cinder.create(from_snapshot(&snapshot)).await.unwrap()).await;
    assert_eq!((copy.status(), files(folder.path()).len()), (VolumeStatus::Available, 3));
    let (id, snapshot_id) = (volume.id.clone(), snapshot.id.clone());
    let request = RevertVolumeRequest { id, snapshot_id, ..Default::default() };
    cinder.volumes().revert_volume(as_alice(request)).await.unwrap();
    let reverted = cinder.settled(&volume).await;
    assert_eq!((reverted.status(), reverted.last_failure), (VolumeStatus::Available, None));
    // What is deleted gives its room back.
    cinder.delete_snapshot(delete(&snapshot)).await.unwrap();
    cinder.delete(&copy.id).await.unwrap();
    while cinder.count("SELECT COUNT(*) FROM volume_data").await > 1 {}
    assert_eq!(files(folder.path()), ["old!"]);
}

async fn a_snapshot_whose_maker_has_died_is_in_error(db: TestDb) {
    let folder = tempfile::tempdir().unwrap();
    let cinder = Cinder::directory(db, &folder).await;
    let volume = cinder.settled(&cinder.volume().await).await;
    // As if somebody had begun to make it, and had died since.
    let copying = chassis::db::ByDialect {
        sqlite: "UPDATE snapshots SET status = 'creating', owner = 'dead', lease_time = 1",
        postgres: "UPDATE snapshots SET status = 'creating', owner = 'dead', lease_time = '2020-01-01T00:00:00Z'",
    };
    let snapshot = cinder.snapshot(of(&volume)).await.unwrap();
    let snapshot = cinder.made(&snapshot).await;
    cinder
        .execute(both("UPDATE volume_data SET state = 'writing' WHERE id IN (SELECT data_id FROM snapshots)"))
        .await;
    cinder.execute(copying).await;
    let lost = cinder.made(&snapshot).await;
    assert_eq!(lost.status(), SnapshotStatus::Error);
    assert_eq!(lost.last_failure.unwrap().reason, "TASK_LOST");
    while cinder.count("SELECT COUNT(*) FROM volume_data").await > 1 {}
    assert_eq!(files(folder.path()).len(), 1);
    cinder.delete_snapshot(delete(&snapshot)).await.unwrap();
}

async fn what_an_instance_may_be_writing_is_not_copied(db: TestDb) {
    let folder = tempfile::tempdir().unwrap();
    let cinder = Cinder::directory(db, &folder).await;
    let volume = cinder.settled(&cinder.volume().await).await;
    let connector = r#"{"host": "c1"}"#.to_owned();
    let request = CreateAttachmentRequest { volume_id: volume.id.clone(), connector, ..Default::default() };
    let attachment = cinder.attachments().create_attachment(as_service(request)).await.unwrap().into_inner();
    let info: serde_json::Value = serde_json::from_str(&attachment.connection_info).unwrap();
    assert_eq!(info["driver_volume_type"], "local");
    assert!(Path::new(info["data"]["path"].as_str().unwrap()).is_file());
    let id = attachment.id;
    let complete = CompleteAttachmentRequest { id, ..Default::default() };
    cinder.attachments().complete_attachment(as_service(complete)).await.unwrap();
    let refused = cinder.snapshot(of(&volume)).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "VOLUME_NOT_QUIESCED");
    let quiesced = CreateSnapshotRequest { quiesced: true, ..of(&volume) };
    let snapshot = cinder.snapshots().create_snapshot(as_service(quiesced)).await.unwrap().into_inner();
    assert_eq!(cinder.made(&snapshot).await.status(), SnapshotStatus::Available);
}
