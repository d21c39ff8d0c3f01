-- The layout to compare with: one row per entry of each volume's image metadata, as in Cinder.
CREATE TABLE volumes (
    id                UUID PRIMARY KEY,
    name              TEXT COLLATE "C" NOT NULL,
    description       TEXT NOT NULL,
    project_id        TEXT COLLATE "C" NOT NULL,
    user_id           TEXT COLLATE "C" NOT NULL,
    size_gib          INTEGER NOT NULL,
    status            TEXT COLLATE "C" NOT NULL,
    volume_type_id    UUID NOT NULL,
    availability_zone TEXT COLLATE "C" NOT NULL,
    bootable          BOOLEAN NOT NULL,
    multiattach       BOOLEAN NOT NULL,
    create_time       TIMESTAMPTZ NOT NULL,
    update_time       TIMESTAMPTZ NOT NULL
);
CREATE INDEX volumes_by_create_time ON volumes (create_time, id);
CREATE INDEX volumes_by_project ON volumes (project_id, create_time, id);

CREATE TABLE volume_glance_metadata (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    volume_id UUID NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
    key       TEXT COLLATE "C" NOT NULL,
    value     TEXT COLLATE "C" NOT NULL
);
CREATE INDEX volume_glance_metadata_by_volume ON volume_glance_metadata (volume_id);
