ALTER TABLE images ADD COLUMN os_hidden     BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE images ADD COLUMN os_hash_algo  TEXT NOT NULL DEFAULT '';
ALTER TABLE images ADD COLUMN os_hash_value TEXT NOT NULL DEFAULT '';
ALTER TABLE images ADD COLUMN virtual_size  INTEGER;
ALTER TABLE images ADD COLUMN data_id       TEXT;

CREATE TABLE image_members (
    image_id    TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    member_id   TEXT NOT NULL,
    status      TEXT NOT NULL,
    create_time TEXT NOT NULL,
    update_time TEXT NOT NULL,
    PRIMARY KEY (image_id, member_id)
) WITHOUT ROWID;
CREATE INDEX image_members_by_member ON image_members (member_id, status, image_id);

-- What lies in the data store, or may lie there after a crash; it outlives the image until it is removed.
CREATE TABLE image_data (
    id         TEXT PRIMARY KEY NOT NULL,
    image_id   TEXT NOT NULL,
    state      TEXT NOT NULL,
    lease_time TEXT NOT NULL,
    upload_id  TEXT NOT NULL DEFAULT ''
);
CREATE INDEX image_data_by_image ON image_data (image_id);
CREATE INDEX image_data_unsettled ON image_data (lease_time) WHERE state <> 'stored';

DROP VIEW image_records;
CREATE VIEW image_records AS
SELECT images.*,
       (SELECT json_group_object(p.name, p.value) FROM image_properties p WHERE p.image_id = images.id) AS properties,
       (SELECT json_group_array(t.tag) FROM image_tags t WHERE t.image_id = images.id) AS tags
FROM images;
