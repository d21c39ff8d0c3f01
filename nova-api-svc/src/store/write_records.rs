//! How records are written.

use chassis::{db::ByDialect, records::Row};

use super::rows::{EntryRow, RecordRow};

impl<'a> Row for RecordRow<'a> {
    type Entry = EntryRow<'a>;

    const INSERT: ByDialect = ByDialect {
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

    const INSERT_ENTRIES: ByDialect = ByDialect {
        sqlite: "INSERT INTO record_entries (record_id, key, value, truncated) \
             SELECT value ->> 'record_id', value ->> 'key', value ->> 'value', value ->> 'truncated' \
             FROM json_each($1)",
        postgres: "INSERT INTO record_entries (record_id, key, value, truncated) \
             SELECT record_id, key, value, truncated FROM json_to_recordset($1::json) \
             AS entry (record_id uuid, key text, value text, truncated boolean)",
    };

    fn entries(&self) -> impl Iterator<Item = EntryRow<'a>> {
        let truncated = self.truncated_keys;
        self.system_metadata.iter().map(|(key, value)| EntryRow {
            record_id: self.id,
            key,
            value,
            truncated: truncated.contains(key),
        })
    }
}
