-- The disks of instances that are not what image and flavor say, a JSON array each; only instances that have any have a
-- row.
CREATE TABLE block_devices (
    instance_id UUID PRIMARY KEY REFERENCES instances (id) ON DELETE CASCADE,
    devices     TEXT COLLATE "C" NOT NULL
);

-- What cinder-svc is still to be asked for: to reserve the volumes of an instance, or to take back what was created and
-- reserved for one that was deleted or never came to be (`volumes`). next_try: microseconds since 1970, by the database's
-- clock.
CREATE TABLE volume_jobs (
    id          UUID PRIMARY KEY,
    instance_id UUID NOT NULL,
    action      TEXT COLLATE "C" NOT NULL,
    volumes     TEXT COLLATE "C" NOT NULL,
    user_id     TEXT COLLATE "C" NOT NULL,
    project_id  TEXT COLLATE "C" NOT NULL,
    roles       TEXT COLLATE "C" NOT NULL,
    create_time TIMESTAMPTZ NOT NULL,
    attempts    BIGINT NOT NULL,
    next_try    BIGINT NOT NULL
);
CREATE INDEX volume_jobs_by_instance ON volume_jobs (instance_id);
CREATE INDEX volume_jobs_by_next_try ON volume_jobs (next_try);
CREATE INDEX volume_jobs_by_create_time ON volume_jobs (create_time);

-- The volume that an operation was about.
ALTER TABLE instance_history ADD COLUMN volume_id UUID;
