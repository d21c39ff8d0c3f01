-- The layout to compare with: one row per entry of each instance's system metadata, as in Nova.
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

CREATE TABLE instance_system_metadata (
    instance_id UUID NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    key         TEXT COLLATE "C" NOT NULL,
    value       TEXT COLLATE "C" NOT NULL,
    truncated   BOOLEAN NOT NULL,
    PRIMARY KEY (instance_id, key)
);
