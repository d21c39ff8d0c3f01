CREATE TABLE images (
    id               TEXT PRIMARY KEY NOT NULL,
    name             TEXT NOT NULL,
    status           TEXT NOT NULL,
    visibility       TEXT NOT NULL,
    owner            TEXT NOT NULL,
    protected        BOOLEAN NOT NULL,
    disk_format      TEXT NOT NULL,
    container_format TEXT NOT NULL,
    min_ram          INTEGER NOT NULL,
    min_disk         INTEGER NOT NULL,
    size             INTEGER,
    checksum         TEXT NOT NULL,
    revision         INTEGER NOT NULL,
    create_time      TEXT NOT NULL,
    update_time      TEXT NOT NULL
);
CREATE INDEX images_by_create_time ON images (create_time, id);
CREATE INDEX images_by_update_time ON images (update_time, id);
CREATE INDEX images_by_name ON images (name, id);
CREATE INDEX images_by_owner ON images (owner, create_time, id);

CREATE TABLE image_properties (
    image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (image_id, name)
) WITHOUT ROWID;
-- PostgreSQL cannot index longer values; the same expression serves both.
CREATE INDEX image_properties_by_value ON image_properties (name, substr(value, 1, 255), image_id);

CREATE TABLE image_tags (
    image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    tag      TEXT NOT NULL,
    PRIMARY KEY (image_id, tag)
) WITHOUT ROWID;
CREATE INDEX image_tags_by_tag ON image_tags (tag, image_id);

-- History outlives the image, and keeps its id taken.
CREATE TABLE image_revisions (
    image_id    TEXT NOT NULL,
    revision    INTEGER NOT NULL,
    create_time TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    action      TEXT NOT NULL,
    changes     TEXT NOT NULL,
    PRIMARY KEY (image_id, revision)
) WITHOUT ROWID;

-- An image with its properties and tags in one row, so that one statement reads one state of it.
CREATE VIEW image_records AS
SELECT images.*,
       (SELECT json_group_object(p.name, p.value) FROM image_properties p WHERE p.image_id = images.id) AS properties,
       (SELECT json_group_array(t.tag) FROM image_tags t WHERE t.image_id = images.id) AS tags
FROM images;
