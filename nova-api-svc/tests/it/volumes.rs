//! Instances on volumes: what they are made from, what is created and reserved for them, and what is left of it.

use chassis::{db::Db, on_both_databases, testing::TestDb};
use nova_api_svc::{compute::ComputeApi, instance::Compute, store::MIGRATIONS};
use proto::{
    cinder::v1::{Snapshot, SourceImage, Volume},
    nova::v1::{BlockDeviceMapping, CreateInstanceRequest, Instance, block_device_mapping::Source},
};
use tonic::{Code, Status};

use crate::{
    cinder::Cinder,
    glance::map,
    support::{Nova, Settings, assert_error, compute_api, execute, violations},
};

mod attach;
mod create;
mod failures;
mod operations;
mod rebuild;
mod shelve;
mod snapshot;

/// A nova-api-svc and its volume service; jobs are done only when the test says so.
pub(crate) struct World {
    pub(crate) nova: Nova,
    pub(crate) cinder: Cinder,
    worker: ComputeApi,
}

impl World {
    pub(crate) async fn start(db: TestDb, compute: Compute) -> Self {
        Self::start_with(db, Settings { compute, ..Settings::default() }).await
    }

    pub(crate) async fn start_with(db: TestDb, settings: Settings) -> Self {
        let cinder = Cinder::start().await;
        let cinder_endpoint = Some(cinder.endpoint());
        let settings = Settings { cinder_endpoint, does_jobs: false, ..settings };
        let nova = Nova::start_with(db, settings.clone()).await;
        let db = Db::open(&nova.db.url, 16, &MIGRATIONS).unwrap();
        db.migrate().await.unwrap();
        let worker = compute_api(&db, &nova.glance.endpoint(), &settings);
        Self { nova, cinder, worker }
    }

    /// Does all volume jobs, as if their pauses and leases were over; returns how many are left.
    pub(crate) async fn work(&self) -> i64 {
        execute(&self.nova.db.url, "UPDATE volume_jobs SET next_try = 0").await;
        self.worker.do_due_volume_jobs().await.unwrap();
        self.jobs().await
    }

    pub(crate) async fn jobs(&self) -> i64 {
        self.nova.sql::<(i64,)>("SELECT COUNT(*) FROM volume_jobs").await[0].0
    }

    /// An instance of a request, and that it is read as it was answered.
    async fn create(&self, request: CreateInstanceRequest) -> Instance {
        let created = self.nova.create_one(request).await;
        assert_eq!(self.nova.get(&created.id).await.unwrap(), created);
        created
    }

    /// A request that is refused leaves nothing.
    async fn refuse(&self, request: CreateInstanceRequest) -> Status {
        let refused = self.nova.create(request).await.unwrap_err();
        self.assert_nothing_is_left().await;
        refused
    }

    async fn assert_nothing_is_left(&self) {
        assert_eq!(self.nova.sql::<(i64,)>("SELECT COUNT(*) FROM instances").await, [(0,)]);
        assert_eq!(self.jobs().await, 0);
        let state = self.cinder.state();
        assert_eq!(state.attachments.len(), 0);
        let created = state.created.iter().filter(|(_, id)| state.volumes.contains_key(id));
        assert_eq!(created.count(), 0);
    }

    /// A bootable volume that remembers image 6e1f…, revision 7.
    fn bootable(&self) -> Volume {
        let properties = map(&[("hw_disk_bus", "scsi"), ("os_type", "linux")]);
        let image = Some(remembered());
        self.cinder.add(Volume { bootable: true, image, image_properties: properties, ..Volume::default() })
    }

    fn bootable_snapshot(&self) -> Snapshot {
        let properties = map(&[("hw_disk_bus", "virtio")]);
        let image = Some(remembered());
        let snapshot =
            Snapshot { bootable: true, image, image_properties: properties, ..Snapshot::default() };
        self.cinder.add_snapshot(Snapshot { size_gib: 4, ..snapshot })
    }
}

const IMAGE: &str = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";

fn remembered() -> SourceImage {
    SourceImage {
        id: IMAGE.to_owned(),
        revision: 7,
        name: "jammy".to_owned(),
        disk_format: "qcow2".to_owned(),
        container_format: "bare".to_owned(),
        min_disk: 1,
        min_ram: 64,
        ..SourceImage::default()
    }
}

/// A request for one m1.tiny called `web` with these disks.
fn with(disks: impl IntoIterator<Item = BlockDeviceMapping>) -> CreateInstanceRequest {
    CreateInstanceRequest {
        name: "web".to_owned(),
        flavor_id: "1".to_owned(),
        block_device_mapping: disks.into_iter().collect(),
        ..CreateInstanceRequest::default()
    }
}

/// A disk made from that source that instances boot from.
fn root(source: Source) -> BlockDeviceMapping {
    BlockDeviceMapping { source: Some(source), boot_index: Some(0), ..BlockDeviceMapping::default() }
}

/// A disk made from that source.
fn disk(source: Source) -> BlockDeviceMapping {
    BlockDeviceMapping { source: Some(source), ..BlockDeviceMapping::default() }
}

/// A new blank volume of that size.
fn blank(volume_size_gib: i32) -> BlockDeviceMapping {
    BlockDeviceMapping { volume_size_gib, ..disk(Source::Blank(true)) }
}

fn existing(volume: &Volume) -> Source {
    Source::VolumeId(volume.id.clone())
}
