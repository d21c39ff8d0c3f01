-- The caller's metadata of a reservation, once for all its instances: whoever creates a thousand of them says it once.
CREATE TABLE reservation_metadata (
    reservation_id TEXT PRIMARY KEY NOT NULL,
    metadata       TEXT NOT NULL
);

-- What earlier releases wrote, an entry a row; they go on writing it while this schema is rolled out.
DROP VIEW instance_records;
ALTER TABLE instance_metadata RENAME TO instance_metadata_entries;

-- The metadata of each instance, wherever it stands.
CREATE VIEW instance_metadata AS
SELECT instance_id, key, value FROM instance_metadata_entries
UNION ALL
SELECT i.id, e.key, e.value
FROM instances i JOIN reservation_metadata r ON r.reservation_id = i.reservation_id JOIN json_each(r.metadata) e;

CREATE TRIGGER insert_instance_metadata INSTEAD OF INSERT ON instance_metadata
BEGIN
    INSERT INTO instance_metadata_entries (instance_id, key, value) VALUES (NEW.instance_id, NEW.key, NEW.value);
END;

-- Read by earlier releases alone, and by people.
CREATE VIEW instance_records AS
SELECT i.id, i.name, i.hostname, i.launch_index, i.reservation_id, i.project_id, i.user_id, i.state, i.create_time,
       i.update_time, i.revision, i.host, i.power_state, i.compute, i.record_id, r.image_id, r.image_revision,
       r.kernel_id, r.ramdisk_id, r.os_type, r.architecture, r.vm_mode, r.root_device_name, r.auto_disk_config,
       r.system_metadata, r.truncated_keys,
       COALESCE((SELECT s.metadata FROM reservation_metadata s WHERE s.reservation_id = i.reservation_id),
                (SELECT json_group_object(m.key, m.value) FROM instance_metadata_entries m
                 WHERE m.instance_id = i.id)) AS metadata,
       t.operation AS task_operation, t.task_state, t.former_state, t.former_record_id, t.target_record_id,
       t.image_id AS task_image_id, t.user_id AS task_user_id, t.project_id AS task_project_id, t.roles AS task_roles,
       t.create_time AS task_create_time
FROM instances i JOIN records r ON r.id = i.record_id LEFT JOIN instance_tasks t ON t.instance_id = i.id;
