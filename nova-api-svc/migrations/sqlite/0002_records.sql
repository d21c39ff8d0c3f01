-- What an instance was made of, once for all instances made of the same: image and revision, flavor, kernel and
-- ramdisk, and the system metadata that follows from them. The id is made of the content, which never changes.
CREATE TABLE records (
    id               TEXT PRIMARY KEY NOT NULL,
    image_id         TEXT NOT NULL,
    image_revision   INTEGER NOT NULL,
    memory_mb        INTEGER NOT NULL,
    vcpus            INTEGER NOT NULL,
    kernel_id        TEXT NOT NULL,
    ramdisk_id       TEXT NOT NULL,
    os_type          TEXT NOT NULL,
    architecture     TEXT NOT NULL,
    vm_mode          TEXT NOT NULL,
    root_device_name TEXT NOT NULL,
    auto_disk_config BOOLEAN NOT NULL,
    system_metadata  TEXT NOT NULL,
    truncated_keys   TEXT NOT NULL
);
CREATE INDEX records_by_image ON records (image_id, image_revision);

-- The system metadata of a record, an entry a row, to find records by.
CREATE TABLE record_entries (
    record_id TEXT NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    key       TEXT NOT NULL,
    value     TEXT NOT NULL,
    truncated BOOLEAN NOT NULL,
    PRIMARY KEY (record_id, key)
) WITHOUT ROWID;
CREATE INDEX record_entries_by_value ON record_entries (key, value, record_id);

DROP VIEW instance_records;

-- Instances that are made of the same share the record of the first of them.
CREATE TABLE instances_to_records AS
SELECT id, first_value(id) OVER (PARTITION BY image_id, image_revision, memory_mb, vcpus, kernel_id, ramdisk_id, os_type,
                                              architecture, vm_mode, root_device_name, auto_disk_config,
                                              system_metadata, truncated_keys ORDER BY id) AS record_id,
       system_metadata, truncated_keys
FROM (SELECT instances.*,
             (SELECT json_group_object(key, value) FROM (SELECT s.key, s.value FROM instance_system_metadata s
                                                         WHERE s.instance_id = instances.id ORDER BY s.key))
                 AS system_metadata,
             (SELECT json_group_array(key) FROM (SELECT t.key FROM instance_system_metadata t
                                                 WHERE t.instance_id = instances.id AND t.truncated ORDER BY t.key))
                 AS truncated_keys
      FROM instances) AS whole;
CREATE INDEX instances_to_records_by_id ON instances_to_records (id);

INSERT INTO records (id, image_id, image_revision, memory_mb, vcpus, kernel_id, ramdisk_id, os_type, architecture,
                     vm_mode, root_device_name, auto_disk_config, system_metadata, truncated_keys)
SELECT i.id, i.image_id, i.image_revision, i.memory_mb, i.vcpus, i.kernel_id, i.ramdisk_id, i.os_type, i.architecture,
       i.vm_mode, i.root_device_name, i.auto_disk_config, t.system_metadata, t.truncated_keys
FROM instances i JOIN instances_to_records t ON t.id = i.id AND t.record_id = i.id;

INSERT INTO record_entries (record_id, key, value, truncated)
SELECT s.instance_id, s.key, s.value, s.truncated
FROM instance_system_metadata s JOIN records r ON r.id = s.instance_id;

CREATE TABLE new_instances (
    id             TEXT PRIMARY KEY NOT NULL,
    name           TEXT NOT NULL,
    hostname       TEXT NOT NULL,
    launch_index   INTEGER NOT NULL,
    reservation_id TEXT NOT NULL,
    project_id     TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    record_id      TEXT NOT NULL REFERENCES records (id),
    state          TEXT NOT NULL,
    create_time    TEXT NOT NULL,
    update_time    TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO new_instances (id, name, hostname, launch_index, reservation_id, project_id, user_id, record_id, state,
                           create_time, update_time)
SELECT i.id, i.name, i.hostname, i.launch_index, i.reservation_id, i.project_id, i.user_id, t.record_id, i.state,
       i.create_time, i.update_time
FROM instances i JOIN instances_to_records t ON t.id = i.id;

CREATE TABLE new_instance_metadata (
    instance_id TEXT NOT NULL REFERENCES new_instances (id) ON DELETE CASCADE,
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (instance_id, key)
) WITHOUT ROWID;
INSERT INTO new_instance_metadata (instance_id, key, value)
SELECT instance_id, key, value FROM instance_metadata;

DROP TABLE instances_to_records;
DROP TABLE instance_system_metadata;
DROP TABLE instance_metadata;
DROP TABLE instances;
ALTER TABLE new_instances RENAME TO instances;
ALTER TABLE new_instance_metadata RENAME TO instance_metadata;
CREATE INDEX instances_by_create_time ON instances (create_time, id);
CREATE INDEX instances_by_project ON instances (project_id, create_time, id);
CREATE INDEX instances_by_record ON instances (record_id, create_time, id);
CREATE INDEX instances_by_reservation ON instances (reservation_id);

-- What each instance remembers of image and flavor.
CREATE VIEW instance_system_metadata AS
SELECT i.id AS instance_id, e.key, e.value, e.truncated
FROM instances i JOIN record_entries e ON e.record_id = i.record_id;

-- An instance with its record and metadata in one row, so that one statement reads one state of it.
CREATE VIEW instance_records AS
SELECT i.id, i.name, i.hostname, i.launch_index, i.reservation_id, i.project_id, i.user_id, i.state, i.create_time,
       i.update_time, i.record_id, r.image_id, r.image_revision, r.kernel_id, r.ramdisk_id, r.os_type, r.architecture,
       r.vm_mode, r.root_device_name, r.auto_disk_config, r.system_metadata, r.truncated_keys,
       (SELECT json_group_object(m.key, m.value) FROM instance_metadata m WHERE m.instance_id = i.id) AS metadata
FROM instances i JOIN records r ON r.id = i.record_id;
