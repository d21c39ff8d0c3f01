-- Text is compared by its bytes, as SQLite does.
CREATE TABLE flavors (
    instance_type_id BIGINT PRIMARY KEY,
    flavorid         TEXT COLLATE "C" NOT NULL UNIQUE,
    name             TEXT COLLATE "C" NOT NULL UNIQUE,
    memory_mb        INTEGER NOT NULL,
    vcpus            INTEGER NOT NULL,
    root_gb          INTEGER NOT NULL,
    ephemeral_gb     INTEGER NOT NULL,
    swap             INTEGER NOT NULL,
    rxtx_factor      DOUBLE PRECISION NOT NULL,
    vcpu_weight      INTEGER,
    create_time      TIMESTAMPTZ NOT NULL
);

-- The number of the last flavor that was added: a number is never given out again.
CREATE TABLE flavor_numbers (
    last BIGINT NOT NULL
);
INSERT INTO flavor_numbers (last) VALUES (5);

-- The five flavors of Icehouse.
INSERT INTO flavors (instance_type_id, flavorid, name, memory_mb, vcpus, root_gb, ephemeral_gb, swap, rxtx_factor,
                     create_time)
VALUES (1, '1', 'm1.tiny', 512, 1, 1, 0, 0, 1.0, '2014-04-17T00:00:00+00:00'),
       (2, '2', 'm1.small', 2048, 1, 20, 0, 0, 1.0, '2014-04-17T00:00:00+00:00'),
       (3, '3', 'm1.medium', 4096, 2, 40, 0, 0, 1.0, '2014-04-17T00:00:00+00:00'),
       (4, '4', 'm1.large', 8192, 4, 80, 0, 0, 1.0, '2014-04-17T00:00:00+00:00'),
       (5, '5', 'm1.xlarge', 16384, 8, 160, 0, 0, 1.0, '2014-04-17T00:00:00+00:00');

CREATE TABLE instances (
    id               UUID PRIMARY KEY,
    name             TEXT COLLATE "C" NOT NULL,
    hostname         TEXT NOT NULL,
    launch_index     INTEGER NOT NULL,
    reservation_id   TEXT COLLATE "C" NOT NULL,
    project_id       TEXT COLLATE "C" NOT NULL,
    user_id          TEXT COLLATE "C" NOT NULL,
    image_id         UUID NOT NULL,
    image_revision   BIGINT NOT NULL,
    state            TEXT COLLATE "C" NOT NULL,
    memory_mb        INTEGER NOT NULL,
    vcpus            INTEGER NOT NULL,
    kernel_id        TEXT NOT NULL,
    ramdisk_id       TEXT NOT NULL,
    os_type          TEXT NOT NULL,
    architecture     TEXT NOT NULL,
    vm_mode          TEXT NOT NULL,
    root_device_name TEXT NOT NULL,
    auto_disk_config BOOLEAN NOT NULL,
    create_time      TIMESTAMPTZ NOT NULL,
    update_time      TIMESTAMPTZ NOT NULL
);
CREATE INDEX instances_by_create_time ON instances (create_time, id);
CREATE INDEX instances_by_image ON instances (image_id, image_revision, create_time, id);
CREATE INDEX instances_by_project ON instances (project_id, create_time, id);
CREATE INDEX instances_by_reservation ON instances (reservation_id);

-- The caller's own metadata.
CREATE TABLE instance_metadata (
    instance_id UUID NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    key         TEXT COLLATE "C" NOT NULL,
    value       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (instance_id, key)
);

-- What an instance remembers of image and flavor.
CREATE TABLE instance_system_metadata (
    instance_id UUID NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    key         TEXT COLLATE "C" NOT NULL,
    value       TEXT COLLATE "C" NOT NULL,
    truncated   BOOLEAN NOT NULL,
    PRIMARY KEY (instance_id, key)
);
CREATE INDEX instance_system_metadata_by_value ON instance_system_metadata (key, value, instance_id);

-- Requests that carried a request_id, so that a retry finds what the first one created.
CREATE TABLE create_requests (
    project_id      TEXT COLLATE "C" NOT NULL,
    request_id      TEXT COLLATE "C" NOT NULL,
    fingerprint     TEXT NOT NULL,
    reservation_id  TEXT NOT NULL,
    requested_count INTEGER NOT NULL,
    create_time     TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (project_id, request_id)
);

-- Projects under a quota: creating locks the row, so that two creates cannot both use the last room.
CREATE TABLE quota_projects (
    project_id TEXT COLLATE "C" PRIMARY KEY
);

-- An instance with its metadata in one row, so that one statement reads one state of it.
CREATE VIEW instance_records AS
SELECT instances.*,
       COALESCE((SELECT json_object_agg(m.key, m.value) FROM instance_metadata m WHERE m.instance_id = instances.id),
                '{}') AS metadata,
       COALESCE((SELECT json_object_agg(s.key, s.value) FROM instance_system_metadata s
                 WHERE s.instance_id = instances.id), '{}') AS system_metadata,
       COALESCE((SELECT json_agg(t.key) FROM instance_system_metadata t
                 WHERE t.instance_id = instances.id AND t.truncated), '[]') AS truncated_keys
FROM instances;
