ALTER TABLE images
    ADD COLUMN os_hidden     BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN os_hash_algo  TEXT NOT NULL DEFAULT '',
    ADD COLUMN os_hash_value TEXT NOT NULL DEFAULT '',
    ADD COLUMN virtual_size  BIGINT,
    ADD COLUMN data_id       UUID;

CREATE TABLE image_members (
    image_id    UUID NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    member_id   TEXT COLLATE "C" NOT NULL,
    status      TEXT COLLATE "C" NOT NULL,
    create_time TIMESTAMPTZ NOT NULL,
    update_time TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (image_id, member_id)
);
CREATE INDEX image_members_by_member ON image_members (member_id, status, image_id);

-- What lies in the data store, or may lie there after a crash; it outlives the image until it is removed.
CREATE TABLE image_data (
    id         UUID PRIMARY KEY,
    image_id   UUID NOT NULL,
    state      TEXT COLLATE "C" NOT NULL,
    lease_time TIMESTAMPTZ NOT NULL,
    upload_id  TEXT NOT NULL DEFAULT ''
);
CREATE INDEX image_data_by_image ON image_data (image_id);
CREATE INDEX image_data_unsettled ON image_data (lease_time) WHERE state <> 'stored';

DROP VIEW image_records;
CREATE VIEW image_records AS
SELECT images.*,
       COALESCE((SELECT json_object_agg(p.name, p.value) FROM image_properties p WHERE p.image_id = images.id), '{}')
           AS properties,
       COALESCE((SELECT json_agg(t.tag) FROM image_tags t WHERE t.image_id = images.id), '[]') AS tags
FROM images;
