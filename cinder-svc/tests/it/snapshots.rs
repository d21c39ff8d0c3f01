//! Snapshots: what they remember, who may do what with them, and what is made from them.

use std::collections::BTreeSet;

use chassis::{on_both_databases, testing::TestDb};
use cinder_svc::{quota::Quota, volume::Storage};
use common::id::Id;
use peers::testing::glance::map;
use proto::cinder::v1::{
    CreateSnapshotRequest, CreateVolumeRequest, DeleteSnapshotRequest, DeleteVolumeRequest,
    ExtendVolumeRequest, GetSnapshotRequest, ListSnapshotsRequest, ReportSnapshotStateRequest,
    ReportVolumeStateRequest, RevertVolumeRequest, Snapshot, UpdateSnapshotRequest,
    UpdateVolumeImagePropertiesRequest, Volume, create_volume_request::Source,
    report_volume_state_request::Result as TaskResult, snapshot::Status as SnapshotStatus,
    snapshot_service_client::SnapshotServiceClient, volume::Status as VolumeStatus, volume_task::State,
};
use tonic::{Code, Request, Status, transport::Channel};

use crate::support::{
    Cinder, OWNER, Settings, as_admin, as_alice, as_reader, as_service, as_stranger, assert_error,
    assert_violation, fields,
};

mod agent;
mod copies;
mod directory;
mod scope;

on_both_databases!(
    a_snapshot_remembers_what_the_volume_does_now,
    a_retry_finds_the_snapshot,
    what_is_wrong_with_a_request_is_told_at_once,
    snapshots_count_towards_the_quota,
    only_the_owners_words_change,
    a_deleted_snapshot_is_gone,
    a_volume_with_snapshots_stays,
    snapshots_are_listed_by_what_they_are,
    snapshots_and_changes_of_the_volume_at_once,
);

/// A request for a snapshot of a volume.
fn of(volume: &Volume) -> CreateSnapshotRequest {
    CreateSnapshotRequest { volume_id: volume.id.clone(), ..Default::default() }
}

fn from_snapshot(snapshot: &Snapshot) -> CreateVolumeRequest {
    CreateVolumeRequest { source: Some(Source::SnapshotId(snapshot.id.clone())), ..Default::default() }
}

impl Cinder {
    async fn snapshot(&self, request: CreateSnapshotRequest) -> Result<Snapshot, Status> {
        Ok(self.snapshots().create_snapshot(as_alice(request)).await?.into_inner())
    }

    async fn get_snapshot(&self, id: &str) -> Result<Snapshot, Status> {
        let request = GetSnapshotRequest { id: id.to_owned() };
        Ok(self.snapshots().get_snapshot(as_admin(request)).await?.into_inner())
    }

    async fn delete_snapshot(&self, request: DeleteSnapshotRequest) -> Result<(), Status> {
        self.snapshots().delete_snapshot(as_alice(request)).await.map(tonic::Response::into_inner)
    }

    /// A volume of an image that has these properties, and which nobody can boot from.
    async fn data_volume(&self, properties: &[(&str, &str)]) -> Volume {
        let image = self.glance.with(properties);
        let source = Some(Source::ImageId(image.id));
        let volume = self.create(CreateVolumeRequest { source, ..Default::default() }).await.unwrap();
        self.execute(both("UPDATE volumes SET bootable = FALSE")).await;
        self.get(&volume.id).await.unwrap()
    }

    /// Sets an image property of a volume.
    async fn set(&self, volume: &Volume, name: &str, value: &str) -> Volume {
        let (id, set) = (volume.id.clone(), map(&[(name, value)]));
        let request = UpdateVolumeImagePropertiesRequest { id, set, ..Default::default() };
        self.volumes().update_volume_image_properties(as_alice(request)).await.unwrap().into_inner()
    }
}

/// The same statement for both databases.
fn both(sql: &'static str) -> chassis::db::ByDialect {
    chassis::db::ByDialect { sqlite: sql, postgres: sql }
}

fn delete(snapshot: &Snapshot) -> DeleteSnapshotRequest {
    DeleteSnapshotRequest { id: snapshot.id.clone(), ..Default::default() }
}

