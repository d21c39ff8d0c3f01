-- The properties of an image as one document, so that an image is read from two rows and not from one for each
-- property. It counts only while it has the image's revision: an older program, which changes properties and does
-- not know of it, makes it count no longer.
CREATE TABLE image_documents (
    image_id   TEXT PRIMARY KEY NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    revision   INTEGER NOT NULL,
    properties TEXT NOT NULL
);
INSERT INTO image_documents (image_id, revision, properties)
SELECT id, revision, properties FROM image_records;

DROP VIEW image_records;
CREATE VIEW image_records AS
SELECT images.*,
       COALESCE((SELECT d.properties FROM image_documents d
                 WHERE d.image_id = images.id AND d.revision = images.revision),
                (SELECT json_group_object(p.name, p.value) FROM image_properties p WHERE p.image_id = images.id))
           AS properties,
       (SELECT json_group_array(t.tag) FROM image_tags t WHERE t.image_id = images.id) AS tags
FROM images;
