//! The data of a volume is replaced, and with it what the volume remembers.

use std::sync::Arc;

use chassis::scope::Scope;
use common::{
    id::Id,
    image::{Image, Properties},
    volume_image_metadata::VolumeImageMetadata,
};

use super::Plan;
use crate::{
    error::Error,
    quota::Growth,
    volume::{Record, Target, Volume, access::SNAPSHOTS, checks},
    volumes::VolumeApi,
};

impl VolumeApi {
    /// A volume with data that did not come from an image, and remembers none.
    pub(super) fn other_data(before: &Volume) -> Plan {
        let record = Record::new(VolumeImageMetadata::default());
        let (record, data_id) = (Some(Arc::new(record)), before.storage.new_data());
        let target = Target { record, data_id, ..Target::default() };
        Plan::Task { target, image: None, snapshot_id: None, growth: Growth::default() }
    }

    /// A volume with the data of an image, and everything that it remembers of it: what was edited on the volume goes
    /// with the data it described.
    pub(super) fn reimage(&self, before: &Volume, image: &Image, added: &Properties) -> Result<Plan, Error> {
        checks::check_image(image)?;
        checks::check_size_for_image(image, before.size_gib)?;
        self.check_format(before.storage, image)?;
        let record = Record::new(checks::metadata_of_image(image, added)?);
        let (record, data_id) = (Some(Arc::new(record)), before.storage.new_data());
        let target = Target { record, bootable: Some(true), data_id, ..Target::default() };
        let image = Some((image.id, image.revision));
        Ok(Plan::Task { target, image, snapshot_id: None, growth: Growth::default() })
    }

    /// A volume with the data of its latest snapshot, and with what it remembered then.
    pub(super) async fn revert(&self, before: &Volume, snapshot_id: Id) -> Result<Plan, Error> {
        let snapshot = self.store.snapshot(snapshot_id, &Scope::internal(SNAPSHOTS)).await?;
        let snapshot = snapshot.filter(|snapshot| snapshot.volume_id == before.id);
        let snapshot = snapshot.ok_or(Error::NoSuchSnapshot(snapshot_id))?;
        let latest = self.store.latest_snapshot(before.id).await?.map_or(snapshot_id, |latest| latest.id);
        snapshot.check_reverted_to(before, latest)?;
        let target = Target {
            record: Some(Arc::clone(&snapshot.record)),
            bootable: Some(snapshot.bootable),
            data_id: before.storage.new_data(),
            ..Target::default()
        };
        Ok(Plan::Task { target, image: None, snapshot_id: Some(snapshot_id), growth: Growth::default() })
    }
}
