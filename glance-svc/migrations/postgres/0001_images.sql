-- Text is compared by its bytes, as SQLite does.
CREATE TABLE images (
    id               UUID PRIMARY KEY,
    name             TEXT COLLATE "C" NOT NULL,
    status           TEXT COLLATE "C" NOT NULL,
    visibility       TEXT COLLATE "C" NOT NULL,
    owner            TEXT COLLATE "C" NOT NULL,
    protected        BOOLEAN NOT NULL,
    disk_format      TEXT COLLATE "C" NOT NULL,
    container_format TEXT COLLATE "C" NOT NULL,
    min_ram          BIGINT NOT NULL,
    min_disk         BIGINT NOT NULL,
    size             BIGINT,
    checksum         TEXT NOT NULL,
    revision         BIGINT NOT NULL,
    create_time      TIMESTAMPTZ NOT NULL,
    update_time      TIMESTAMPTZ NOT NULL
);
CREATE INDEX images_by_create_time ON images (create_time, id);
CREATE INDEX images_by_update_time ON images (update_time, id);
CREATE INDEX images_by_name ON images (name, id);
CREATE INDEX images_by_owner ON images (owner, create_time, id);

CREATE TABLE image_properties (
    image_id UUID NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    name     TEXT COLLATE "C" NOT NULL,
    value    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (image_id, name)
);
-- An index entry must fit into a page, and a value may be longer.
CREATE INDEX image_properties_by_value ON image_properties (name, substr(value, 1, 255), image_id);

CREATE TABLE image_tags (
    image_id UUID NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    tag      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (image_id, tag)
);
CREATE INDEX image_tags_by_tag ON image_tags (tag, image_id);

-- History outlives the image, and keeps its id taken.
CREATE TABLE image_revisions (
    image_id    UUID NOT NULL,
    revision    BIGINT NOT NULL,
    create_time TIMESTAMPTZ NOT NULL,
    user_id     TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    action      TEXT NOT NULL,
    changes     JSONB NOT NULL,
    PRIMARY KEY (image_id, revision)
);

-- An image with its properties and tags in one row, so that one statement reads one state of it.
CREATE VIEW image_records AS
SELECT images.*,
       COALESCE((SELECT json_object_agg(p.name, p.value) FROM image_properties p WHERE p.image_id = images.id), '{}')
           AS properties,
       COALESCE((SELECT json_agg(t.tag) FROM image_tags t WHERE t.image_id = images.id), '[]') AS tags
FROM images;
