//! Records in the database.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use chassis::db::{ByDialect, Many};
use common::{flavor::Flavor, id::Id, system_metadata::SystemMetadata};
use serde_json::value::RawValue;
use sqlx::types::Json;

use super::Store;
use crate::{
    error::Error,
    instance::{Inherited, Needs, Record},
};

/// The columns of a record.
macro_rules! columns {
    () => {
        "SELECT id AS record_id, image_id, image_revision, kernel_id, ramdisk_id, os_type, architecture, vm_mode, \
         root_device_name, auto_disk_config, system_metadata, truncated_keys, image_min_disk, image_size \
         FROM records WHERE "
    };
}

/// Records that satisfy a condition.
pub(super) const RECORDS: &str = columns!();

/// The records `$1`.
const THESE: ByDialect = ByDialect {
    sqlite: concat!(columns!(), "id IN (SELECT value FROM json_each($1))"),
    postgres: concat!(columns!(), "id = ANY($1)"),
};

/// A row of `records`, or that part of another row.
#[derive(sqlx::FromRow)]
pub(super) struct StoredRecord {
    record_id: Id,
    image_id: Id,
    image_revision: i64,
    kernel_id: String,
    ramdisk_id: String,
    os_type: String,
    architecture: String,
    vm_mode: String,
    root_device_name: String,
    auto_disk_config: bool,
    // Read once for each record, however many rows have it.
    system_metadata: Json<Box<RawValue>>,
    truncated_keys: Json<Box<RawValue>>,
    image_min_disk: Option<i64>,
    image_size: Option<i64>,
}

impl StoredRecord {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.system_metadata.get().len() + self.truncated_keys.get().len()
    }

    /// The record, to be shared.
    pub(super) fn read(self) -> Result<Arc<Record>, Error> {
        let id = self.record_id;
        self.record().map(Arc::new).ok_or(Error::Corrupt(id))
    }

    /// The record; `None` if its row cannot be understood.
    fn record(self) -> Option<Record> {
        let entries: BTreeMap<String, String> = serde_json::from_str(self.system_metadata.get()).ok()?;
        let truncated: BTreeSet<String> = serde_json::from_str(self.truncated_keys.get()).ok()?;
        Some(Record {
            id: self.record_id,
            image_id: self.image_id,
            image_revision: self.image_revision,
            flavor: Flavor::from_system_metadata(&entries)?,
            kernel_id: self.kernel_id,
            ramdisk_id: self.ramdisk_id,
            inherited: Inherited {
                os_type: self.os_type,
                architecture: self.architecture,
                vm_mode: self.vm_mode,
                root_device_name: self.root_device_name,
                auto_disk_config: self.auto_disk_config,
            },
            system_metadata: SystemMetadata { entries, truncated },
            needs: self.image_min_disk.map(|min_disk| Needs { min_disk, size: self.image_size }),
        })
    }
}

impl Store {
    /// Those of these records that exist.
    pub async fn records(&self, ids: Vec<Id>) -> Result<HashMap<Id, Arc<Record>>, Error> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<StoredRecord> =
            self.db.reader().await?.query_as(THESE).bind(Many(ids)).fetch_all().await?;
        rows.into_iter().map(|row| row.read().map(|record| (record.id, record))).collect()
    }
}
