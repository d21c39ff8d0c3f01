//! Records are written once, whichever of the instances that share them comes first.

use std::collections::BTreeMap;

use chassis::db::{self, ByDialect, Many, Transaction, json};
use common::id::Id;

use super::rows::{EntryRow, RecordRow};
use crate::instance::Record;

/// Which of the records `$1` exist.
const KNOWN: ByDialect = ByDialect {
    sqlite: "SELECT id FROM records WHERE id IN (SELECT value FROM json_each($1))",
    postgres: "SELECT id FROM records WHERE id = ANY($1)",
};

/// Writes the records of `$1` that do not exist yet; returns their ids.
const RECORDS: ByDialect = ByDialect {
    sqlite: "INSERT INTO records (id, image_id, image_revision, memory_mb, vcpus, kernel_id, ramdisk_id, os_type, \
         architecture, vm_mode, root_device_name, auto_disk_config, system_metadata, truncated_keys, image_min_disk, image_size) \
         SELECT value ->> 'id', value ->> 'image_id', value ->> 'image_revision', value ->> 'memory_mb', \
         value ->> 'vcpus', value ->> 'kernel_id', value ->> 'ramdisk_id', value ->> 'os_type', \
         value ->> 'architecture', value ->> 'vm_mode', value ->> 'root_device_name', \
         value ->> 'auto_disk_config', value -> 'system_metadata', value -> 'truncated_keys', \
         value ->> 'image_min_disk', value ->> 'image_size' \
         FROM json_each($1) WHERE TRUE ON CONFLICT (id) DO NOTHING RETURNING id",
    postgres: "INSERT INTO records (id, image_id, image_revision, memory_mb, vcpus, kernel_id, ramdisk_id, os_type, \
         architecture, vm_mode, root_device_name, auto_disk_config, system_metadata, truncated_keys, image_min_disk, image_size) \
         SELECT id, image_id, image_revision, memory_mb, vcpus, kernel_id, ramdisk_id, os_type, architecture, \
         vm_mode, root_device_name, auto_disk_config, system_metadata, truncated_keys, image_min_disk, image_size \
         FROM json_to_recordset($1::json) AS record (id uuid, image_id uuid, image_revision bigint, \
         memory_mb integer, vcpus integer, kernel_id text, ramdisk_id text, os_type text, architecture text, \
         vm_mode text, root_device_name text, auto_disk_config boolean, system_metadata json, \
         truncated_keys json, image_min_disk bigint, image_size bigint) ON CONFLICT (id) DO NOTHING RETURNING id",
};

/// Writes the entries of records.
const ENTRIES: ByDialect = ByDialect {
    sqlite: "INSERT INTO record_entries (record_id, key, value, truncated) \
         SELECT value ->> 'record_id', value ->> 'key', value ->> 'value', value ->> 'truncated' \
         FROM json_each($1)",
    postgres: "INSERT INTO record_entries (record_id, key, value, truncated) \
         SELECT record_id, key, value, truncated FROM json_to_recordset($1::json) \
         AS entry (record_id uuid, key text, value text, truncated boolean)",
};

/// Writes those of the records that do not exist yet, with their entries.
pub(super) async fn write_records(
    tx: &mut Transaction,
    mut records: BTreeMap<Id, &Record>,
) -> Result<(), db::Error> {
    let ids = records.keys().copied().collect();
    let known: Vec<Id> = tx.query_scalar(KNOWN).bind(Many(ids)).fetch_all().await?;
    for known in known {
        records.remove(&known);
    }
    if records.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = records.values().map(|record| RecordRow::from(*record)).collect();
    // Another replica may write the same records: the first one writes the entries, too.
    let written: Vec<Id> = tx.query_scalar(RECORDS).bind(json(&rows)).fetch_all().await?;
    let written = written.iter().filter_map(|id| records.get(id));
    let entries: Vec<_> = written.flat_map(|record| EntryRow::of(record)).collect();
    tx.query(ENTRIES).bind(json(&entries)).execute().await?;
    Ok(())
}