async fn a_snapshot_remembers_what_the_volume_does_now(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.data_volume(&[("hw_disk_bus", "scsi"), ("os_distro", "debian")]).await;
    let request = CreateSnapshotRequest {
        name: " monday ".to_owned(),
        description: "two\nlines".to_owned(),
        metadata: map(&[("tier", "gold")]),
        ..of(&volume)
    };
    let snapshot = cinder.snapshot(request).await.unwrap();
    assert_eq!((snapshot.name.as_str(), snapshot.description.as_str()), ("monday", "two\nlines"));
    assert_eq!((snapshot.status(), snapshot.bootable), (SnapshotStatus::Available, false));
    assert_eq!((snapshot.size_gib, &snapshot.volume_type_id), (1, &volume.volume_type_id));
    assert_eq!((&snapshot.image, &snapshot.image_properties), (&volume.image, &volume.image_properties));
    assert_eq!((snapshot.project_id.as_str(), snapshot.user_id.as_str()), (OWNER, "alice"));
    assert_eq!((snapshot.revision, &snapshot.metadata["tier"]), (1, &"gold".to_owned()));
    // It never forgets, whatever becomes of the volume.
    cinder.set(&volume, "hw_disk_bus", "ide").await;
    assert_eq!(cinder.get_snapshot(&snapshot.id).await.unwrap(), snapshot);
    // Nor is the volume changed by it.
    assert_eq!(cinder.get(&volume.id).await.unwrap().revision, volume.revision + 1);
    let records = "SELECT COUNT(*) FROM records";
    assert_eq!(cinder.count(records).await, 2, "what is remembered by both is kept once");
}

async fn a_retry_finds_the_snapshot(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let request = CreateSnapshotRequest { request_id: "r".to_owned(), ..of(&volume) };
    let replicas = cinder.replicas().await;
    let send = |number: usize| {
        let mut client: SnapshotServiceClient<Channel> =
            SnapshotServiceClient::new(replicas[number % 2].clone());
        let request = as_alice(request.clone());
        tokio::spawn(async move { client.create_snapshot(request).await.unwrap().into_inner() })
    };
    let mut ids = BTreeSet::new();
    for answer in (0..16).map(send).collect::<Vec<_>>() {
        ids.insert(answer.await.unwrap().id);
    }
    assert_eq!(ids.len(), 1);
    let other = CreateSnapshotRequest { name: "other".to_owned(), ..request.clone() };
    assert_error(&cinder.snapshot(other).await.unwrap_err(), Code::AlreadyExists, "REQUEST_ID_TAKEN");
    let id = ids.pop_first().unwrap();
    cinder.delete_snapshot(DeleteSnapshotRequest { id, ..Default::default() }).await.unwrap();
    let gone = cinder.snapshot(request).await.unwrap_err();
    assert_error(&gone, Code::NotFound, "SNAPSHOT_NOT_FOUND");
    assert_eq!(cinder.count("SELECT COUNT(*) FROM snapshots").await, 0);
}

async fn what_is_wrong_with_a_request_is_told_at_once(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let bad = CreateSnapshotRequest {
        volume_id: "1".to_owned(),
        name: "x".repeat(256),
        description: "\0".to_owned(),
        metadata: map(&[("", "x")]),
        request_id: "x".repeat(256),
        ..Default::default()
    };
    let refused = cinder.snapshot(bad).await.unwrap_err();
    assert_eq!(fields(&refused), ["volume_id", "name", "description", "metadata[\"\"]", "request_id"]);
    let unknown = CreateSnapshotRequest { volume_id: Id::random().to_string(), ..Default::default() };
    assert_error(&cinder.snapshot(unknown).await.unwrap_err(), Code::NotFound, "VOLUME_NOT_FOUND");
    let volume = cinder.volume().await;
    let stale = CreateSnapshotRequest { volume_etag: "0-0".to_owned(), ..of(&volume) };
    assert_error(&cinder.snapshot(stale).await.unwrap_err(), Code::Aborted, "STALE_ETAG");
    let list =
        ListSnapshotsRequest { filter: "x = 1".to_owned(), order_by: "x".to_owned(), ..Default::default() };
    let refused = cinder.snapshots().list_snapshots(as_alice(list)).await.unwrap_err();
    assert_eq!(fields(&refused), ["filter", "order_by"]);
    let unknown = DeleteSnapshotRequest { id: Id::random().to_string(), ..Default::default() };
    let gone = cinder.delete_snapshot(unknown).await.unwrap_err();
    assert_error(&gone, Code::NotFound, "SNAPSHOT_NOT_FOUND");
}

