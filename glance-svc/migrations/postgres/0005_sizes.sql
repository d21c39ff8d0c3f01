-- How many bytes a record is read as, about, so that this is known before it is read.
DROP VIEW image_records;
CREATE VIEW image_records AS
SELECT images.*,
       COALESCE((SELECT d.properties FROM image_documents d
                 WHERE d.image_id = images.id AND d.revision = images.revision),
                (SELECT json_object_agg(p.name, p.value) FROM image_properties p WHERE p.image_id = images.id), '{}')
           AS properties,
       COALESCE((SELECT json_agg(t.tag) FROM image_tags t WHERE t.image_id = images.id), '[]') AS tags,
       CAST(COALESCE((SELECT octet_length(d.properties::text) FROM image_documents d
                 WHERE d.image_id = images.id AND d.revision = images.revision),
                (SELECT SUM(octet_length(p.name) + octet_length(p.value) + 6) FROM image_properties p
                 WHERE p.image_id = images.id), 0)
           + COALESCE((SELECT SUM(octet_length(t.tag)) FROM image_tags t WHERE t.image_id = images.id), 0)
           + octet_length(images.name) + octet_length(images.owner) AS BIGINT)
           AS record_bytes
FROM images;

-- Whole images at some of their revisions, as changes of nothing, so that an image as it was is not made from its whole
-- history. An older program writes none; then there is more to be read.
CREATE TABLE image_bases (
    image_id    UUID NOT NULL,
    revision    BIGINT NOT NULL,
    create_time TIMESTAMPTZ NOT NULL,
    update_time TIMESTAMPTZ NOT NULL,
    changes     JSON NOT NULL,
    PRIMARY KEY (image_id, revision)
);
