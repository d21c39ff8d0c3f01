-- What happens to instances once they are there.
ALTER TABLE instances ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
ALTER TABLE instances ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN power_state TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN compute TEXT NOT NULL DEFAULT 'agent';

-- What is being done with an instance, and what it will be or was before. An instance that was resized keeps its row,
-- without a task_state, until that is confirmed or reverted.
CREATE TABLE instance_tasks (
    instance_id      TEXT PRIMARY KEY NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    operation        TEXT NOT NULL,
    task_state       TEXT,
    former_state     TEXT NOT NULL,
    former_record_id TEXT NOT NULL REFERENCES records (id),
    target_record_id TEXT REFERENCES records (id),
    image_id         TEXT,
    user_id          TEXT NOT NULL,
    project_id       TEXT NOT NULL,
    roles            TEXT NOT NULL,
    create_time      TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX instance_tasks_by_former_record ON instance_tasks (former_record_id);
CREATE INDEX instance_tasks_by_target_record ON instance_tasks (target_record_id);

-- Every change of an instance but its creation, which stands here only once something else does. Stays when the
-- instance goes, for as long as is configured, and keeps the records it names.
CREATE TABLE instance_history (
    instance_id    TEXT NOT NULL,
    revision       INTEGER NOT NULL,
    create_time    TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    project_id     TEXT NOT NULL,
    operation      TEXT NOT NULL,
    step           TEXT NOT NULL,
    old_state      TEXT,
    new_state      TEXT,
    old_record_id  TEXT REFERENCES records (id),
    new_record_id  TEXT REFERENCES records (id),
    image_id       TEXT,
    message        TEXT NOT NULL,
    request_id     TEXT,
    fingerprint    TEXT,
    PRIMARY KEY (instance_id, revision)
) WITHOUT ROWID;
CREATE UNIQUE INDEX instance_history_by_request ON instance_history (instance_id, request_id)
    WHERE request_id IS NOT NULL;
CREATE INDEX instance_history_by_old_record ON instance_history (old_record_id);
CREATE INDEX instance_history_by_new_record ON instance_history (new_record_id);
CREATE INDEX instance_history_by_deletion ON instance_history (create_time) WHERE operation = 'delete';

-- What glance-svc is still to be asked for: written together with the change that needs it, gone once it is done.
CREATE TABLE image_jobs (
    image_id    TEXT PRIMARY KEY NOT NULL,
    instance_id TEXT NOT NULL,
    action      TEXT NOT NULL,
    image       TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    roles       TEXT NOT NULL,
    create_time TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX image_jobs_by_create_time ON image_jobs (create_time);

DROP VIEW instance_records;

-- An instance with its record, its metadata and what is being done with it in one row, so that one statement reads one
-- state of it.
CREATE VIEW instance_records AS
SELECT i.id, i.name, i.hostname, i.launch_index, i.reservation_id, i.project_id, i.user_id, i.state, i.create_time,
       i.update_time, i.revision, i.host, i.power_state, i.compute, i.record_id, r.image_id, r.image_revision,
       r.kernel_id, r.ramdisk_id, r.os_type, r.architecture, r.vm_mode, r.root_device_name, r.auto_disk_config,
       r.system_metadata, r.truncated_keys,
       (SELECT json_group_object(m.key, m.value) FROM instance_metadata m WHERE m.instance_id = i.id) AS metadata,
       t.operation AS task_operation, t.task_state, t.former_state, t.former_record_id, t.target_record_id,
       t.image_id AS task_image_id, t.user_id AS task_user_id, t.project_id AS task_project_id, t.roles AS task_roles,
       t.create_time AS task_create_time
FROM instances i JOIN records r ON r.id = i.record_id LEFT JOIN instance_tasks t ON t.instance_id = i.id;
