-- Lists are read from indexes that hold what they select in the order of the page (docs/decisions/0003).

-- An image is registered once: a copy of its create_time needs no care.
ALTER TABLE image_tags ADD COLUMN image_create_time TIMESTAMPTZ;
ALTER TABLE image_members ADD COLUMN image_create_time TIMESTAMPTZ;
UPDATE image_tags SET image_create_time = images.create_time FROM images WHERE images.id = image_id;
UPDATE image_members SET image_create_time = images.create_time FROM images WHERE images.id = image_id;

-- Written anew: to update each of so many rows takes many times as long.
DROP VIEW image_records;
ALTER TABLE image_properties RENAME TO old_properties;
CREATE TABLE image_properties (
    image_id          UUID NOT NULL,
    name              TEXT COLLATE "C" NOT NULL,
    value             TEXT COLLATE "C" NOT NULL,
    image_create_time TIMESTAMPTZ
);
INSERT INTO image_properties (image_id, name, value, image_create_time)
SELECT old_properties.image_id, old_properties.name, old_properties.value, images.create_time
FROM old_properties JOIN images ON images.id = old_properties.image_id;
DROP TABLE old_properties;
ALTER TABLE image_properties
    ADD PRIMARY KEY (image_id, name),
    ADD CONSTRAINT image_properties_image_id_fkey FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE;
CREATE INDEX image_properties_by_value
    ON image_properties (name, substr(value, 1, 255), image_create_time, image_id);
CREATE VIEW image_records AS
SELECT images.*,
       COALESCE((SELECT json_object_agg(p.name, p.value) FROM image_properties p WHERE p.image_id = images.id), '{}')
           AS properties,
       COALESCE((SELECT json_agg(t.tag) FROM image_tags t WHERE t.image_id = images.id), '[]') AS tags
FROM images;

-- For programs older than this schema, which run while it is rolled out; newer ones give the time.
CREATE FUNCTION copy_image_create_time() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    SELECT create_time INTO NEW.image_create_time FROM images WHERE id = NEW.image_id;
    RETURN NEW;
END $$;
CREATE TRIGGER image_properties_create_time BEFORE INSERT ON image_properties
    FOR EACH ROW WHEN (NEW.image_create_time IS NULL) EXECUTE FUNCTION copy_image_create_time();
CREATE TRIGGER image_tags_create_time BEFORE INSERT ON image_tags
    FOR EACH ROW WHEN (NEW.image_create_time IS NULL) EXECUTE FUNCTION copy_image_create_time();
CREATE TRIGGER image_members_create_time BEFORE INSERT ON image_members
    FOR EACH ROW WHEN (NEW.image_create_time IS NULL) EXECUTE FUNCTION copy_image_create_time();

DROP INDEX image_tags_by_tag;
CREATE INDEX image_tags_by_tag ON image_tags (tag, image_create_time, image_id);
DROP INDEX image_members_by_member;
CREATE INDEX image_members_by_member ON image_members (member_id, status, image_create_time, image_id);

DROP INDEX images_by_create_time;
DROP INDEX images_by_name;
DROP INDEX images_by_owner;
CREATE INDEX images_by_visibility ON images (os_hidden, visibility, create_time, id);
CREATE INDEX images_by_owner ON images (os_hidden, owner, visibility, create_time, id);
-- In the order of `sort=name:asc`, to which Glance adds the newest first.
CREATE INDEX images_by_visibility_and_name ON images (os_hidden, visibility, name, create_time DESC, id DESC);
CREATE INDEX images_by_owner_and_name ON images (os_hidden, owner, visibility, name, create_time DESC, id DESC);
