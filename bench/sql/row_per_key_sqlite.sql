-- The layout to compare with: one row per entry of each instance's system metadata, as in Nova.
CREATE TABLE instances (
    id               TEXT PRIMARY KEY NOT NULL,
    name             TEXT NOT NULL,
    hostname         TEXT NOT NULL,
    launch_index     INTEGER NOT NULL,
    reservation_id   TEXT NOT NULL,
    project_id       TEXT NOT NULL,
    user_id          TEXT NOT NULL,
    image_id         TEXT NOT NULL,
    image_revision   INTEGER NOT NULL,
    state            TEXT NOT NULL,
    memory_mb        INTEGER NOT NULL,
    vcpus            INTEGER NOT NULL,
    kernel_id        TEXT NOT NULL,
    ramdisk_id       TEXT NOT NULL,
    os_type          TEXT NOT NULL,
    architecture     TEXT NOT NULL,
    vm_mode          TEXT NOT NULL,
    root_device_name TEXT NOT NULL,
    auto_disk_config BOOLEAN NOT NULL,
    create_time      TEXT NOT NULL,
    update_time      TEXT NOT NULL
);
CREATE INDEX instances_by_create_time ON instances (create_time, id);
CREATE INDEX instances_by_image ON instances (image_id, image_revision, create_time, id);
CREATE INDEX instances_by_project ON instances (project_id, create_time, id);
CREATE INDEX instances_by_reservation ON instances (reservation_id);

CREATE TABLE instance_system_metadata (
    instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    truncated   BOOLEAN NOT NULL,
    PRIMARY KEY (instance_id, key)
) WITHOUT ROWID;
