-- Times are whole microseconds since 1970.
CREATE TABLE volume_types (
    id          TEXT PRIMARY KEY NOT NULL,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    is_public   BOOLEAN NOT NULL,
    project_ids TEXT NOT NULL,    -- who may use it if it is not public
    extra_specs TEXT NOT NULL,
    revision    INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX volume_types_by_create_time ON volume_types (create_time, id);

-- The type of volumes for which nobody names one (Cinder, Train).
INSERT INTO volume_types (id, name, description, is_public, project_ids, extra_specs, revision, create_time,
                          update_time)
VALUES ('00000000-0000-4000-8000-000000000001', '__DEFAULT__', 'Default Volume Type', TRUE, '[]', '{}', 1,
        1767225600000000, 1767225600000000);

-- What volumes and snapshots remember of the image that their data came from, once for all that remember the same. The
-- id is made of the content, which never changes. Without an image, the columns that describe it are NULL.
CREATE TABLE records (
    id               TEXT PRIMARY KEY NOT NULL,
    image_id         TEXT,
    image_revision   INTEGER,
    image_name       TEXT,
    disk_format      TEXT,
    container_format TEXT,
    checksum         TEXT,
    min_disk         INTEGER, -- GiB
    min_ram          INTEGER, -- MiB
    size             INTEGER, -- of the image's data, bytes
    properties       TEXT NOT NULL
);
CREATE INDEX records_by_image ON records (image_id, image_revision);

-- The properties of a record, an entry a row, to find records by. The index holds the first 255 characters of a value;
-- of longer ones, the whole value is compared as well.
CREATE TABLE record_entries (
    record_id TEXT NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    key       TEXT NOT NULL,
    value     TEXT NOT NULL,
    PRIMARY KEY (record_id, key)
) WITHOUT ROWID;
CREATE INDEX record_entries_by_value ON record_entries (key, substr(value, 1, 255), record_id);

-- Data that is kept here, or may be, after a crash: nothing lies in the folder or the bucket that is not in this
-- table. A row outlives its volume or snapshot until the data is removed. Times are by the database's clock.
CREATE TABLE volume_data (
    id         TEXT PRIMARY KEY NOT NULL,
    owner_id   TEXT NOT NULL,    -- the volume or the snapshot
    state      TEXT NOT NULL,    -- writing, stored, deleting
    next_time  INTEGER NOT NULL DEFAULT 0,
    attempts   INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX volume_data_by_owner ON volume_data (owner_id);
CREATE INDEX volume_data_by_next_time ON volume_data (next_time) WHERE state = 'deleting';

-- The id of the data store, as its marker says it too: another folder, or none, is not taken for the one with the data.
CREATE TABLE data_store (
    place INTEGER PRIMARY KEY NOT NULL CHECK (place = 1),
    id    TEXT NOT NULL
);

CREATE TABLE volumes (
    id                TEXT PRIMARY KEY NOT NULL,
    name              TEXT NOT NULL,
    description       TEXT NOT NULL,
    project_id        TEXT NOT NULL,
    user_id           TEXT NOT NULL,
    size_gib          INTEGER NOT NULL,
    volume_type_id    TEXT NOT NULL REFERENCES volume_types (id),
    availability_zone TEXT NOT NULL,
    status            TEXT NOT NULL,
    record_id         TEXT NOT NULL REFERENCES records (id),
    bootable          BOOLEAN NOT NULL,
    multiattach       BOOLEAN NOT NULL,
    read_only         BOOLEAN NOT NULL,
    snapshot_id       TEXT, -- what it was made from; may be gone
    source_volume_id  TEXT,
    storage           TEXT NOT NULL,
    host              TEXT NOT NULL,
    data_id           TEXT REFERENCES volume_data (id),
    failure           TEXT, -- last_failure
    revision          INTEGER NOT NULL,
    create_time       INTEGER NOT NULL,
    update_time       INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX volumes_by_create_time ON volumes (create_time, id);
CREATE INDEX volumes_by_project ON volumes (project_id, create_time, id);
CREATE INDEX volumes_by_name ON volumes (name, create_time, id);
CREATE INDEX volumes_by_record ON volumes (record_id, create_time, id);
CREATE INDEX volumes_by_type ON volumes (volume_type_id);
CREATE INDEX volumes_by_data ON volumes (data_id) WHERE data_id IS NOT NULL;

-- The owner's own metadata.
CREATE TABLE volume_metadata (
    volume_id TEXT NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
    key       TEXT NOT NULL,
    value     TEXT NOT NULL,
    PRIMARY KEY (volume_id, key)
) WITHOUT ROWID;
CREATE INDEX volume_metadata_by_value ON volume_metadata (key, value, volume_id);

-- A volume cannot go while it has snapshots.
CREATE TABLE snapshots (
    id             TEXT PRIMARY KEY NOT NULL,
    volume_id      TEXT NOT NULL REFERENCES volumes (id),
    name           TEXT NOT NULL,
    description    TEXT NOT NULL,
    project_id     TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    size_gib       INTEGER NOT NULL,
    volume_type_id TEXT NOT NULL REFERENCES volume_types (id),
    status         TEXT NOT NULL,
    record_id      TEXT NOT NULL REFERENCES records (id),
    bootable       BOOLEAN NOT NULL,
    metadata       TEXT NOT NULL,
    storage        TEXT NOT NULL,
    data_id        TEXT REFERENCES volume_data (id),
    failure        TEXT,
    owner          TEXT NOT NULL, -- the process that makes its data, or empty
    lease_time     INTEGER,       -- until when; NULL where an agent makes them
    revision       INTEGER NOT NULL,
    create_time    INTEGER NOT NULL,
    update_time    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX snapshots_by_create_time ON snapshots (create_time, id);
CREATE INDEX snapshots_by_project ON snapshots (project_id, create_time, id);
CREATE INDEX snapshots_by_volume ON snapshots (volume_id, create_time, id);
CREATE INDEX snapshots_by_record ON snapshots (record_id, create_time, id);
CREATE INDEX snapshots_by_type ON snapshots (volume_type_id);
CREATE INDEX snapshots_by_data ON snapshots (data_id) WHERE data_id IS NOT NULL;
CREATE INDEX snapshots_unsettled ON snapshots (lease_time) WHERE lease_time IS NOT NULL;

-- What is being done with a volume, and what it will be. What is being copied cannot go meanwhile.
CREATE TABLE volume_tasks (
    volume_id        TEXT PRIMARY KEY NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
    task_state       TEXT NOT NULL,
    former_status    TEXT NOT NULL,
    target_record_id TEXT REFERENCES records (id),
    target_bootable  BOOLEAN,
    target_size_gib  INTEGER,
    target_type_id   TEXT REFERENCES volume_types (id),
    target_multiattach BOOLEAN,
    target_data_id   TEXT REFERENCES volume_data (id),
    image_id         TEXT,          -- to copy, or to upload to
    image_revision   INTEGER,
    snapshot_id      TEXT REFERENCES snapshots (id),
    source_volume_id TEXT REFERENCES volumes (id),
    user_id          TEXT NOT NULL,
    project_id       TEXT NOT NULL,
    roles            TEXT NOT NULL,
    owner            TEXT NOT NULL, -- the process that does it, or empty
    lease_time       INTEGER,       -- until when; NULL if nobody has begun
    create_time      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX volume_tasks_by_target_record ON volume_tasks (target_record_id);
CREATE INDEX volume_tasks_by_target_data ON volume_tasks (target_data_id);
CREATE INDEX volume_tasks_by_target_type ON volume_tasks (target_type_id);
CREATE INDEX volume_tasks_by_snapshot ON volume_tasks (snapshot_id);
CREATE INDEX volume_tasks_by_source_volume ON volume_tasks (source_volume_id);
CREATE INDEX volume_tasks_by_lease ON volume_tasks (lease_time) WHERE lease_time IS NOT NULL;

-- Who uses a volume. lease_time: when a reservation ends by itself, by the database's clock; NULL once it is confirmed
-- or used.
CREATE TABLE attachments (
    id              TEXT PRIMARY KEY NOT NULL,
    volume_id       TEXT NOT NULL REFERENCES volumes (id),
    instance_id     TEXT,
    status          TEXT NOT NULL,
    mode            TEXT NOT NULL,
    host            TEXT NOT NULL,
    mountpoint      TEXT NOT NULL,
    connector       TEXT,
    connection_info TEXT,
    user_id         TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    lease_micros    INTEGER NOT NULL, -- how long a reservation lasts
    lease_time      INTEGER,
    revision        INTEGER NOT NULL,
    create_time     INTEGER NOT NULL,
    attach_time     INTEGER
) WITHOUT ROWID;
CREATE INDEX attachments_by_volume ON attachments (volume_id, create_time, id);
CREATE INDEX attachments_by_instance ON attachments (instance_id) WHERE instance_id IS NOT NULL;
CREATE INDEX attachments_by_project ON attachments (project_id, create_time, id);
CREATE INDEX attachments_by_create_time ON attachments (create_time, id);
CREATE INDEX attachments_by_lease ON attachments (lease_time) WHERE lease_time IS NOT NULL;

-- What a volume was at each revision: its own attributes and metadata, and its record. What changed is the difference
-- from the row before. Its creation stands here only once something else does. Stays when the volume goes, for as long
-- as is configured, and keeps the records it names.
CREATE TABLE volume_history (
    volume_id     TEXT NOT NULL,
    revision      INTEGER NOT NULL,
    create_time   INTEGER NOT NULL,
    user_id       TEXT NOT NULL,
    project_id    TEXT NOT NULL,
    operation     TEXT NOT NULL,
    step          TEXT NOT NULL,
    status        TEXT,          -- NULL once it is gone
    owner         TEXT NOT NULL, -- the project that it belonged to
    attributes    TEXT NOT NULL,
    record_id     TEXT REFERENCES records (id),
    image_id      TEXT,
    image_problem TEXT,
    left_out      TEXT,
    message       TEXT NOT NULL,
    request_id    TEXT,
    fingerprint   TEXT,
    PRIMARY KEY (volume_id, revision)
) WITHOUT ROWID;
CREATE UNIQUE INDEX volume_history_by_request ON volume_history (volume_id, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX volume_history_by_record ON volume_history (record_id);
CREATE INDEX volume_history_by_deletion ON volume_history (create_time) WHERE status IS NULL;

-- What glance-svc is still to be asked for: written together with the change that needs it, gone once it is done. Each
-- is done by one replica at a time. next_try: microseconds since 1970, by the database's clock.
CREATE TABLE image_jobs (
    image_id    TEXT PRIMARY KEY NOT NULL,
    volume_id   TEXT NOT NULL,
    revision    INTEGER NOT NULL,
    action      TEXT NOT NULL,
    image       TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    roles       TEXT NOT NULL,
    create_time TEXT NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    next_try    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX image_jobs_by_create_time ON image_jobs (create_time);
CREATE INDEX image_jobs_by_next_try ON image_jobs (next_try);

-- Requests that carried a request_id, so that a retry finds what the first one created.
CREATE TABLE create_requests (
    project_id  TEXT NOT NULL,
    resource    TEXT NOT NULL, -- volume, snapshot, attachment
    request_id  TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (project_id, resource, request_id)
) WITHOUT ROWID;
CREATE INDEX create_requests_by_create_time ON create_requests (create_time);

-- Projects under a quota: creating locks the row, so that two creates cannot both use the last room. What is used is
-- counted, and nowhere kept.
CREATE TABLE quota_projects (
    project_id TEXT PRIMARY KEY NOT NULL
);

-- Limits that are not the configured ones; -1 for none.
CREATE TABLE quota_limits (
    project_id TEXT NOT NULL,
    resource   TEXT NOT NULL,
    maximum    INTEGER NOT NULL,
    PRIMARY KEY (project_id, resource)
) WITHOUT ROWID;

-- Volumes that are offered to other projects. Of the key, only a hash is kept.
CREATE TABLE volume_transfers (
    id                TEXT PRIMARY KEY NOT NULL,
    volume_id         TEXT NOT NULL UNIQUE REFERENCES volumes (id) ON DELETE CASCADE,
    name              TEXT NOT NULL,
    project_id        TEXT NOT NULL,
    without_snapshots BOOLEAN NOT NULL,
    salt              TEXT NOT NULL,
    key_hash          TEXT NOT NULL,
    create_time       INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX volume_transfers_by_project ON volume_transfers (project_id, create_time, id);

-- The image properties of each volume and snapshot, for people.
CREATE VIEW volume_image_properties AS
SELECT v.id AS volume_id, e.key, e.value
FROM volumes v JOIN record_entries e ON e.record_id = v.record_id;

CREATE VIEW snapshot_image_properties AS
SELECT s.id AS snapshot_id, e.key, e.value
FROM snapshots s JOIN record_entries e ON e.record_id = s.record_id;
