-- The disks of instances that are not what image and flavor say, a JSON array each; only instances that have any have a
-- row.
CREATE TABLE block_devices (
    instance_id TEXT PRIMARY KEY NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    devices     TEXT NOT NULL
);

-- What cinder-svc is still to be asked for: to reserve the volumes of an instance, or to take back what was created and
-- reserved for one that was deleted or never came to be (`volumes`). next_try: microseconds since 1970, by the database's
-- clock.
CREATE TABLE volume_jobs (
    id          TEXT PRIMARY KEY NOT NULL,
    instance_id TEXT NOT NULL,
    action      TEXT NOT NULL,
    volumes     TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    roles       TEXT NOT NULL,
    create_time TEXT NOT NULL,
    attempts    INTEGER NOT NULL,
    next_try    INTEGER NOT NULL
);
CREATE INDEX volume_jobs_by_instance ON volume_jobs (instance_id);
CREATE INDEX volume_jobs_by_next_try ON volume_jobs (next_try);
CREATE INDEX volume_jobs_by_create_time ON volume_jobs (create_time);

-- The volume that an operation was about.
ALTER TABLE instance_history ADD COLUMN volume_id TEXT;