async fn snapshots_count_towards_the_quota(db: TestDb) {
    let quota = Quota { snapshots: Some(2), gigabytes: Some(6), ..Quota::default() };
    let cinder = Cinder::start_with(db, Settings { quota, ..Settings::default() }).await;
    let volume = cinder.blank(OWNER, 2, "").await.unwrap();
    let mut taken = Vec::new();
    // Of many at once, as many as there is room for.
    let snapshots = (0..8).map(|_| cinder.snapshot(of(&volume)));
    for outcome in futures_util::future::join_all(snapshots).await {
        match outcome {
            Ok(snapshot) => taken.push(snapshot),
            Err(refused) => {
                let values = assert_error(&refused, Code::ResourceExhausted, "QUOTA_EXCEEDED");
                assert!(["snapshots", "gigabytes"].contains(&&values["resource"]));
            }
        }
    }
    assert_eq!(taken.len(), 2);
    cinder.delete_snapshot(delete(&taken[0])).await.unwrap();
    cinder.snapshot(of(&volume)).await.unwrap();
    let extend = ExtendVolumeRequest { id: volume.id.clone(), size_gib: 3, ..Default::default() };
    let refused = cinder.volumes().extend_volume(as_alice(extend)).await.unwrap_err();
    assert_eq!(&assert_error(&refused, Code::ResourceExhausted, "QUOTA_EXCEEDED")["resource"], "gigabytes");
}

async fn only_the_owners_words_change(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let snapshot = cinder.snapshot(of(&cinder.data_volume(&[("a", "1")]).await)).await.unwrap();
    let update = async |snapshot: Snapshot, paths: &[&str]| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let request = UpdateSnapshotRequest {
            snapshot: Some(snapshot),
            update_mask: Some(prost_types::FieldMask { paths }),
        };
        cinder.snapshots().update_snapshot(as_alice(request)).await.map(tonic::Response::into_inner)
    };
    let named = Snapshot { id: snapshot.id.clone(), name: " n ".to_owned(), ..Default::default() };
    let after = update(named.clone(), &[]).await.unwrap();
    assert_eq!((after.name.as_str(), after.revision), ("n", 2));
    assert_ne!(after.etag, snapshot.etag);
    assert_eq!(update(named.clone(), &["name"]).await.unwrap(), after, "nothing changes");
    let tagged = Snapshot { metadata: map(&[("k", "v")]), ..named.clone() };
    let after = update(tagged, &["*"]).await.unwrap();
    assert_eq!((after.name.as_str(), &after.metadata["k"]), ("n", &"v".to_owned()));
    assert_eq!(update(named.clone(), &["metadata"]).await.unwrap().metadata.len(), 0);
    let refused = update(named.clone(), &["bootable", "image_properties"]).await.unwrap_err();
    assert_eq!(fields(&refused), ["update_mask", "update_mask"]);
    let empty = Snapshot { id: snapshot.id.clone(), ..Default::default() };
    assert_violation(&update(empty, &[]).await.unwrap_err(), "update_mask", "must name a field");
    let stale = Snapshot { etag: snapshot.etag.clone(), ..named };
    assert_error(&update(stale, &["name"]).await.unwrap_err(), Code::Aborted, "STALE_ETAG");
    let now = cinder.get_snapshot(&snapshot.id).await.unwrap();
    assert_eq!((now.image, now.image_properties), (snapshot.image, snapshot.image_properties));
}

async fn a_deleted_snapshot_is_gone(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let snapshot = cinder.snapshot(of(&volume)).await.unwrap();
    let stale = DeleteSnapshotRequest { etag: "0-0".to_owned(), ..delete(&snapshot) };
    assert_error(&cinder.delete_snapshot(stale).await.unwrap_err(), Code::Aborted, "STALE_ETAG");
    let request = DeleteSnapshotRequest { request_id: "d".to_owned(), ..delete(&snapshot) };
    cinder.delete_snapshot(request.clone()).await.unwrap();
    let gone = cinder.get_snapshot(&snapshot.id).await.unwrap_err();
    assert_error(&gone, Code::NotFound, "SNAPSHOT_NOT_FOUND");
    // The retry does not find it any more, and succeeds.
    cinder.delete_snapshot(request.clone()).await.unwrap();
    let again = cinder.delete_snapshot(delete(&snapshot)).await.unwrap_err();
    assert_error(&again, Code::NotFound, "SNAPSHOT_NOT_FOUND");
    let other = cinder.snapshot(of(&volume)).await.unwrap();
    let taken = DeleteSnapshotRequest { id: other.id.clone(), ..request };
    assert_error(&cinder.delete_snapshot(taken).await.unwrap_err(), Code::AlreadyExists, "REQUEST_ID_TAKEN");
    let force = DeleteSnapshotRequest { force: true, ..delete(&other) };
    let refused = cinder.delete_snapshot(force.clone()).await.unwrap_err();
    assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
    cinder.snapshots().delete_snapshot(as_admin(force)).await.unwrap();
}

