//! What many instances share, read once for all of them: their records, and the metadata of their reservations. Neither
//! ever changes, so that it belongs to an instance whenever it is read. And the disks of those few instances that have
//! more than image and flavor say.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use chassis::{
    db::{self, ByDialect, Many},
    page::{MAX_BYTES, Read},
};
use common::id::Id;
use sqlx::types::Json;

use super::{Store, instance::InstanceRow};
use crate::{
    error::Error,
    instance::{BlockDevice, BlockDevices, Instance, Record},
};

/// Number of instances for which this is read at once. Each may have a different record and different metadata, of some
/// 170 and 260 kB.
const STEP: usize = 32;

/// The metadata of the reservations `$1`, and what earlier releases wrote for each of the instances `$2`.
const METADATA: ByDialect = ByDialect {
    sqlite: "SELECT reservation_id, metadata FROM reservation_metadata \
         WHERE reservation_id IN (SELECT value FROM json_each($1)) \
         UNION ALL SELECT instance_id, json_group_object(key, value) FROM instance_metadata_entries \
         WHERE instance_id IN (SELECT value FROM json_each($2)) GROUP BY instance_id",
    postgres: "SELECT reservation_id, metadata FROM reservation_metadata WHERE reservation_id = ANY($1) \
         UNION ALL SELECT instance_id::text, json_object_agg(key, value) FROM instance_metadata_entries \
         WHERE instance_id = ANY($2) GROUP BY instance_id",
};

/// The disks of the instances `$1`.
const DEVICES: ByDialect = ByDialect {
    sqlite: "SELECT instance_id, devices FROM block_devices \
         WHERE instance_id IN (SELECT value FROM json_each($1))",
    postgres: "SELECT instance_id, devices FROM block_devices WHERE instance_id = ANY($1)",
};

/// About how many bytes a disk takes in an answer.
const DEVICE: usize = 512;

/// The caller's metadata.
pub(super) type Metadata = Arc<BTreeMap<String, String>>;

/// Records by their ids, and metadata by the reservation or the one instance that has it.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) records: HashMap<Id, Arc<Record>>,
    pub(super) metadata: HashMap<String, Metadata>,
    pub(super) devices: HashMap<Id, BlockDevices>,
}

impl Store {
    /// The instances of these rows, except those that were deleted in the meantime together with their records.
    pub(super) async fn complete(&self, rows: Vec<InstanceRow>) -> Result<Vec<Instance>, Error> {
        Ok(self.complete_to(rows, usize::MAX).await?.items)
    }

    /// The first instances of these rows, as far as they fit into an answer.
    pub(super) async fn complete_page(&self, rows: Vec<InstanceRow>) -> Result<Read<Instance>, Error> {
        self.complete_to(rows, MAX_BYTES).await
    }

    async fn complete_to(&self, rows: Vec<InstanceRow>, most: usize) -> Result<Read<Instance>, Error> {
        let (mut shared, mut instances, mut bytes) = (Shared::default(), Vec::with_capacity(rows.len()), 0);
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let step: Vec<_> = rows.by_ref().take(STEP).collect();
            self.load(&step, &mut shared).await?;
            for row in step {
                let Some(instance) = row.instance(&shared)? else { continue };
                bytes += size(&instance);
                instances.push(instance);
                if bytes > most {
                    return Ok(Read { items: instances, is_cut: true });
                }
            }
        }
        Ok(instances.into())
    }

    /// Reads what these rows share and was not read yet.
    async fn load(&self, rows: &[InstanceRow], shared: &mut Shared) -> Result<(), Error> {
        let records: BTreeSet<_> = rows
            .iter()
            .flat_map(InstanceRow::records)
            .filter(|id| !shared.records.contains_key(id))
            .collect();
        shared.records.extend(self.records(records.into_iter().collect()).await?);
        let others = || rows.iter().filter(|row| !shared.metadata.contains_key(&row.reservation_id));
        let reservations: BTreeSet<_> = others().map(|row| row.reservation_id.clone()).collect();
        let instances = others().map(|row| row.id).collect();
        if !reservations.is_empty() {
            let found = self.metadata(reservations.into_iter().collect(), instances).await?;
            shared.metadata.extend(found);
        }
        let with_devices: Vec<_> = rows.iter().filter(|row| row.has_devices).map(|row| row.id).collect();
        if !with_devices.is_empty() {
            shared.devices.extend(self.devices(with_devices).await?);
        }
        Ok(())
    }

    /// The disks of these instances.
    async fn devices(&self, instances: Vec<Id>) -> Result<Vec<(Id, BlockDevices)>, Error> {
        let mut connection = self.db.reader().await?;
        let rows: Vec<(Id, String)> = connection.query_as(DEVICES).bind(Many(instances)).fetch_all().await?;
        let read = |(id, devices): (Id, String)| {
            let devices: Vec<BlockDevice> = serde_json::from_str(&devices).map_err(|_| Error::Corrupt(id))?;
            Ok((id, devices.into()))
        };
        rows.into_iter().map(read).collect()
    }

    /// The metadata of these reservations, and what earlier releases wrote for each of these instances.
    async fn metadata(
        &self,
        reservations: Vec<String>,
        instances: Vec<Id>,
    ) -> Result<Vec<(String, Metadata)>, db::Error> {
        let mut connection = self.db.reader().await?;
        let query = connection.query_as(METADATA).bind(Many(reservations)).bind(Many(instances));
        let rows: Vec<(String, Json<BTreeMap<String, String>>)> = query.fetch_all().await?;
        Ok(rows.into_iter().map(|(owner, metadata)| (owner, Arc::new(metadata.0))).collect())
    }
}

/// About how many bytes an instance takes in an answer.
fn size(instance: &Instance) -> usize {
    let entries = instance.metadata.iter().chain(&instance.record.system_metadata.entries);
    let devices = instance.block_devices.len() * DEVICE;
    entries.fold(instance.name.len() + devices, |total, (key, value)| total + key.len() + value.len())
}