async fn a_volume_with_snapshots_stays(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    cinder.snapshot(of(&volume)).await.unwrap();
    cinder.snapshot(of(&volume)).await.unwrap();
    let refused = cinder.delete(&volume.id).await.unwrap_err();
    let values = assert_error(&refused, Code::FailedPrecondition, "VOLUME_HAS_SNAPSHOTS");
    assert_eq!(&values["snapshots"], "2");
    let request = DeleteVolumeRequest { id: volume.id.clone(), cascade: true, ..Default::default() };
    cinder.volumes().delete_volume(as_alice(request)).await.unwrap();
    assert_eq!(cinder.count("SELECT COUNT(*) FROM snapshots").await, 0);
}

async fn snapshots_are_listed_by_what_they_are(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.data_volume(&[("os_distro", "debian")]).await;
    let image_id = volume.image.as_ref().unwrap().id.clone();
    let mut ids = Vec::new();
    for number in 0..5 {
        let name = format!("s{}", 4 - number);
        let metadata = map(&[("n", &number.to_string()), ("a \"b\".c", "x = y")]);
        ids.push(cinder.snapshot(CreateSnapshotRequest { name, metadata, ..of(&volume) }).await.unwrap().id);
    }
    cinder.set(&volume, "os_distro", "ubuntu").await;
    let ubuntu = cinder.snapshot(of(&volume)).await.unwrap().id;
    cinder.snapshot(of(&cinder.volume().await)).await.unwrap();
    let list = async |filter: &str, order_by: &str, page_size: i32| {
        let (filter, order_by) = (filter.to_owned(), order_by.to_owned());
        let mut request = ListSnapshotsRequest { filter, order_by, page_size, ..Default::default() };
        let mut listed = Vec::new();
        loop {
            let page =
                cinder.snapshots().list_snapshots(as_alice(request.clone())).await.unwrap().into_inner();
            listed.extend(page.snapshots.into_iter().map(|snapshot| snapshot.id));
            if page.next_page_token.is_empty() {
                return listed;
            }
            request.page_token = page.next_page_token;
        }
    };
    let of_volume = format!("volume_id = \"{}\"", volume.id);
    let newest: Vec<_> = [&ubuntu].into_iter().chain(ids.iter().rev()).cloned().collect();
    assert_eq!(list("", "", 2).await.len(), 7);
    for size in [1, 3, 100] {
        assert_eq!(list(&of_volume, "", size).await, newest, "newest first");
    }
    assert_eq!(list("image_properties.os_distro = debian", "create_time", 2).await, ids);
    assert_eq!(list("image_properties.os_distro = ubuntu", "", 0).await, [ubuntu]);
    assert_eq!(list(&format!("image_id = \"{image_id}\" AND image_revision = 1"), "", 0).await.len(), 6);
    assert_eq!(list("metadata.n = 3", "", 0).await, [ids[3].clone()]);
    assert_eq!(list(r#"metadata."a \"b\".c" = "x = y""#, "name", 2).await, newest[1..]);
    assert_eq!(list("name = s1 AND status = AVAILABLE AND size_gib = 1", "", 0).await, [ids[3].clone()]);
    assert_eq!(list("user_id = bob", "", 0).await.len(), 0);
}

async fn snapshots_and_changes_of_the_volume_at_once(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.data_volume(&[("n", "0")]).await;
    let replicas = cinder.replicas().await;
    let snapshots = (0..16).map(|number| {
        let mut client: SnapshotServiceClient<Channel> =
            SnapshotServiceClient::new(replicas[number % 2].clone());
        let request = as_alice(of(&volume));
        async move { client.create_snapshot(request).await.unwrap().into_inner() }
    });
    let changes = async {
        for number in 1..8 {
            cinder.set(&volume, "n", &number.to_string()).await;
        }
    };
    let (taken, ()) = tokio::join!(futures_util::future::join_all(snapshots), changes);
    // Each remembers what the volume did at some moment.
    for snapshot in taken {
        assert!(snapshot.image_properties["n"].parse::<i32>().unwrap() < 8);
        assert_eq!(snapshot.image, volume.image);
    }
    // None is taken of a volume that goes.
    let deleting = async {
        let request = DeleteVolumeRequest { id: volume.id.clone(), cascade: true, ..Default::default() };
        cinder.volumes().delete_volume(as_alice(request)).await.unwrap();
    };
    let more = (0..8).map(|_| cinder.snapshot(of(&volume)));
    let (more, ()) = tokio::join!(futures_util::future::join_all(more), deleting);
    for refused in more.into_iter().filter_map(Result::err) {
        assert_error(&refused, Code::NotFound, "VOLUME_NOT_FOUND");
    }
    assert_eq!(cinder.count("SELECT COUNT(*) FROM snapshots").await, 0);
}
